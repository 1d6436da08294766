"""A lake whose `bronze.images` held the bytes, as it was just before these went to `bronze.contents`."""

import hashlib
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import bronze.job
from bronze.manifest import Labelling
from bronze.tables import CONTENTS, IMAGES
from fruits.operations.health import repair
from fruits.operations.relabel import relabel
from fruits.operations.run import run_layers
from fruits.settings import Settings, load_settings
from lakehouse.tables import delta
from lakehouse.tables.declare import declare
from lakehouse.tables.delta import Lake
from lakehouse.tables.layout import is_declared
from lakehouse.tables.table import Table
from lakehouse.workspace import Workspace
from tests import stub
from tests.conftest import add_photographs, photograph
from tests.world import World

pytestmark = pytest.mark.usefixtures("blank_pictures")

_LATER = ("given_label", "given_split", "corrected")
BEFORE = Table(
    "bronze.images",
    pa.schema(
        [
            *(field for field in IMAGES.schema if field.name not in _LATER),
            pa.field("content", pa.binary()),
            *(IMAGES.schema.field(name) for name in _LATER),
        ]
    ),
    ("path",),
    IMAGES.statistics,
    added=_LATER,
)
OLD = "a lake of before"
Rows = dict[str, dict[str, Any]]


def rows_of(settings: Settings, table: Table) -> Rows:
    """The rows of a table by its key."""
    (key,) = table.key
    found = delta.read_rows(Lake(settings.lake), table, table.schema.names)
    assert len({row[key] for row in found}) == len(found)
    return {row[key]: row for row in found}


class Old(World):
    """A world whose lake was of two ingests and a correction, with a photograph in each that has the same bytes."""

    def settings(self) -> Settings:
        """Of the lake."""
        return load_settings(images=str(self.photographs), lake=str(self.lake), encoder=stub.NAME, engine="local")

    def make(self) -> Rows:
        """Make the lake, and lay it out as before; returns the rows that `bronze.images` then had."""
        add_photographs(self.photographs, "Apple", range(3))
        bronze.job.run(Workspace(self.settings()))
        add_photographs(self.photographs, "Kiwi", range(3, 6))
        (self.photographs / "Kiwi" / "copy.png").write_bytes(photograph(0))
        bronze.job.run(Workspace(self.settings()))
        relabel(self.settings(), [Labelling(1, "Apple/1.png", "Pear", "Test")])
        bronze.job.run(Workspace(self.settings()))
        contents = rows_of(self.settings(), CONTENTS)
        images = rows_of(self.settings(), IMAGES).values()
        rows = [row | {"content": contents[row["sha256"]]["content"]} for row in images]
        rows.sort(key=lambda row: -row["batch"])  # the copy before what it is a copy of
        lake = Lake(self.settings().lake)
        batches = pa.Table.from_pylist(rows, BEFORE.schema).to_batches()
        delta.rewrite(lake, BEFORE, delta.existing(lake, IMAGES), batches)
        shutil.rmtree(lake.path(CONTENTS))
        return {row["path"]: row for row in rows}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tracking_store: Path, stub_encoder: str) -> tuple[Old, Rows]:
    """The lake of before, and the rows of its images."""
    world = Old(tmp_path_factory.mktemp("before"))
    (world.lake / "mlflow").mkdir(parents=True)
    shutil.copy(tracking_store, world.lake / "mlflow")
    rows = world.make()
    world.keep(OLD)
    return world, rows


@pytest.fixture
def settings(made: tuple[Old, Rows]) -> Settings:
    """The lake as it was."""
    made[0].go_back(OLD)
    return made[0].settings()


@pytest.fixture
def rows(made: tuple[Old, Rows]) -> Rows:
    """What its images were, with their bytes."""
    return made[1]


def run(settings: Settings) -> None:
    """Run all layers, and find nothing new in the photographs' folder."""
    summary = run_layers(settings)
    assert (summary["bronze"]["ingested"], summary["bronze"]["relabelled"], summary["bronze"]["unchanged"]) == (0, 0, 7)
    assert (summary["bronze"]["batch"], summary["silver"]["featurized"]) == (2, 6)  # copies once


def assert_migrated(settings: Settings, rows: Rows) -> None:
    """Each content once, by its first ingest, and the images as they were but for it."""
    lake = Lake(settings.lake)
    assert all(is_declared(table, delta.existing(lake, table)) for table in (IMAGES, CONTENTS))
    images = rows_of(settings, IMAGES)
    assert images == {
        path: {name: value for name, value in row.items() if name != "content"} for path, row in rows.items()
    }
    (corrected,) = [row for row in images.values() if row["corrected"]]
    assert [corrected[name] for name in ("label", "split", "given_label")] == ["Pear", "Test", "Apple"]
    contents = rows_of(settings, CONTENTS)
    assert sorted(row["first_batch"] for row in contents.values()) == [1, 1, 1, 2, 2, 2]
    assert contents[hashlib.sha256(photograph(0)).hexdigest()]["first_batch"] == 1
    assert {key: (row["content"], row["length"]) for key, row in contents.items()} == {
        row["sha256"]: (row["content"], len(row["content"])) for row in rows.values()
    }
    assert all(hashlib.sha256(row["content"]).hexdigest() == key for key, row in contents.items())


@pytest.mark.parametrize("migrate", [run, repair])
def test_bytes_of_a_lake_of_before_are_kept_apart(
    settings: Settings, rows: Rows, migrate: Callable[[Settings], object]
) -> None:
    """By a run and by repair; corrections and labels are as they were, and the run after finds nothing new."""
    migrate(settings)
    assert_migrated(settings, rows)
    run_layers(settings)
    assert_migrated(settings, rows)
    assert repair(settings) == []


def die_at(settings: Settings, commit: int) -> None:
    """Migrate, and be killed where that is about to make this commit, whose files are written."""
    left = commit

    def killed(*arguments: Any) -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        declare(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lakehouse.tables.delta.declare", killed)
        repair(settings)


@pytest.mark.parametrize(("commit", "migrate"), [(1, run), (2, repair)])
def test_migration_that_was_killed_is_finished_by_the_next(
    settings: Settings, rows: Rows, commit: int, migrate: Callable[[Settings], object]
) -> None:
    """SIGKILL before `bronze.contents` is there, and before `bronze.images` does without."""
    process = multiprocessing.get_context("forkserver").Process(target=die_at, args=(settings, commit))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    lake = Lake(settings.lake)
    assert (delta.open_table(lake, CONTENTS) is not None) == (commit == 2)
    assert delta.count(lake, BEFORE) == len(rows)
    migrate(settings)
    assert_migrated(settings, rows)
