"""Erased for good: no file of the lake holds a forgotten photograph's bytes or features, and the rest goes on."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from bronze.tables import CONTENTS, IMAGES, QUARANTINE
from fruits.operations.forget import forget, format_forgotten
from fruits.operations.maintain import maintain_lake
from fruits.operations.run import LAYERS, run_pipeline
from fruits.settings import Settings, load_settings
from gold.tables import PROJECTIONS
from lakehouse.errors import NotHeldError
from lakehouse.failpoint import VARIABLE
from lakehouse.tables import delta
from lakehouse.workspace import Workspace
from silver.moments import Moments
from silver.statistics import read_moments
from silver.tables import FEATURES, SCALED
from tests.conftest import add_photographs, photograph
from tests.points import crash_points
from tests.stub import STUB as ENCODER
from tests.stub import stub_features
from tests.world import World

pytestmark = pytest.mark.usefixtures("blank_pictures")
SECRET, SECOND = photograph(1000, size=(40, 40)), photograph(1001, size=(40, 40))
CUT = "cut.parquet"  # what no reader can open, and yet holds bytes
HISTORY = "a lake with a history"


def features(content: bytes) -> Any:
    """What the encoder makes of a photograph."""
    return stub_features(memoryview(content))


def in_bytes(folder: Path) -> set[str]:
    """The files, of any kind, in which a slice of either secret or its features as float32 stand."""
    needles = [content[200:232] for content in (SECRET, SECOND)]
    needles += [features(content).tobytes() for content in (SECRET, SECOND)]
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)) for file in files if any(one in file.read_bytes() for one in needles)}


def in_rows(folder: Path, path: str) -> set[str]:
    """The data files, current or not, with a row of this path or with a secret's content or features."""
    found = set()
    for file in folder.rglob("*.parquet"):
        if "_delta_log" in file.parts or file.name == CUT:
            continue
        for row in pq.ParquetFile(file).read().to_pylist():
            vectors = [np.array(row["features"], np.float32)] if row.get("features") else []
            secret = any(np.array_equal(one, features(content)) for one in vectors for content in (SECRET, SECOND))
            if row.get("path") == path or row.get("content") in (SECRET, SECOND) or secret:
                found.add(str(file.relative_to(folder)))
    return found


def make_world(folder: Path, engine: str) -> World:
    """A lake whose photograph `Apple/secret.png` was ingested, broken, replaced (by the engine), and fitted on."""
    world = World(folder)
    secret = world.photographs / "Apple" / "secret.png"
    add_photographs(world.photographs, "Apple", range(5))
    add_photographs(world.photographs, "Kiwi", range(5, 10))
    for content in (SECRET, SECRET[:-5], SECOND):
        secret.write_bytes(content)
        run_pipeline(workspace_of(world, engine if content is SECOND else "local"), LAYERS, lambda: ENCODER)
    refit = workspace_of(world, "local", refit="always")
    run_pipeline(refit, LAYERS, lambda: ENCODER)
    # A run that died has left a file of its own.
    (orphan,) = [Path(name) for name in delta.data_files(refit.lake, FEATURES)][:1]
    orphan.with_name("orphan.parquet").write_bytes(orphan.read_bytes())
    orphan.with_name(CUT).write_bytes(orphan.read_bytes()[:-20])
    world.keep(HISTORY)
    return world


def workspace_of(world: World, engine: str, **options: str) -> Workspace:
    """The world's lake, under an engine."""
    places = {"images": str(world.photographs), "lake": str(world.lake)}
    return Workspace(load_settings(**places, weights="untrained", engine=engine, **options))


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], World]:
    """The lake of an engine, made once; Spark's has files of its change feed, which the local engine does without."""
    return cache(lambda engine: make_world(tmp_path_factory.mktemp(f"forget-{engine}"), engine))


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """The local engine, unless a test is of each."""
    return str(getattr(request, "param", "local"))


@pytest.fixture
def world(worlds: Callable[[str], World], engine: str, request: pytest.FixtureRequest) -> World:
    """The lake as it was made with its engine."""
    if engine == "spark":
        request.getfixturevalue("spark")
    world = worlds(engine)
    world.go_back(HISTORY)
    return world


@pytest.fixture
def workspace(world: World, engine: str) -> Workspace:
    """The world's lake, under its engine."""
    return workspace_of(world, engine)


@pytest.fixture
def secret(world: World) -> Path:
    """The photograph to forget."""
    return world.photographs / "Apple" / "secret.png"


def assert_forgotten(workspace: Workspace, world: World, path: str) -> None:
    """No file holds it, the others are all there, and the moments are theirs alone."""
    assert in_rows(world.lake, path) == set()
    assert in_bytes(world.lake) == set()
    for table in (IMAGES, CONTENTS, FEATURES, SCALED, PROJECTIONS):
        assert delta.count(workspace.lake, table) == 10, table.name
    covered = read_moments(workspace.lake)
    assert covered is not None
    expected = Moments.of(np.stack([features(photograph(seed)) for seed in range(10)]).astype(np.float64))
    assert covered.moments.count == 10
    np.testing.assert_allclose(covered.moments.mean, expected.mean, rtol=1e-9)
    np.testing.assert_allclose(covered.moments.scatter, expected.scatter, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("engine", ["local", pytest.param("spark", marks=pytest.mark.slow)], indirect=True)
def test_forgotten_photograph_is_in_no_file_of_the_lake(
    workspace: Workspace, world: World, secret: Path, engine: str
) -> None:
    """Not in history, the change feed, quarantine, what a dead run left, or an artifact that names it."""
    artifact = next((world.lake / "mlflow" / "artifacts").rglob("figures")) / "outliers.json"
    artifact.write_text(f'["{secret}"]')
    path = f"file://{secret}"
    assert {file.split("/")[1] for file in in_rows(world.lake, path)} >= {"images", "features", "scaled", "projections"}
    assert any("_change_data" in file for file in in_rows(world.lake, path)) == (engine == "spark")
    assert {file.split("/")[0] for file in in_bytes(world.lake)} >= {"bronze", "silver"}
    secret.unlink()
    done = forget(workspace.section(Settings), [str(secret)])
    assert done.contents == 2
    assert {name: rows for name, rows in done.rows.items() if rows} == {
        **{table.name: 1 for table in (IMAGES, FEATURES, SCALED, PROJECTIONS)},
        CONTENTS.name: 2,  # with what it had before it was replaced
    }
    assert done.artifacts == [f"file://{artifact}"]
    assert done.originals == []
    assert_forgotten(workspace, world, path)
    with pytest.raises(NotHeldError, match="does not hold"):
        forget(workspace.section(Settings), [str(secret)])
    assert run_pipeline(workspace_of(world, engine), LAYERS, lambda: ENCODER)["gold"]["images"] == 10
    assert_forgotten(workspace, world, path)


POINTS = crash_points("fruits/operations/forget.py")


@pytest.mark.parametrize(
    ("engine", "point"),
    [("local", point) for point in POINTS]
    + [pytest.param("spark", point, marks=() if point == POINTS[0] else pytest.mark.slow) for point in POINTS],
    indirect=["engine"],
)
def test_forgetting_killed_there_is_finished_by_the_same_call(
    workspace: Workspace, world: World, secret: Path, point: str
) -> None:
    """SIGKILL at each point, in a process of its own, which computes by the local engine, whatever made the lake."""
    secret.unlink()
    command = [sys.executable, "-m", "fruits", "forget", str(secret), "--lake", str(world.lake)]
    done = subprocess.run(command, env={**os.environ, VARIABLE: point}, capture_output=True, timeout=300, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    forget(workspace.section(Settings), [str(secret)])
    assert_forgotten(workspace, world, f"file://{secret}")


def test_photograph_in_quarantine_is_forgotten_and_an_original_is_named(workspace: Workspace, secret: Path) -> None:
    """What is still on the disk is the user's to delete: it would be taken up again."""
    secret.write_bytes(SECRET[:100])
    run_pipeline(workspace, LAYERS, lambda: ENCODER)
    assert delta.count(workspace.lake, QUARANTINE) == 1
    done = forget(workspace.section(Settings), [str(secret)])
    assert done.rows[QUARANTINE.name] == 1
    assert delta.count(workspace.lake, QUARANTINE) == 0
    assert done.originals == [f"file://{secret}"]
    assert "Delete: file://" in format_forgotten(done)


def test_file_that_never_was_a_photograph_is_forgotten(workspace: Workspace, world: World) -> None:
    """It has no content in any layer: there is but the row in quarantine."""
    broken = world.photographs / "Apple" / "broken.png"
    broken.write_bytes(b"no photograph")
    run_pipeline(workspace, LAYERS, lambda: ENCODER)
    broken.unlink()
    done = forget(workspace.section(Settings), [str(broken)])
    assert (done.contents, done.rows[QUARANTINE.name]) == (0, 1)
    assert delta.count(workspace.lake, QUARANTINE) == 0


def test_copy_under_another_name_and_a_stranger_are_refused_before_anything_changes(
    workspace: Workspace, world: World, secret: Path
) -> None:
    """The same bytes elsewhere must be named too; a path that never was in the lake is an error."""
    copy = world.photographs / "Kiwi" / "copy.png"
    copy.write_bytes(SECOND)
    run_pipeline(workspace, LAYERS, lambda: ENCODER)
    before = delta.existing(workspace.lake, IMAGES).version()
    with pytest.raises(NotHeldError, match=rf"The same bytes are held under file://{copy} too"):
        forget(workspace.section(Settings), [str(secret)])
    with pytest.raises(NotHeldError, match=r"does not hold file:///nowhere/1\.png, nor did it"):
        forget(workspace.section(Settings), [str(secret), "/nowhere/1.png"])
    assert delta.existing(workspace.lake, IMAGES).version() == before
    for path in (secret, copy):
        path.unlink()
    forget(workspace.section(Settings), [str(secret), str(copy)])
    assert_forgotten(workspace, world, f"file://{secret}")


def test_content_that_was_replaced_is_kept_where_another_photograph_has_it(
    workspace: Workspace, world: World, secret: Path
) -> None:
    """Whoever had it before is refused, and what is erased otherwise takes no bytes with it that somebody has."""
    copy = world.photographs / "Kiwi" / "copy.png"
    copy.write_bytes(SECRET)
    run_pipeline(workspace, LAYERS, lambda: ENCODER)
    with pytest.raises(NotHeldError, match=rf"The same bytes are held under file://{copy} too"):
        forget(workspace.section(Settings), [str(secret)])
    gone = world.photographs / "Apple" / "0.png"
    gone.unlink()
    forget(workspace.section(Settings), [str(gone)])
    kept = {row["content"] for row in delta.read_rows(workspace.lake, CONTENTS, ["content"])}
    assert kept == {SECRET, SECOND, *map(photograph, range(1, 10))}
    assert run_pipeline(workspace, LAYERS, lambda: ENCODER)["silver"]["featurized"] == 0


@pytest.mark.parametrize("maintained", [False, True])
def test_bytes_that_any_photograph_had_before_it_was_replaced_are_erased(
    workspace: Workspace, world: World, *, maintained: bool
) -> None:
    """With whichever is forgotten; also where upkeep has taken them out of the newest version and merged its files."""
    settings = workspace.section(Settings)
    slices = photograph(3)[60:92], photograph(1000, size=(40, 40))[200:232]  # two that were replaced

    def held() -> set[str]:
        files = [file for file in world.lake.rglob("*") if file.is_file()]
        return {file.parent.name for file in files if any(one in file.read_bytes() for one in slices)}

    (world.photographs / "Apple" / "3.png").write_bytes(photograph(50))
    run_pipeline(workspace, LAYERS, lambda: ENCODER)
    assert "contents" in held()
    if maintained:
        assert maintain_lake(settings).contents == 2
        assert len(delta.data_files(workspace.lake, CONTENTS)) == 1
        assert "contents" in held()  # in files of history
    gone = world.photographs / "Kiwi" / "7.png"
    gone.unlink()
    done = forget(settings, [str(gone)])
    assert done.rows[CONTENTS.name] == (1 if maintained else 3)
    assert held() == set()
    assert delta.count(workspace.lake, CONTENTS) == delta.count(workspace.lake, IMAGES) == 10
