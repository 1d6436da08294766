"""MLflow as a mirror of the lake's models: told once, asked without being imported, and obeyed in one thing."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow.sklearn
import pytest

from lakehouse.errors import LeaseLostError, MirrorError
from lakehouse.models.mirror import Mirror
from lakehouse.models.registry import Registry
from lakehouse.models.shown import ABSENT, fingerprint
from tests.lakehouse.models.mirrored import MODEL, World, describe


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, tracking_store: Path) -> Path:
    """A lake whose two versions are shown in its own store, made once; MLflow keeps its place."""
    world = World(tmp_path_factory.mktemp("mirror") / "a lake")
    world.folder.mkdir(parents=True)
    shutil.copy(tracking_store, world.folder)
    world.fit(3)
    world.fit(4)
    assert world.show() == 2
    folder = world.folder.parent
    shutil.copytree(folder, folder.with_name("kept"))
    return folder


@pytest.fixture
def world(kept: Path) -> World:
    """The lake as it was made, whatever other tests have done to it."""
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(kept.with_name("kept"), kept)
    return World(kept)


def refuse_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens MLflow from here on fails."""

    def refuse(mirror: Mirror) -> None:
        raise AssertionError("MLflow was opened")

    monkeypatch.setattr(Mirror, "_open", refuse)


def in_new_process(code: str, *arguments: str, **variables: str) -> str:
    """What a Python program prints."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **variables})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# ---- shown ----------------------------------------------------------------------------------------------------------


def test_version_is_to_mlflow_what_it_makes_itself(world: World) -> None:
    """Run, logged model and version name each other, figures stand with the run, and anyone can load the model."""
    registered = world.client.get_model_version_by_alias(MODEL, "champion")
    run = world.client.get_run(registered.run_id)
    assert (run.info.status, run.data.metrics["images"], run.data.tags["fitted_on"]) == ("FINISHED", 4, "4")
    assert run.info.run_name == f"{MODEL} 4 images"
    assert [one.path for one in world.client.list_artifacts(registered.run_id, "figures")] == ["figures/plot.txt"]
    (output,) = run.outputs.model_outputs
    logged = world.client.get_logged_model(output.model_id)
    assert registered.source == logged.artifact_location
    assert (logged.name, str(logged.status), logged.source_run_id) == (MODEL, "READY", registered.run_id)
    assert {metric.key: metric.value for metric in logged.metrics} == {"images": 4}
    model = world.model()
    assert (registered.tags["fruits.lake"], registered.tags["fruits.version"]) == (model.lake_id, "2")
    load = """
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
print(mlflow.sklearn.load_model("models:/fruits-scaler@champion").mean_.tolist())
"""
    assert in_new_process(load, world.uri) == "[0.5, 1.1666666666666665]"


def test_what_is_shown_is_told_and_asked_without_mlflow(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing new: the state of the database says so."""
    runs = world.mirror().run_ids(world.model())
    assert runs == {one: world.client.get_model_version(MODEL, str(one)).run_id for one in (1, 2)}
    refuse_mlflow(monkeypatch)
    assert (world.show(), world.moved()) == (0, None)
    assert world.mirror().lacks(world.model()) == []
    assert world.mirror().run_ids(world.model()) == runs


def test_aliases_follow_the_lake(world: World) -> None:
    """A pin and its release are shown with the version that they are of."""
    registry = Registry(world.lake)
    first = registry.version(MODEL, 1)
    assert first is not None
    registry.choose(first, "rollback", pin=True)
    assert world.mirror().lacks(world.model()) == [f"{MODEL}'s alias champion", f"{MODEL}'s alias pinned"]
    world.show()
    assert world.client.get_registered_model(MODEL).aliases == {"champion": 1, "pinned": 1}
    Registry(world.lake).release(MODEL, "unpinned")
    world.show()
    assert world.client.get_registered_model(MODEL).aliases == {"champion": 1}
    assert world.mirror().lacks(world.model()) == []


@pytest.mark.parametrize("point", ["mirror.logged", "mirror.registered", "mirror.published"])
def test_run_that_dies_while_it_shows_shows_nothing_twice(
    world: World, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run goes on where it stopped."""

    class DiedError(BaseException):
        pass

    def die(at: str) -> None:
        if at == point:
            raise DiedError

    world.fit(5)
    with monkeypatch.context() as patch:
        patch.setattr("lakehouse.models.mirror.crash_point", die)
        with pytest.raises(DiedError):
            world.show()
    assert world.moved() is None
    world.show()
    assert world.shown == [(1, "3"), (2, "4"), (3, "5")]
    assert world.mirror().lacks(world.model()) == []


def test_guard_forbids_every_change(world: World) -> None:
    """A writer that has lost the lease shows no version and moves no alias."""

    def lost() -> None:
        raise LeaseLostError("The lease is lost.")

    world.fit(5)
    with pytest.raises(LeaseLostError):
        world.mirror(lost).show(world.model(), describe)
    assert world.shown == [(1, "3"), (2, "4")]


# ---- a person's hand ------------------------------------------------------------------------------------------------


def test_alias_that_a_person_moves_is_seen(world: World) -> None:
    """Until the lake has followed: from then on it is where it belongs."""
    world.client.set_registered_model_alias(MODEL, "champion", "1")
    assert world.moved() == 1
    registry = Registry(world.lake)
    first = registry.version(MODEL, 1)
    assert first is not None
    registry.choose(first, "moved in MLflow", pin=True)
    assert world.moved() is None
    world.show()
    world.fit(5)
    assert world.moved() is None  # the alias is behind the lake, and nobody has moved it
    world.show()
    assert world.client.get_registered_model(MODEL).aliases["champion"] == 3


def test_alias_on_what_is_no_version_of_the_lake_is_left_alone(world: World) -> None:
    """Somebody's own model under our name is not the lake's."""
    source = world.client.get_model_version(MODEL, "1").source
    world.client.create_model_version(MODEL, source, tags={"fruits.fit": "another's"})
    world.client.set_registered_model_alias(MODEL, "champion", "3")
    assert world.moved() is None


def test_deleted_version_is_shown_again_when_asked_for(world: World) -> None:
    """A run leaves alone what somebody has tidied away; `doctor --repair` shows it again."""
    world.client.delete_model_version(MODEL, "1")
    assert world.show() == 0
    assert world.mirror().lacks(world.model()) == [f"{MODEL} version 1"]
    assert world.show(again=True) == 1
    assert world.shown == [(2, "4"), (3, "3")]
    assert world.mirror().lacks(world.model()) == []


@pytest.mark.parametrize("what", ["model", "experiment", "database", "artifacts", "all"])
def test_store_that_was_tidied_shows_the_next_fit(world: World, what: str) -> None:
    """Whatever is gone, a fit is shown, and all else when it is asked for."""
    match what:
        case "model":
            world.client.delete_registered_model(MODEL)
        case "experiment":
            found = world.client.get_experiment_by_name("fruits")
            assert found is not None
            world.client.delete_experiment(found.experiment_id)
        case "database":
            (world.folder / "mlflow.db").unlink()
        case "artifacts":
            shutil.rmtree(world.folder / "artifacts")
        case "all":
            shutil.rmtree(world.folder)
    assert world.moved() is None
    # With the folder goes the word of what was shown; else what somebody has deleted is not shown again.
    assert world.show() == (2 if what == "all" else 0)
    world.fit(5)
    assert world.show() == 1
    assert world.client.get_model_version_by_alias(MODEL, "champion").tags["fitted_on"] == "5"
    world.show(again=True)
    assert sorted(fitted for _, fitted in world.shown) == ["3", "4", "5"]


# ---- what is kept beside the database -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda _: b'{"layout": 2',
        lambda _: b"\xff\xfe",
        lambda _: b"[]",
        lambda kept: json.dumps({**kept, "layout": 1}).encode(),
        lambda kept: json.dumps({key: value for key, value in kept.items() if key != "models"}).encode(),
        lambda kept: json.dumps({**kept, "models": {MODEL: {"aliases": {}}}}).encode(),
    ],
    ids=["empty", "cut", "no-text", "no-object", "layout", "no-models", "no-versions"],
)
def test_kept_file_that_is_not_understood_is_stale(world: World, damage: Callable[[Any], bytes]) -> None:
    """Damaged, of another layout or without a key: MLflow is asked, and nothing is shown twice."""
    kept = world.folder / "registry.json"
    kept.write_bytes(damage(json.loads(kept.read_bytes())))
    assert world.mirror().lacks(world.model()) == []
    assert world.show() == 0
    assert world.shown == [(1, "3"), (2, "4")]


def test_reader_keeps_nothing(world: World) -> None:
    """Who only asks changes nothing in a lake."""
    world.client.set_registered_model_alias(MODEL, "champion", "1")
    before = (world.folder / "registry.json").read_bytes()
    reader = Mirror(None, "fruits", str(world.folder))
    assert reader.lacks(world.model()) == [f"{MODEL}'s alias champion"]
    assert (world.folder / "registry.json").read_bytes() == before


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


# ---- a database of another MLflow -----------------------------------------------------------------------------------


def make_older(path: Path) -> str:
    """Make a database as the MLflow before the last change of the schema made it; returns its revision."""
    from alembic import command
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config, create_sqlalchemy_engine
    from mlflow.store.tracking.dbmodels.initial_models import Base

    engine = create_sqlalchemy_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    config = _get_alembic_config(str(engine.url))
    script = ScriptDirectory.from_config(config)
    revision = str(script.get_revision(script.get_heads()[0]).down_revision)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()
    row = (0, "Default", f"{path.parent}/artifacts/0", "active")
    with closing(sqlite3.connect(path)) as connection, connection:
        columns = "experiment_id, name, artifact_location, lifecycle_stage"
        connection.execute(f"INSERT INTO experiments ({columns}) VALUES (?, ?, ?, ?)", row)
    return revision


def test_database_of_an_older_mlflow_is_upgraded_by_a_writer_and_kept(world: World) -> None:
    """Who reads changes nothing, and is told what upgrades it."""
    database = world.folder / "mlflow.db"
    database.unlink()
    revision = make_older(database)
    before = database.read_bytes()
    with pytest.raises(MirrorError, match=r"is of an older MLflow\. `fruits doctor --repair` upgrades it"):
        Mirror(None, "fruits", str(world.folder)).lacks(world.model())
    assert database.read_bytes() == before
    assert world.show(again=True) == 2
    assert world.shown == [(1, "3"), (2, "4")]
    assert (world.folder / f"mlflow.db.{revision}").read_bytes() == before


def test_database_of_a_newer_mlflow_is_not_touched(world: World) -> None:
    """And named, with what to do."""
    database = world.folder / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    before = database.read_bytes()
    world.fit(5)
    with pytest.raises(MirrorError, match=r"a newer MLflow has written it\. It was not touched"):
        world.show()
    assert database.read_bytes() == before


# ---- a lake that has been moved -------------------------------------------------------------------------------------


@pytest.mark.parametrize("move", [shutil.move, shutil.copytree], ids=["moved", "copied"])
def test_artifacts_are_found_where_the_lake_is_now(
    world: World, tmp_path: Path, move: Callable[[Path, Path], object]
) -> None:
    """After the first look of a writer: files, model and new figures are the new place's, and the old is left alone."""
    before = {path: path.read_bytes() for path in world.folder.rglob("*") if path.is_file()}
    move(world.folder.parent, tmp_path / "an other")
    moved = World(tmp_path / "an other")
    assert moved.show() == 0
    assert moved.mirror().lacks(moved.model()) == []
    moved.fit(5)
    assert moved.show() == 1
    for number in ("1", "3"):
        run_id = str(moved.client.get_model_version(MODEL, number).run_id)
        assert [one.path for one in moved.client.list_artifacts(run_id, "figures")] == ["figures/plot.txt"]
    source = moved.client.get_model_version_download_uri(MODEL, "1")
    assert str(tmp_path / "an other") in source
    assert mlflow.sklearn.load_model(source).mean_.tolist() == [0.5, 1.0]
    left = {path: path.read_bytes() for path in world.folder.rglob("*") if path.is_file()}
    assert left == (before if move is shutil.copytree else {})


# ---- stores that others use, too ------------------------------------------------------------------------------------


def test_two_lakes_in_one_store_do_not_know_of_each_other(tmp_path: Path, tracking_store: Path) -> None:
    """Each has names of its own there, and follows its own aliases alone."""
    shutil.copy(tracking_store, tmp_path / "named.db")
    uri = f"sqlite:///{tmp_path}/named.db"
    worlds = [World(tmp_path / name, uri) for name in ("one", "other")]
    worlds[0].client.create_experiment("fruits", artifact_location=str(tmp_path / "artifacts"))
    for images in (3, 4):
        for world in worlds:
            world.fit(images)
            assert world.show() == 1
    assert [world.shown for world in worlds] == [[(1, "3"), (2, "4")]] * 2
    worlds[0].client.set_registered_model_alias(worlds[0].model().name, "champion", "1")
    assert [world.moved() for world in worlds] == [1, None]
    assert [world.mirror().lacks(world.model()) == [] for world in worlds] == [False, True]


SHOW = """
import os, sys
from pathlib import Path
from lakehouse.models.mirror import Mirror
from lakehouse.models.registry import Registry
from lakehouse.tables.delta import Lake
from tests.lakehouse.models.mirrored import MODEL, describe
mirror = Mirror(None, "fruits", sys.argv[1] + "/mlflow", lambda: None)
os.chdir(sys.argv[2])
print(mirror.show(mirror.model_of(Registry(Lake("file://" + sys.argv[1])), MODEL), describe))
import mlflow
print(os.environ.get("MLFLOW_TRACKING_URI"), sys.argv[1] in mlflow.get_tracking_uri(), os.listdir())
"""


def test_mlflow_of_the_process_is_left_alone_and_leads_nobody_astray(world: World, tmp_path: Path) -> None:
    """Neither its settings nor the working folder change, and its variables for other projects mean nothing here."""
    work, fitted = tmp_path / "work", world.fit(5)
    work.mkdir()
    others = {
        "MLFLOW_REGISTRY_URI": f"sqlite:///{tmp_path}/elsewhere.db",
        "MLFLOW_RUN_ID": "0123456789abcdef0123456789abcdef",
        "MLFLOW_EXPERIMENT_ID": "7",
        "MLFLOW_EXPERIMENT_NAME": "somebody else's",
    }
    said = in_new_process(SHOW, str(world.folder.parent), str(work), **others, PYTHONPATH=str(Path.cwd()))
    assert said.splitlines() == ["1", "None False []"]
    registered = world.client.get_model_version_by_alias(MODEL, "champion")
    assert registered.tags["fruits.fit"] == fitted.fit
    experiment = world.client.get_experiment(world.client.get_run(registered.run_id).info.experiment_id)
    assert experiment.name == "fruits"
    assert not (tmp_path / "elsewhere.db").exists()


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "nonsense://server", "sqlite:////proc/none/mlflow.db"])
def test_store_that_does_not_work_is_named(world: World, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one sentence with what MLflow said."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    broken = World(world.folder.parent, uri)
    with pytest.raises(MirrorError, match=f"MLflow's store {uri} does not work: "):
        broken.show()


def test_damaged_database_is_named(world: World) -> None:
    """What is no SQLite file is told as that."""
    (world.folder / "mlflow.db").write_bytes(b"no database" * 100)
    with pytest.raises(MirrorError, match=r"mlflow\.db does not work"):
        world.moved()
