"""The registry: models as plain arrays in the lake's tables, read by whoever computes with them and nothing else."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lakehouse.errors import LeaseLostError, StorageError
from lakehouse.models.registry import Registry, Version
from lakehouse.models.tables import MODELS
from lakehouse.storage.uri import absolute_uri
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake

MODEL = "fruits-scaler"
RANDOM = np.random.default_rng(0)


def arrays(seed: float = 0.0) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """A vector and a matrix of odd numbers."""
    return {"mean": np.array([seed, -0.0, 1e-310, np.pi]), "components": RANDOM.normal(size=(3, 4))}


def in_new_process(code: str, *arguments: str) -> str:
    """What a Python program prints."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


READ = """
import sys
from lakehouse.models.registry import Registry
from lakehouse.tables.delta import Lake
registry = Registry(Lake(sys.argv[1]))
version = registry.champion("fruits-scaler")
print(version and version.number, len(registry.versions("fruits-scaler")), registry.pinned("fruits-scaler"))
if version is not None:
    assert registry.version(version.name, version.number) == registry.find(version.name, version.tags) == version
    print(registry.arrays(version)["mean"].tolist())
print(sorted({"mlflow", "sklearn", "pyspark", "duckdb"} & sys.modules.keys()))
"""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake without anything."""
    return Lake(absolute_uri(str(tmp_path / "a lake")))


@pytest.fixture
def champion(lake: Lake) -> Version:
    """The second of two registered versions, champion."""
    registry = Registry(lake)
    registry.register(MODEL, {"fitted_on": "3"}, arrays(3))
    version = registry.register(MODEL, {"fitted_on": "4"}, arrays(4))
    registry.choose(version, "the fit")
    return version


def test_new_process_reads_all_with_nothing_but_tables(lake: Lake, champion: Version) -> None:
    """Champion, pin, versions and arrays take neither MLflow nor scikit-learn, nor an engine."""
    assert in_new_process(READ, lake.uri).splitlines() == ["2 2 None", str(arrays(4)["mean"].tolist()), "[]"]


def test_lake_without_models_stays_as_it_is(lake: Lake, tmp_path: Path) -> None:
    """Who asks makes nothing."""
    assert in_new_process(READ, lake.uri).splitlines() == ["None 0 None", "[]"]
    assert Registry(lake).lake_id is None
    assert [*tmp_path.iterdir()] == []


def test_same_fit_is_the_same_version(lake: Lake, champion: Version) -> None:
    """Tags say what a model was fitted on: registered again it is what it was, and numbers count on."""
    registry = Registry(lake)
    assert registry.register(MODEL, {"fitted_on": "3"}, arrays(9)).number == 1
    assert registry.register(MODEL, {"fitted_on": "5"}, arrays(5)).number == 3
    assert registry.register("fruits-pca", {"fitted_on": "5"}, arrays(5)).number == 1
    assert [one.number for one in Registry(lake).versions(MODEL)] == [1, 2, 3]


def test_arrays_are_kept_bit_for_bit(lake: Lake) -> None:
    """Each under its name and in its shape, of whichever of several rows of one file it is."""
    registry, models = Registry(lake), [arrays(seed) for seed in range(3)]
    versions = [registry.register(MODEL, {"fitted_on": str(at)}, model) for at, model in enumerate(models)]
    rows = pa.concat_tables(delta.read_columns(lake, MODELS, MODELS.schema.names))
    delta.write_small(rows.combine_chunks(), lake, MODELS, mode="overwrite")
    assert len(delta.data_files(lake, MODELS)) == 1
    for version, model in zip(versions, models, strict=True):
        found = Registry(lake).arrays(version)
        assert {name: (array.shape, array.tobytes()) for name, array in found.items()} == {
            name: (array.shape, array.tobytes()) for name, array in model.items()
        }


def test_choice_stands_until_another_is_made(lake: Lake, champion: Version) -> None:
    """A pin makes champion, and is released alone; each is there for the next process, the older ones on record."""
    registry = Registry(lake)
    first = registry.version(MODEL, 1)
    assert first is not None
    registry.choose(first, "rollback", pin=True)
    assert [Registry(lake).champion(MODEL), Registry(lake).pinned(MODEL)] == [first, first]
    registry.release(MODEL, "unpinned")
    registry.release(MODEL, "unpinned")
    assert [Registry(lake).champion(MODEL), Registry(lake).pinned(MODEL)] == [first, None]
    registry.choose(champion, "a fit")
    assert Registry(lake).champion(MODEL) == champion


def test_reader_stays_with_what_it_has_seen(lake: Lake, champion: Version) -> None:
    """A run does not change its models on the way, whatever another process chooses."""
    reader, writer = Registry(lake), Registry(lake)
    assert reader.champion(MODEL) == champion
    first = writer.version(MODEL, 1)
    assert first is not None
    writer.choose(first, "rollback")
    assert reader.champion(MODEL) == champion
    assert Registry(lake).champion(MODEL) == first


def test_guard_forbids_every_change(lake: Lake, champion: Version) -> None:
    """A writer that has lost the lease registers nothing and chooses nothing."""

    def lost() -> None:
        raise LeaseLostError("The lease is lost.")

    registry = Registry(Lake(lake.uri, lost))
    changes: list[Callable[[], object]] = [
        lambda: registry.register(MODEL, {"fitted_on": "9"}, arrays()),
        lambda: registry.choose(champion, "a fit", pin=True),
    ]
    for change in changes:
        with pytest.raises(LeaseLostError):
            change()
    assert (len(Registry(lake).versions(MODEL)), Registry(lake).pinned(MODEL)) == (2, None)


def test_lake_is_known_by_its_id_wherever_it_lies(lake: Lake, champion: Version, tmp_path: Path) -> None:
    """Moved, it is the same lake, with all it knew."""
    known = Registry(lake).lake_id
    (tmp_path / "a lake").rename(tmp_path / "moved")
    moved = Registry(Lake(absolute_uri(str(tmp_path / "moved"))))
    assert known is not None
    assert (moved.lake_id, moved.champion(MODEL)) == (known, champion)


def test_lost_row_is_told(lake: Lake, champion: Version) -> None:
    """A version that somebody has deleted from the table is named."""
    registry = Registry(lake)
    assert registry.champion(MODEL) == champion
    delta.existing(lake, MODELS).delete("version = 2")
    with pytest.raises(StorageError, match=r"fruits-scaler version 2 is no longer in .*registry/models"):
        registry.arrays(champion)


def test_models_on_s3_are_read_in_the_same_way(bucket: str) -> None:
    """With nothing but tables, too."""
    lake = Lake(f"s3://{bucket}/lake")
    assert Registry(lake).champion(MODEL) is None
    registry = Registry(lake)
    registry.choose(registry.register(MODEL, {"fitted_on": "4"}, arrays(4)), "first fit", pin=True)
    told = in_new_process(READ, lake.uri).splitlines()
    assert told[0].startswith("1 1 Version(")
    assert told[1:] == [str(arrays(4)["mean"].tolist()), "[]"]
