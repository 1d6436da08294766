"""Following an upstream: the difference is found, worked off under one model version, and remembered to be empty."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.engine.port import Engine, Rows
from lakehouse.since import brought_to, changed_since
from lakehouse.sync import difference, is_in_sync_with, record_upstream, snapshot_id, sync_table
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import Table
from tests.conftest import Opening

FRUIT = Table(
    name="garden.fruit",
    schema=pa.schema([("path", pa.string()), ("sha256", pa.string())]),
    key=("path",),
    statistics=("path",),
)
JAM = Table(
    name="kitchen.jam",
    schema=pa.schema([("path", pa.string()), ("sha256", pa.string()), ("recipe", pa.int64())]),
    key=("path",),
    statistics=("path", "recipe"),
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with an upstream and the table that follows it, without rows."""
    lake = Lake(f"file://{tmp_path}/lake")
    delta.create(lake, [FRUIT, JAM])
    return lake


@pytest.fixture
def engine(opened: Opening) -> Engine:
    """The local engine on the lake."""
    return opened("local")


def pick(lake: Lake, **contents: str) -> None:
    """Have the upstream hold these rows alone: path → sha256."""
    rows = pa.table([[*contents], [*contents.values()]], schema=FRUIT.schema)
    delta.write_small(rows, lake, FRUIT, mode="overwrite")


def cook(engine: Engine, lake: Lake, recipe: int) -> tuple[tuple[int, int], set[str]]:
    """Bring the jam to the fruit; returns the counts, and which fruit were cooked."""
    cooked: set[str] = set()

    def make(among: Rows | None) -> Rows:
        fruit = engine.rows(FRUIT, FRUIT.schema.names, among=among)
        cooked.update(engine.arrow(fruit)["path"].to_pylist())
        return engine.sql("SELECT path, sha256, CAST(:recipe AS BIGINT) AS recipe FROM f", {"recipe": recipe}, f=fruit)

    upstream = snapshot_id(lake, FRUIT)
    version = ("recipe", recipe)
    done = sync_table(engine, lake, JAM, FRUIT, make, same=["sha256"], version=version, follows=upstream)
    assert is_in_sync_with(lake, JAM, upstream)
    return (done.made, done.removed), cooked


def jam(lake: Lake, version: int | None = None) -> set[tuple[str, str, int]]:
    """What the table holds."""
    rows = delta.existing(lake, JAM, version).to_pyarrow_table().select(JAM.schema.names).to_pylist()
    assert len(rows) == len({row["path"] for row in rows})
    return {tuple(row.values()) for row in rows}


def version(lake: Lake) -> int:
    """The table's version."""
    return delta.existing(lake, JAM).version()


def table(columns: dict[str, pa.DataType], *rows: tuple[Any, ...]) -> pa.Table:
    """Rows in memory."""
    return pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in rows], pa.schema([*columns.items()]))


TEXT = pa.string()
UPSTREAM = {"path": TEXT, "sha256": TEXT, "label": TEXT, "note": pa.int64()}


def test_difference_says_what_to_insert_update_and_delete(opened: Opening, engine_name: str) -> None:
    """Null equals null and nothing else; what is current is left out; columns that are not compared change nothing."""
    engine = opened(engine_name)
    upstream = table(
        UPSTREAM,
        ("current", "a", "kiwi", 1),
        ("current with null", None, None, 2),
        ("another note", "a", "kiwi", 3),
        ("new", "a", None, 4),
        ("other content", "b", "kiwi", 5),
        ("other label", "a", "pear", 6),
        ("null before", "a", "kiwi", 7),
        ("null now", None, "kiwi", 8),
    )
    downstream = table(
        {"path": TEXT, "label": TEXT, "sha256": TEXT, "note": pa.float64()},
        ("current", "kiwi", "a", 0.5),
        ("current with null", None, None, 0.5),
        ("another note", "kiwi", "a", 0.5),
        ("other content", "kiwi", "a", 0.5),
        ("other label", "kiwi", "a", 0.5),
        ("null before", "kiwi", None, 0.5),
        ("null now", "kiwi", "a", 0.5),
        ("gone", "kiwi", "a", 0.5),
        ("gone with null", None, None, None),
    )
    expected = table(
        {**UPSTREAM, "change": TEXT},
        ("gone", None, None, None, "delete"),
        ("gone with null", None, None, None, "delete"),
        ("new", "a", None, 4, "insert"),
        ("null before", "a", "kiwi", 7, "update"),
        ("null now", None, "kiwi", 8, "update"),
        ("other content", "b", "kiwi", 5, "update"),
        ("other label", "a", "pear", 6, "update"),
    )
    found = difference(engine, engine.of(upstream), engine.of(downstream), "path", ("sha256", "label"))
    assert found.columns == expected.column_names
    assert engine.arrow(found).sort_by("path").to_pylist() == expected.to_pylist()


def test_difference_of_equal_tables_is_empty_and_by_key_alone_ignores_content(engine: Engine) -> None:
    """A table follows itself; where no column is compared only presence counts."""
    columns = {"path": TEXT, "sha256": TEXT, "batch": pa.int64()}
    ours = engine.of(table(columns, ("a", "1", 1), ("b", None, 2)))
    theirs = engine.of(table(columns, ("a", "2", 2), ("c", "3", 3)))
    assert engine.arrow(difference(engine, ours, ours, "path", ("sha256", "batch"))).num_rows == 0
    changes = engine.arrow(difference(engine, ours, theirs, "path", ())).to_pylist()
    assert sorted((row["path"], row["change"]) for row in changes) == [("b", "insert"), ("c", "delete")]


def test_only_what_changed_is_made_under_the_same_model(opened: Opening, lake: Lake, engine_name: str) -> None:
    """New and other content is made, what is gone is removed, and a second call commits nothing."""
    engine = opened(engine_name)
    pick(lake, a="1", b="2")
    assert cook(engine, lake, 7) == ((2, 0), {"a", "b"})
    pick(lake, a="1", b="3", c="4")
    assert cook(engine, lake, 7) == ((2, 0), {"b", "c"})
    assert jam(lake) == {("a", "1", 7), ("b", "3", 7), ("c", "4", 7)}
    pick(lake, c="4")
    assert cook(engine, lake, 7) == ((0, 2), set())
    before = version(lake)
    assert cook(engine, lake, 7) == ((0, 0), set())
    assert (version(lake), jam(lake)) == (before, {("c", "4", 7)})


def test_another_model_replaces_all_rows_in_one_commit(engine: Engine, lake: Lake) -> None:
    """No version of the table holds rows of two models."""
    pick(lake, a="1", b="2")
    cook(engine, lake, 7)
    before = version(lake)
    pick(lake, a="1", c="2")
    assert cook(engine, lake, 8) == ((2, 0), {"a", "c"})
    assert jam(lake) == {("a", "1", 8), ("c", "2", 8)}
    assert version(lake) == before + 1


def test_last_commit_of_the_difference_says_what_the_table_follows(engine: Engine, lake: Lake) -> None:
    """Not a commit more than rows need: one of what is new, one of what is gone, and one alone where nothing is."""
    pick(lake, a="1")
    cook(engine, lake, 7)
    before = version(lake)
    pick(lake, a="1", b="2")
    cook(engine, lake, 7)
    assert version(lake) == before + 1
    pick(lake, b="3", c="4")
    cook(engine, lake, 7)
    assert version(lake) == before + 3
    assert jam(lake, before + 2) == {("a", "1", 7), ("b", "3", 7), ("c", "4", 7)}
    pick(lake, b="3", c="4")
    cook(engine, lake, 7)
    assert (version(lake), jam(lake)) == (before + 4, {("b", "3", 7), ("c", "4", 7)})


def test_table_follows_until_either_side_is_written(engine: Engine, lake: Lake) -> None:
    """The word that there is no difference is of one upstream, and any later commit takes it back."""
    assert not is_in_sync_with(lake, JAM, "fruit@3")
    record_upstream(lake, JAM, "fruit@3")
    before = version(lake)
    record_upstream(lake, JAM, "fruit@3")
    assert version(lake) == before
    assert is_in_sync_with(lake, JAM, "fruit@3")
    assert not is_in_sync_with(lake, JAM, "fruit@4")
    named = snapshot_id(lake, JAM)
    engine.append(
        engine.of(table({**dict.fromkeys(("path", "sha256"), TEXT), "recipe": pa.int64()}, ("a", "1", 7))), JAM
    )
    assert not is_in_sync_with(lake, JAM, "fruit@3")
    assert snapshot_id(lake, JAM) != named


PLOT = Table(
    name="garden.plot",
    schema=pa.schema([("path", pa.string()), ("sha256", pa.string()), ("batch", pa.int64())]),
    key=("path",),
    statistics=("path", "batch"),
)
SOIL = Table(name="garden.soil", schema=pa.schema([("path", pa.string())]), key=("path",), statistics=("path",))
MANY = 40
NONE: set[str] = set()


def changed(engine: Engine, lake: Lake, rules: str = "r1") -> tuple[set[tuple[str | int, ...]], set[str]] | None:
    """Upstream's and downstream's keys that have changed since the jam was brought to plot and soil; None: any."""
    with changed_since(engine, lake, JAM, (PLOT, SOIL), rules) as found:
        if found is None:
            return None
        upstream, downstream = (engine.arrow(rows).to_pylist() for rows in (found.upstream, found.downstream))
    return {tuple(row.values()) for row in upstream}, {row["path"] for row in downstream}


def test_only_what_changed_upstream_is_compared_again(opened: Opening, lake: Lake, engine_name: str) -> None:
    """New keys need no look at the downstream; other content and what is gone do; the batch tells the files."""
    engine = opened(engine_name)
    delta.create(lake, [PLOT, SOIL])

    def dug(*rows: tuple[str, str, int]) -> Rows:
        return engine.of(pa.Table.from_pylist([dict(zip(PLOT.schema.names, row, strict=True)) for row in rows]))

    engine.append(dug(*((f"old {number}", "1", 1) for number in range(MANY))), PLOT)
    engine.append(engine.of(pa.table({"path": [f"old {number}" for number in range(MANY)]})), SOIL)
    assert changed(engine, lake) is None  # nobody says what the jam was brought to
    record_upstream(lake, JAM, "all", brought_to(lake, (PLOT, SOIL), "r1"))
    assert changed(engine, lake) == (set(), NONE)
    assert changed(engine, lake, "r2") is None
    engine.append(dug(("new", "2", 2)), PLOT)
    assert changed(engine, lake) == ({("new", 2)}, NONE)
    engine.append(engine.of(pa.table({"path": ["new"]})), SOIL)
    assert changed(engine, lake) == ({("new", 2)}, NONE)
    engine.append(engine.of(pa.table({"path": ["soil alone"]})), SOIL)
    assert changed(engine, lake) == ({("new",), ("soil alone",)}, {"soil alone"})
    engine.merge(dug(("new", "3", 3), ("newer", "3", 3)), PLOT)
    found = changed(engine, lake)
    assert found is not None
    assert found[0] == {("new",), ("newer",), ("soil alone",)}
    assert "newer" not in found[1]
    delta.write_small(pa.table({"path": ["a"], "sha256": ["1"], "recipe": [7]}), lake, JAM, mode="append")
    assert changed(engine, lake) is None  # the jam is another since


@pytest.mark.parametrize("table", [PLOT, SOIL, JAM], ids=lambda table: table.name)
def test_all_is_compared_where_a_data_file_is_lost(engine: Engine, lake: Lake, table: Table) -> None:
    """Whoever reads all of the table then says so, and nothing is written as if the rest were the whole."""
    delta.create(lake, [PLOT, SOIL])
    engine.append(engine.of(pa.table({"path": ["a"], "sha256": ["1"], "batch": [1]})), PLOT)
    engine.append(engine.of(pa.table({"path": ["a"]})), SOIL)
    delta.write_small(pa.table({"path": ["a"], "sha256": ["1"], "recipe": [7]}), lake, JAM, mode="append")
    record_upstream(lake, JAM, "all", brought_to(lake, (PLOT, SOIL), "r1"))
    assert changed(engine, lake) == (set(), set())
    Path(delta.data_files(lake, table)[0]).unlink()
    assert changed(engine, lake) is None


def test_what_was_written_anew_is_compared_whole(engine: Engine, lake: Lake) -> None:
    """Where most of the upstream's files came since, or its history is gone, nobody looks for what differs in them."""
    delta.create(lake, [PLOT, SOIL])
    rows = pa.table({"path": ["a", "b"], "sha256": ["1", "2"], "batch": [1, 1]})
    engine.append(engine.of(rows), PLOT)
    record_upstream(lake, JAM, "all", brought_to(lake, (PLOT, SOIL), "r1"))
    engine.delete(engine.of(pa.table({"path": ["a"]})), PLOT)
    assert changed(engine, lake) is None
