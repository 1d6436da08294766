"""One Spark session for the run, and small photographs, lakes and settings to work on."""

import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyspark.sql import SparkSession

from lakehouse.registry import Registry
from lakehouse.session import spark_session
from lakehouse.settings import Settings, load_settings
from lakehouse.workspace import Workspace
from silver.featurize import Encoder, Predict

# No connection outlives its use: tests put other files in a tracking store's place.
os.environ["MLFLOW_SQLALCHEMYSTORE_POOLCLASS"] = "NullPool"

Photograph = Callable[..., bytes]

LONG_SESSION = {  # of many small runs: Java's second compiler pays off, and more than one partition does not
    "spark.driver.extraJavaOptions": "-XX:+UseSerialGC",
    "spark.sql.shuffle.partitions": 1,
    "spark.databricks.delta.snapshotPartitions": 1,
}


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    """Tests see the shipped settings, whatever the shell that runs them has set."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [*os.environ]:
            if (name.startswith("FRUITS_") and not name.startswith("FRUITS_TEST_")) or name == "MLFLOW_TRACKING_URI":
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """The one Spark session of the run."""
    session = spark_session(load_settings(spark={**load_settings().spark, **LONG_SESSION}))
    yield session
    session.stop()


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """An empty folder for photographs."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    return folder


@pytest.fixture
def settings(tmp_path: Path, photographs: Path) -> Settings:
    """Settings with a new lake, the photographs' folder, and weights that need no file."""
    return load_settings(images=str(photographs), lake=str(tmp_path / "lake"), weights="untrained")


@pytest.fixture(scope="session")
def tracking_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store without runs, made once: making its tables takes MLflow seconds."""
    folder = tmp_path_factory.mktemp("mlflow")
    Registry(None, "fruits", str(folder))
    return folder / "mlflow.db"


@pytest.fixture
def workspace(settings: Settings, spark: SparkSession, tracking_store: Path) -> Workspace:
    """A workspace on a new lake, its tracking store a copy of the empty one."""
    workspace = Workspace(settings)
    folder = Path(workspace.lake.folder("mlflow"))
    folder.mkdir(parents=True)
    shutil.copy(tracking_store, folder)
    return workspace


@pytest.fixture
def encoder() -> Encoder:
    """A stub of eight dimensions that computes a photograph's features from its pixels alone."""
    return Encoder("stub-r1", 8, load_stub)


def load_stub() -> Predict:
    """Load the stub encoder: mean and deviation of each channel, width and height."""

    def predict(content: memoryview) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        with Image.open(io.BytesIO(content)) as image:
            pixels = np.asarray(image.convert("RGB"), dtype=np.float32)
        size = np.array(pixels.shape[:2], dtype=np.float32)
        return np.concatenate([pixels.mean(axis=(0, 1)), pixels.std(axis=(0, 1)), size]).astype(np.float32)

    return predict


def photograph(seed: int, size: tuple[int, int] = (8, 8), encoding: str = "PNG") -> bytes:
    """A small picture of noise, another one for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, encoding)
    return content.getvalue()


def add_photographs(folder: Path, label: str, seeds: range) -> list[Path]:
    """Write a photograph for each seed under `<folder>/<label>/<seed>.png`; returns the paths."""
    (folder / label).mkdir(parents=True, exist_ok=True)
    paths = [folder / label / f"{seed}.png" for seed in seeds]
    for seed, path in zip(seeds, paths, strict=True):
        path.write_bytes(photograph(seed))
    return paths
