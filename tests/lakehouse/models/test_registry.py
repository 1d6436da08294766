"""The registry of a lake: read without MLflow as long as its database is the one that was read last."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from lakehouse.errors import LeaseLostError, StorageError, TamperedModelError
from lakehouse.models.registry import Fit, Registry, Version
from lakehouse.models.snapshot import ABSENT, fingerprint

MODEL = "fruits-scaler"

Place = Callable[[], Registry]


def fit(images: int, model: Any = None) -> Fit:
    """A fit of two columns."""
    model = model or StandardScaler().fit([[0.0, 1.0], [1.0, images / 3]])
    return Fit(model, (2, 2), {"fitted_on": str(images)}, {"images": images}, {"images": images}, {"curve": [0.5, 1]})


def snapshot(folder: Path) -> Any:
    """The content of the snapshot."""
    return json.loads((folder / "registry.json").read_bytes())


def is_fresh(folder: Path) -> bool:
    """Whether the snapshot is of the database as it is now."""
    return bool(snapshot(folder)["database"] == fingerprint(f"file://{folder}/mlflow.db"))


def refuse_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens MLflow from here on fails."""

    def refuse(registry: Registry) -> None:
        raise AssertionError("MLflow was opened")

    monkeypatch.setattr(Registry, "_open", refuse)


def in_new_process(code: str, *arguments: str) -> str:
    """What a Python program prints."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


READ = """
import sys
from lakehouse.models.registry import Registry
registry = Registry(None, "fruits", sys.argv[1])
registry.prepare()
version = registry.champion("fruits-scaler")
if version is not None:
    assert registry.version(version.name, version.number) == registry.find(version.name, version.tags) == version
    print(version.number, len(registry.versions(version.name)), registry.pinned(version.name))
    print(registry.arrays(version)["mean"].tolist())
else:
    print(version)
print(sorted({"mlflow", "sklearn", "pyspark", "py4j", "deltalake"} & sys.modules.keys()))
"""


@pytest.fixture
def folder(tmp_path: Path, tracking_store: Path) -> Path:
    """A lake's MLflow folder with an empty store."""
    folder = tmp_path / "a lake" / "mlflow"
    folder.mkdir(parents=True)
    shutil.copy(tracking_store, folder)
    return folder


@pytest.fixture
def open_registry(folder: Path) -> Place:
    """Opens the lake's registry anew, as the next process does."""
    return lambda: Registry(None, "fruits", str(folder))


@pytest.fixture
def champion(open_registry: Place) -> Version:
    """The second of two registered scalers, champion."""
    registry = open_registry()
    registry.register(MODEL, fit(3))
    version = registry.register(MODEL, fit(4))
    registry.set_champion(version)
    return version


# ---- reading without MLflow -----------------------------------------------------------------------------------------


def test_new_process_reads_all_without_mlflow(folder: Path, champion: Version) -> None:
    """Champion, pin, versions and arrays take neither MLflow nor scikit-learn, nor Spark."""
    told = in_new_process(READ, str(folder)).splitlines()
    assert told == ["2 2 None", str(fit(4).model.mean_.tolist()), "[]"]


def test_lake_without_models_stays_as_it_is(tmp_path: Path) -> None:
    """Where there is no database nothing is registered: no folder is made, and MLflow is not imported."""
    assert in_new_process(READ, str(tmp_path / "lake" / "mlflow")).splitlines() == ["None", "[]"]
    assert [*tmp_path.iterdir()] == []


def test_snapshot_says_what_mlflow_says(
    folder: Path, champion: Version, open_registry: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Versions and tags are equal, whether read from the snapshot or from MLflow."""
    (folder / "registry.json").rename(folder / "kept.json")
    asked = open_registry()
    by_mlflow = [asked.versions(MODEL), asked.champion(MODEL), asked.pinned(MODEL), asked.versions("unknown")]
    (folder / "kept.json").rename(folder / "registry.json")
    refuse_mlflow(monkeypatch)
    reader = open_registry()
    assert by_mlflow == [
        reader.versions(MODEL),
        reader.champion(MODEL),
        reader.pinned(MODEL),
        reader.versions("unknown"),
    ]
    assert by_mlflow[1] == champion


def test_each_change_is_kept_at_once(
    folder: Path, champion: Version, open_registry: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pin, release, metrics and figures: after each of them the next process needs no MLflow."""
    registry = open_registry()
    figure = tmp_path / "figure.txt"
    figure.write_text("a plot")
    changes: list[tuple[Callable[[], None], int | None]] = [
        (lambda: registry.pin(champion), 2),
        (lambda: registry.log_metrics(champion, {"accuracy": 1.0}), 2),
        (lambda: registry.log_figures(champion, [figure]), 2),
        (lambda: registry.release(MODEL), None),
    ]
    for change, pinned in changes:
        change()
        assert is_fresh(folder)
        with monkeypatch.context() as patch:
            refuse_mlflow(patch)
            found = open_registry().pinned(MODEL)
        assert (found and found.number) == pinned


def test_open_registry_sees_what_another_process_changes(champion: Version, open_registry: Place) -> None:
    """A registry that has read once is not left with what it has read."""
    reader, writer = open_registry(), open_registry()
    assert reader.champion(MODEL) == champion
    first = writer.version(MODEL, 1)
    assert first is not None
    writer.set_champion(first)
    assert reader.champion(MODEL) == first


# ---- stale snapshots ------------------------------------------------------------------------------------------------


def test_alias_that_a_person_moves_is_obeyed(folder: Path, champion: Version, open_registry: Place) -> None:
    """MLflow alone, in another process, moves the alias: the next reader sees it, and a writer keeps it for later."""
    move = """
import sys
from mlflow import MlflowClient
MlflowClient(tracking_uri=sys.argv[1]).set_registered_model_alias("fruits-scaler", "champion", "1")
"""
    in_new_process(move, f"sqlite:///{folder}/mlflow.db")
    assert not is_fresh(folder)
    assert in_new_process(READ, str(folder)).splitlines()[0] == "1 2 None"
    assert not is_fresh(folder)  # who only reads writes nothing
    writer = Registry(None, "fruits", str(folder), guard=lambda: None)
    found = writer.champion(MODEL)
    assert found is not None
    assert found.number == 1
    assert is_fresh(folder)
    assert in_new_process(READ, str(folder)).splitlines()[::2] == ["1 2 None", "[]"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda _: b'{"layout": 1',
        lambda _: b"\xff\xfe",
        lambda _: b"[]",
        lambda kept: json.dumps({**kept, "layout": 2}).encode(),
        lambda kept: json.dumps({key: value for key, value in kept.items() if key != "models"}).encode(),
        lambda kept: json.dumps({**kept, "models": {MODEL: {"aliases": {}}}}).encode(),
        lambda kept: json.dumps({**kept, "models": {MODEL: {"aliases": {}, "versions": [{"number": None}]}}}).encode(),
    ],
    ids=["empty", "cut", "no-text", "no-object", "layout", "no-models", "no-versions", "no-number"],
)
def test_snapshot_that_is_not_understood_is_stale(
    folder: Path, champion: Version, open_registry: Place, damage: Callable[[Any], bytes]
) -> None:
    """Damaged, of another layout or without a key: MLflow is asked, and no error is raised."""
    (folder / "registry.json").write_bytes(damage(snapshot(folder)))
    assert open_registry().champion(MODEL) == champion


def test_fingerprint_changes_with_each_transaction(tmp_path: Path) -> None:
    """By SQLite's own count, even where size and time stay the same; none is told in the middle of a change."""
    database = tmp_path / "mlflow.db"
    assert fingerprint(f"file://{database}") == ABSENT
    database.touch()
    assert fingerprint(f"file://{database}") is None
    found = set()
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE one (x)")
        for x in range(3):
            connection.execute("INSERT INTO one VALUES (?)", (x,))
            told = fingerprint(f"file://{database}")
            assert told is not None
            size, _, count = told.split("-")
            found.add((size, count))
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO one VALUES (3)")
        assert fingerprint(f"file://{database}") is None
        connection.execute("COMMIT")
        assert fingerprint(f"file://{database}") is not None
    assert len(found) == 3
    assert len({size for size, _ in found}) == 1


def test_run_that_dies_before_the_snapshot_is_written_leaves_a_stale_one(
    folder: Path, champion: Version, open_registry: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What MLflow has recorded counts: the next run finds the version, and fits nothing again."""

    class DiedError(BaseException):
        pass

    def die(point: str) -> None:
        if point == "registry.registered":
            raise DiedError

    with monkeypatch.context() as patch:
        patch.setattr("lakehouse.models.registry.crash_point", die)
        with pytest.raises(DiedError):
            open_registry().register(MODEL, fit(5))
    assert not is_fresh(folder)
    assert open_registry().register(MODEL, fit(5)).number == 3


def test_guard_forbids_every_change(folder: Path, champion: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that has lost the lease registers nothing and moves no alias; the snapshot stays as it is."""

    def lost() -> None:
        raise LeaseLostError("The lease is lost.")

    registry = Registry(None, "fruits", str(folder), lost)
    before = (folder / "registry.json").read_bytes()
    changes: list[Callable[[], object]] = [
        lambda: registry.register(MODEL, fit(9)),
        lambda: registry.set_champion(champion),
        lambda: registry.pin(champion),
        lambda: registry.log_metrics(champion, {"accuracy": 0.0}),
    ]
    for change in changes:
        with pytest.raises(LeaseLostError):
            change()
    assert (folder / "registry.json").read_bytes() == before
    assert len(Registry(None, "fruits", str(folder)).versions(MODEL)) == 2


# ---- arrays ---------------------------------------------------------------------------------------------------------


def test_arrays_are_the_models_own_bit_for_bit(open_registry: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mean and scale of a scaler, mean and components of a PCA, float64."""
    rows = np.random.default_rng(0).normal(size=(50, 2))
    scaler, pca = StandardScaler().fit(rows), PCA(2).fit(rows)
    registry = open_registry()
    versions = [registry.register(MODEL, fit(3, scaler)), registry.register("fruits-pca", fit(3, pca))]
    refuse_mlflow(monkeypatch)
    one, other = (open_registry().arrays(version) for version in versions)
    assert ({*one}, {*other}) == ({"mean", "scale"}, {"mean", "components"})
    pairs = [
        (one["mean"], scaler.mean_),
        (one["scale"], scaler.scale_),
        (other["mean"], pca.mean_),
        (other["components"], pca.components_),
    ]
    for found, expected in pairs:
        assert found.dtype == np.float64
        assert found.tobytes() == np.ascontiguousarray(expected).tobytes()


@pytest.mark.parametrize("name", ["model.skops", "MLmodel", "arrays.npz"])
def test_tampered_artifact_gives_no_arrays(
    folder: Path, champion: Version, open_registry: Place, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One byte more in any file, and neither arrays nor object are returned: one error, with or without MLflow."""
    for file in folder.rglob(name):
        file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(TamperedModelError, match=r"version 2 has the SHA-256 .* It was not loaded") as by_mlflow:
        open_registry().load(champion)
    refuse_mlflow(monkeypatch)
    with pytest.raises(TamperedModelError) as without:
        open_registry().arrays(champion)
    assert str(without.value) == str(by_mlflow.value)


def test_file_that_is_put_into_or_taken_from_an_artifact_is_noticed(folder: Path, open_registry: Place) -> None:
    """The digest is over the names too, so that neither can go unseen."""
    registry = open_registry()
    version = registry.register(MODEL, fit(3))
    (place,) = folder.rglob("arrays.npz")
    content = place.read_bytes()
    place.unlink()
    with pytest.raises(TamperedModelError):
        registry.arrays(version)
    place.write_bytes(content)
    place.with_name("more").write_bytes(b"")
    with pytest.raises(TamperedModelError):
        registry.arrays(version)
    place.with_name("more").unlink()
    assert registry.arrays(version)["mean"].tolist() == fit(3).model.mean_.tolist()


def test_artifact_of_an_earlier_release_is_loaded_by_mlflow(
    open_registry: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no arrays of its own: they are those of its scikit-learn object, checked as ever."""
    with monkeypatch.context() as patch:
        patch.setattr("lakehouse.models.mlflow_records.write_arrays", lambda *_: None)
        version = open_registry().register(MODEL, fit(3))
    assert open_registry().arrays(version)["scale"].tolist() == fit(3).model.scale_.tolist()


def test_moved_lake_reads_its_own_artifacts(folder: Path, champion: Version, tmp_path: Path) -> None:
    """The snapshot holds no address: a renamed lake is read as before, and the old place is not looked for."""
    moved = tmp_path / "moved"
    folder.parent.rename(moved)
    assert str(tmp_path) not in (moved / "mlflow" / "registry.json").read_text()
    told = in_new_process(READ, str(moved / "mlflow")).splitlines()
    assert told == ["2 2 None", str(fit(4).model.mean_.tolist()), "[]"]


# ---- MLflow ---------------------------------------------------------------------------------------------------------


def test_version_is_to_mlflow_what_it_makes_itself(folder: Path, champion: Version) -> None:
    """Run, logged model and version name each other, figures of the fit stand with both, and anyone can load it.

    That MLflow opens the database to read leaves the snapshot fresh.
    """
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    registered = client.get_model_version_by_alias(MODEL, "champion")
    run = client.get_run(registered.run_id)
    assert (run.info.status, run.data.metrics["images"], run.data.tags["fitted_on"]) == ("FINISHED", 4, "4")
    assert run.info.run_name == f"{MODEL} 4 images"
    (output,) = run.outputs.model_outputs
    logged = client.get_logged_model(output.model_id)
    assert registered.source == logged.artifact_location
    assert (logged.name, str(logged.status), logged.source_run_id) == (MODEL, "READY", registered.run_id)
    assert logged.params == {"images": "4"}
    assert {metric.key: metric.value for metric in logged.metrics} == {"images": 4}
    load = """
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
print(mlflow.sklearn.load_model("models:/fruits-scaler@champion").mean_.tolist())
"""
    assert in_new_process(load, f"sqlite:///{folder}/mlflow.db") == str(fit(4).model.mean_.tolist())
    assert is_fresh(folder)


def test_process_keeps_its_own_tracking_uri(folder: Path, tmp_path: Path) -> None:
    """MLflow's setting for the whole process, its variable and the working folder are left alone."""
    code = """
import os, sys
from sklearn.preprocessing import StandardScaler
from lakehouse.models.registry import Fit, Registry
registry = Registry(None, "fruits", sys.argv[1])
os.chdir(sys.argv[2])
version = registry.register("fruits-scaler", Fit(StandardScaler().fit([[0.0], [1.0]]), (1, 1), {}, {"images": 2}))
registry.set_champion(version)
registry.load(version)
import mlflow
print(os.environ.get("MLFLOW_TRACKING_URI"), sys.argv[1] in mlflow.get_tracking_uri(), os.listdir())
"""
    work = tmp_path / "work"
    work.mkdir()
    assert in_new_process(code, str(folder), str(work)) == "None False []"


def test_named_tracking_store_is_always_asked(tmp_path: Path, tracking_store: Path) -> None:
    """Of another store than the lake's own no snapshot is kept, and nothing is made in the lake."""
    shutil.copy(tracking_store, tmp_path / "named.db")
    uri, folder = f"sqlite:///{tmp_path}/named.db", tmp_path / "lake" / "mlflow"
    client = MlflowClient(tracking_uri=uri)
    client.create_experiment("fruits", artifact_location=str(tmp_path / "artifacts"))
    registry = Registry(uri, "fruits", str(folder))
    assert registry.champion(MODEL) is None
    first, second = (registry.register(MODEL, fit(images)) for images in (3, 4))
    registry.set_champion(first)
    registry.pin(second)
    assert (registry.champion(MODEL), registry.pinned(MODEL)) == (first, second)
    registry.release(MODEL)
    assert registry.pinned(MODEL) is None
    client.set_registered_model_alias(MODEL, "champion", "2")
    assert registry.champion(MODEL) == second
    assert registry.arrays(second)["mean"].tolist() == fit(4).model.mean_.tolist()
    for file in (tmp_path / "artifacts").rglob("arrays.npz"):
        file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(TamperedModelError):
        registry.arrays(second)
    assert not folder.parent.exists()


def test_prepare_opens_mlflow_only_for_who_will_need_it(
    folder: Path, champion: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stale snapshot, or a writer that finds no model: these are sure to."""
    opened = []
    monkeypatch.setattr(Registry, "open", lambda registry: opened.append(registry._folder))
    new, known = str(tmp_path / "new"), str(folder)
    for place, guard in ((known, None), (new, None), (known, lambda: None), (new, lambda: None)):
        registry = Registry(None, "fruits", place, guard) if guard else Registry(None, "fruits", place)
        registry._prepare()
    assert opened == [f"file://{new}"]
    (folder / "registry.json").unlink()
    Registry(None, "fruits", known)._prepare()
    assert opened[1:] == [f"file://{known}"]
    Registry("sqlite:///elsewhere.db", "fruits", known)._prepare()
    assert len(opened) == 3


# ---- S3 -------------------------------------------------------------------------------------------------------------


def test_lake_on_s3_is_read_without_mlflow(on_s3: str, s3: Any, bucket: str) -> None:
    """With a fresh snapshot the database is not fetched either; changed by another writer, it is."""
    registry = Registry(None, "fruits", on_s3)
    version = registry.register(MODEL, fit(4))
    registry.set_champion(version)
    fetched = READ + "print(registry._store)"
    told = in_new_process(fetched, on_s3).splitlines()
    assert told == ["1 1 None", str(fit(4).model.mean_.tolist()), "[]", "None"]
    kept = s3.get_object(Bucket=bucket, Key="lake/mlflow/registry.json")["Body"].read()
    registry.pin(version)
    s3.put_object(Bucket=bucket, Key="lake/mlflow/registry.json", Body=kept)  # as if the writer had died before
    assert Registry(None, "fruits", on_s3).pinned(MODEL) == version


def test_tampered_artifact_on_s3_gives_no_arrays(
    on_s3: str, s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One byte more in an object, and it is not used."""
    version = Registry(None, "fruits", on_s3).register(MODEL, fit(4))
    refuse_mlflow(monkeypatch)
    reader = Registry(None, "fruits", on_s3)
    assert reader.arrays(version)["scale"].tolist() == fit(4).model.scale_.tolist()
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="lake/mlflow/artifacts/")["Contents"]
    (key,) = (one["Key"] for one in listed if one["Key"].endswith("arrays.npz"))
    s3.put_object(Bucket=bucket, Key=key, Body=s3.get_object(Bucket=bucket, Key=key)["Body"].read() + b"\0")
    with pytest.raises(TamperedModelError):
        reader.arrays(version)


def test_lake_on_s3_without_models_stays_as_it_is(s3: Any, bucket: str) -> None:
    """Nothing is put there, and MLflow is not imported."""
    assert in_new_process(READ, f"s3://{bucket}/lake/mlflow").splitlines() == ["None", "[]"]
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_bucket_that_is_not_there_is_no_lake_without_models(s3: Any) -> None:
    """It is named, and what to do."""
    with pytest.raises(StorageError, match=r"no-such-bucket/lake/mlflow/mlflow\.db is out of reach.* Create the buc"):
        Registry(None, "fruits", "s3://no-such-bucket/lake/mlflow").champion(MODEL)
