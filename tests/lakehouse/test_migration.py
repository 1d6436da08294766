"""Tables of older releases are brought to this one's layouts, whatever kills the run; newer ones are refused."""

import multiprocessing
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import deltalake
import pyarrow as pa
import pytest

from fruits.settings import load_settings
from lakehouse.errors import ForeignTableError, LeaseLostError, OutdatedTableError, StorageError
from lakehouse.migration import Migration, open_for_writing, pending
from lakehouse.tables import delta
from lakehouse.tables.declare import declare
from lakehouse.tables.layout import is_declared
from lakehouse.tables.table import LAYOUT, Table, column, comment_of
from lakehouse.workspace import Workspace

OLD = Table(
    "garden.fruit", pa.schema([pa.field("path", pa.string()), pa.field("grams", pa.int64())]), ("path",), ("path",)
)
TOLD = replace(
    OLD,
    schema=pa.schema(
        [
            column("path", pa.string(), "URI of a fruit."),
            column("grams", pa.int64(), "Its weight in grams."),
            column("colour", pa.string(), "Its colour."),
        ]
    ),
    description="One row a fruit.",
    added=("colour",),
)
NEW = Table(
    "garden.fruit",
    pa.schema([column("path", pa.string(), "URI of a fruit."), column("kilograms", pa.float64(), "Its weight in kg.")]),
    ("path",),
    ("path", "kilograms"),
    "One row a fruit.",
    layout=2,
)
NEWEST = replace(NEW, layout=3, description="One row a fruit, weighed again.")
BASKETS = Table("garden.baskets", pa.schema([column("path", pa.string(), "URI of a fruit.")]), ("path",), ("path",))
ROWS = pa.table({"path": ["a", "b"], "grams": pa.array([100, None], pa.int64())})


def weigh(workspace: Workspace) -> None:
    """From grams to kilograms: layout 1 to 2."""
    found = delta.existing(workspace.lake, OLD)
    rows = pa.concat_tables(delta.read_columns(workspace.lake, OLD, ["path", "grams"])).to_pylist()
    kilograms = [{"path": row["path"], "kilograms": row["grams"] and row["grams"] / 1000} for row in rows]
    delta.rewrite(workspace.lake, NEW, found, pa.Table.from_pylist(kilograms, NEW.schema).to_batches())


def weigh_again(workspace: Workspace) -> None:
    """Layout 2 to 3, whose rows are the same."""
    declare(workspace.lake, NEWEST, delta.existing(workspace.lake, NEW))


def fill_baskets(workspace: Workspace) -> None:
    """A table of what an older release has kept in the first one."""
    rows = pa.concat_tables(delta.read_columns(workspace.lake, NEWEST, ["path"]))
    delta.create_filled(workspace.lake, BASKETS, rows.to_batches())


def die_before_the_commit(workspace: Workspace) -> None:
    """As `weigh_again`, killed where its files are written and not committed."""
    with delta.staging(workspace.lake, NEWEST) as staged:
        staged.write(pa.Table.from_pylist([{"path": "a", "kilograms": 0.1}], NEWEST.schema).to_batches())
        staged.close()
        os.kill(os.getpid(), signal.SIGKILL)


STEPS = (Migration(NEWEST, 1, weigh), Migration(NEWEST, 2, weigh_again), Migration(BASKETS, 0, fill_baskets))


@pytest.fixture
def old(tmp_path: Path) -> Workspace:
    """A lake as an older release has left it: one table, of two rows."""
    workspace = Workspace(load_settings(lake=str(tmp_path / "lake")))
    delta.create(workspace.lake, [OLD])
    delta.write_small(ROWS, workspace.lake, OLD, mode="append")
    return workspace


def rows(workspace: Workspace, table: Table) -> list[dict[str, object]]:
    """All rows, sorted."""
    found = pa.concat_tables(delta.read_columns(workspace.lake, table, table.schema.names)).to_pylist()
    return sorted(found, key=lambda row: str(row["path"]))


def commits(workspace: Workspace) -> int:
    """How many commits the table has."""
    return len([*Path(workspace.lake.path(OLD)).glob("_delta_log/*.json")])


def files(workspace: Workspace) -> dict[Path, bytes]:
    """All files of the lake."""
    return {path: path.read_bytes() for path in Path(workspace.lake.folder("")).rglob("*") if path.is_file()}


# ---- additive changes -----------------------------------------------------------------------------------------------


def test_added_columns_and_comments_come_in_one_commit(old: Workspace) -> None:
    """The layout stays, rows are null there, readers read before and after; the second opening commits nothing."""
    assert rows(old, TOLD) == [
        {"path": "a", "grams": 100, "colour": None},
        {"path": "b", "grams": None, "colour": None},
    ]
    assert pending(old, [TOLD]) == ["garden.fruit"]
    before = delta.existing(old.lake, OLD).metadata()
    assert open_for_writing(old, [TOLD]) == ["Brought columns and comments of garden.fruit to this release."]
    assert commits(old) == 3
    handle = delta.existing(old.lake, TOLD)
    assert is_declared(TOLD, handle)
    assert [comment_of(field) for field in pa.schema(handle.schema())] == [
        "URI of a fruit.",
        "Its weight in grams.",
        "Its colour.",
    ]
    assert (handle.metadata().id, handle.metadata().created_time) == (before.id, before.created_time)
    assert rows(old, TOLD)[0] == {"path": "a", "grams": 100, "colour": None}
    assert (open_for_writing(old, [TOLD]), pending(old, [TOLD]), commits(old)) == ([], [], 3)


def test_new_rows_stand_beside_those_without_the_column(old: Workspace) -> None:
    """Read together by our readers and by anybody's."""
    open_for_writing(old, [TOLD])
    delta.write_small(pa.table({"path": ["c"], "grams": [3], "colour": ["red"]}), old.lake, TOLD, mode="append")
    assert [row["colour"] for row in rows(old, TOLD)] == [None, None, "red"]
    anybody = deltalake.DeltaTable(old.lake.path(TOLD)).to_pyarrow_table().sort_by("path")
    assert anybody.column("colour").to_pylist() == [None, None, "red"]
    assert delta.dataset(old.lake, TOLD, 1).to_table().column("colour").to_pylist() == [None, None]


def test_job_brings_its_tables_up_without_an_opening(old: Workspace) -> None:
    """Once: whoever names them again in the same run opens nothing."""
    old.create_tables([TOLD, BASKETS])
    assert is_declared(TOLD, delta.existing(old.lake, TOLD))
    Path(old.lake.path(BASKETS)).rename(Path(old.lake.path(BASKETS)).with_name("away"))
    old.create_tables([TOLD, BASKETS])
    assert delta.open_table(old.lake, BASKETS) is None


def test_entry_that_somebody_else_has_written_meanwhile_is_not_written_over(old: Workspace) -> None:
    """Delta's own law: a commit is who writes its file first."""
    handle = delta.existing(old.lake, OLD)
    delta.write_small(ROWS, old.lake, OLD, mode="append")
    with pytest.raises(StorageError, match=r"Somebody else has written .*2\.json"):
        declare(old.lake, TOLD, handle)
    assert len(rows(old, OLD)) == 4
    assert [*Path(old.lake.path(OLD)).glob("_delta_log/*.part")] == []


def test_lost_lease_keeps_the_commit_back(tmp_path: Path, old: Workspace) -> None:
    """The guard is asked, as before any commit."""

    def refuse() -> None:
        raise LeaseLostError("lost")

    with pytest.raises(LeaseLostError):
        open_for_writing(Workspace(old.settings, guard=refuse), [TOLD])
    assert commits(old) == 2


# ---- layouts --------------------------------------------------------------------------------------------------------


def test_older_layout_is_migrated_step_by_step_each_in_one_commit(old: Workspace) -> None:
    """And a table is made of what lay elsewhere; the second opening does nothing."""
    assert pending(old, [NEWEST, BASKETS], STEPS) == ["garden.fruit"]
    assert open_for_writing(old, [NEWEST, BASKETS], STEPS) == [
        "Migrated garden.fruit, layout 2.",
        "Migrated garden.fruit, layout 3.",
        "Made garden.baskets, layout 1.",
    ]
    assert rows(old, NEWEST) == [{"path": "a", "kilograms": 0.1}, {"path": "b", "kilograms": None}]
    assert rows(old, BASKETS) == [{"path": "a"}, {"path": "b"}]
    assert commits(old) == 4
    assert all(is_declared(table, delta.existing(old.lake, table)) for table in (NEWEST, BASKETS))
    before = files(old)
    assert open_for_writing(old, [NEWEST, BASKETS], STEPS) == []
    assert files(old) == before


def _open_in_a_process(lake: str, steps: Sequence[Migration]) -> int | None:
    """The exit status of a process that opens a lake with these steps."""
    process = multiprocessing.get_context("spawn").Process(target=_open, args=(lake, steps))
    process.start()
    process.join()
    return process.exitcode


def _open(lake: str, steps: Sequence[Migration]) -> None:
    open_for_writing(Workspace(load_settings(lake=lake)), [NEWEST], steps)


def test_run_killed_while_it_migrates_is_gone_on_with(old: Workspace) -> None:
    """The first step is there, the second is done anew, and none twice."""
    steps = (STEPS[0], replace(STEPS[1], apply=die_before_the_commit))
    assert _open_in_a_process(old.settings.lake, steps) == -signal.SIGKILL
    assert rows(old, NEW) == [{"path": "a", "kilograms": 0.1}, {"path": "b", "kilograms": None}]
    assert open_for_writing(old, [NEWEST], STEPS[:2]) == ["Migrated garden.fruit, layout 3."]
    assert rows(old, NEWEST) == [{"path": "a", "kilograms": 0.1}, {"path": "b", "kilograms": None}]


def test_readers_of_an_older_layout_are_told_to_migrate(old: Workspace) -> None:
    """Not answered with columns that mean something else."""
    for read in (delta.open_table, delta.existing, delta.snapshot, delta.count, delta.data_files):
        with pytest.raises(OutdatedTableError, match=r"layout 1 of an older release; .*`fruits doctor --repair`"):
            read(old.lake, NEWEST)


def test_newer_layout_is_refused_and_no_table_touched(old: Workspace) -> None:
    """Neither the table nor another that could have been migrated; readers are refused, too."""
    delta.create(old.lake, [BASKETS])
    baskets = deltalake.DeltaTable(old.lake.path(BASKETS))
    baskets.alter.set_table_properties({LAYOUT: "4"}, raise_if_not_exists=False)
    before = files(old)
    refused = r"garden\.baskets has another layout \(fruits\.layout=4, this version writes 1"
    for reading in (lambda: open_for_writing(old, [NEWEST, BASKETS], STEPS), lambda: delta.existing(old.lake, BASKETS)):
        with pytest.raises(ForeignTableError, match=refused):
            reading()
    assert files(old) == before


def test_layout_that_no_step_leads_from_is_refused(old: Workspace) -> None:
    """With what to do, and untouched."""
    before = files(old)
    with pytest.raises(ForeignTableError, match=r"has the layout 1, .* knows no way from there"):
        open_for_writing(old, [NEWEST], STEPS[1:2])
    assert files(old) == before


def test_new_lake_has_nothing_to_migrate(tmp_path: Path) -> None:
    """No step is asked, no folder made."""

    def never(workspace: Workspace) -> None:
        raise AssertionError(workspace)

    workspace = Workspace(load_settings(lake=str(tmp_path / "lake")))
    assert open_for_writing(workspace, [BASKETS], [Migration(BASKETS, 0, never)]) == []
    assert not (tmp_path / "lake").exists()
