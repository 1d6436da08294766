"""Small photographs, lakes and settings to work on, an engine of each kind, and one Spark session for the run."""

import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

# Before NumPy is imported, here and in whatever is started from here: the tests' processes share the cores, where the
# threads of linear algebra wait for one another at full speed, and a fit costs twice what it costs alone.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from PIL import Image
from xdist.scheduler import LoadScopeScheduling

from fruits.settings import Settings, load_settings
from lakehouse.engine import open_engine
from lakehouse.engine.port import Engine
from lakehouse.models.mirror import make_database
from lakehouse.models.tracking import open_store
from lakehouse.progress import NullProgress
from lakehouse.tables.delta import Lake
from lakehouse.workspace import Workspace
from silver.encoders import ENCODERS
from silver.encoders.base import Encoder
from tests import stub
from tests.odd_keys import odd_keys_server, put_keys  # noqa: F401 - fixtures
from tests.stub import STUB

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# No connection outlives its use: tests put other files in a tracking store's place.
os.environ["MLFLOW_SQLALCHEMYSTORE_POOLCLASS"] = "NullPool"

Photograph = Callable[..., bytes]
Opening = Callable[[str], Engine]


LONGEST = ("tests/test_crash.py", "tests/test_acceptance.py", "tests/test_emr_job.py", "tests/lakehouse/lease/")


class OneSession(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """The tests of a file to one process, which has the file's fixtures; those of Spark to one, which has the session.

    By the tests' names, because that is all that the process knows which shares them out. (xdist's own groups do not
    reach it with pytest 9.2, where a name cannot be changed.)
    """

    def _split_scope(self, nodeid: str) -> str:
        return "spark" if "spark" in nodeid else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> OneSession:
    """Share the tests out so that there is one session of Spark."""
    return OneSession(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes longest first, so that none of it is left to the end.

    A test that uses Spark and does not say so in its name is refused: it would start a second session.
    """
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
    unsaid = [
        item.nodeid for item in items if "spark" in getattr(item, "fixturenames", ()) and "spark" not in item.nodeid
    ]
    if unsaid:
        raise pytest.UsageError(f"These tests use Spark, so their names or parameters must say it: {', '.join(unsaid)}")


SMALL_SESSION = {  # of many small runs in at most 2 GB: more than one partition pays off for none
    "spark.driver.memory": "1g",
    "spark.sql.shuffle.partitions": 1,
    "spark.databricks.delta.snapshotPartitions": 1,
    # Code or a plan made for a dozen rows does not pay off: with these three a test of a run takes half as long. Nor
    # does the better compiler: with it Spark's start and a first run take 91 processor seconds, without it (as shipped)
    # 57, and later runs 20 either way. `spark-submit` in test_emr_job.py has Spark as it is.
    "spark.sql.codegen.wholeStage": False,
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": False,
}
NO_JAVA = "the engine `spark` needs Java, and there is none"


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    """Tests see the shipped settings, whatever the shell that runs them has set."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [*os.environ]:
            if (name.startswith("FRUITS_") and not name.startswith("FRUITS_TEST_")) or name == "MLFLOW_TRACKING_URI":
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def spark() -> "Iterator[SparkSession]":
    """The one Spark session of the run; tests that need it skip where there is no Java."""
    from lakehouse.engine.spark import session as sessions
    from lakehouse.engine.spark.java import find_java

    if not find_java().works:
        pytest.skip(NO_JAVA)
    shipped_options = sessions.session_options
    # Whoever asks for the session sets its options anew, by settings that are not small.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions, "session_options", lambda settings: shipped_options(settings) | SMALL_SESSION)
        session = sessions.spark_session(load_settings())
        yield session
        session.stop()


@pytest.fixture(params=["local", "spark"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """Each engine in turn; Spark's session is started for it."""
    name = str(request.param)
    if name == "spark":
        request.getfixturevalue("spark")
    return name


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opening]:
    """Open engines by their names on the lake `lake` of this test's folder, Spark's where its session runs."""
    engines = []

    def open_one(name: str) -> Engine:
        settings = load_settings(lake=str(tmp_path / "lake"), engine=name, spark_local=SMALL_SESSION)
        engines.append(open_engine(settings, Lake(settings.lake), NullProgress()))
        return engines[-1]

    yield open_one
    for engine in engines:
        engine.close()


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """An empty folder for photographs."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    return folder


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """An empty folder that any user of this machine may write to, where `closed` works for root, too."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@contextmanager
def closed(*paths: Path) -> Iterator[None]:
    """Nobody may read these while the block runs; root, who may read everything, is another user for the moment."""
    user, modes = os.geteuid(), {path: path.stat().st_mode for path in paths}
    for path in paths:
        path.chmod(0)
    os.seteuid(user or 65534)
    try:
        yield
    finally:
        os.seteuid(user)
        for path, mode in modes.items():
            path.chmod(mode)


@pytest.fixture
def settings(tmp_path: Path, photographs: Path) -> Settings:
    """Settings with a new lake, the photographs' folder, and weights that need no file."""
    return load_settings(images=str(photographs), lake=str(tmp_path / "lake"), weights="untrained")


@pytest.fixture(scope="session")
def tracking_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store without runs, made once: making its tables takes MLflow seconds."""
    folder = tmp_path_factory.mktemp("mlflow")
    open_store(None, str(folder), make_database)
    return folder / "mlflow.db"


@pytest.fixture
def workspace(settings: Settings, tracking_store: Path) -> Iterator[Workspace]:
    """A workspace on a new lake, its tracking store a copy of the empty one."""
    workspace = Workspace(settings)
    folder = Path(workspace.lake.folder("mlflow"))
    folder.mkdir(parents=True)
    shutil.copy(tracking_store, folder)
    yield workspace
    workspace.close()


@pytest.fixture
def encoder() -> Encoder:
    """A stub of eight dimensions that computes a photograph's features from its pixels alone."""
    return STUB


@pytest.fixture(scope="module")
def stub_encoder() -> Iterator[str]:
    """The name by which settings ask for the stub."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENCODERS, stub.NAME, stub.__name__)
        yield stub.NAME


@pytest.fixture(scope="module")
def blank_pictures() -> Iterator[None]:
    """Pictures of fits are kept blank: to draw them takes half of a run of a dozen photographs."""

    def blank(figure: object, path: Path, **_: object) -> None:
        Image.new("L", (1, 1)).save(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.figure.Figure.savefig", blank)
        yield


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
