"""Delta tables by their logs: created once, plain, and never over a stranger; what their statistics and marks say."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import deltalake
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import bronze.tables
import gold.tables
import silver.tables
from lakehouse.engine.port import Counts, Engine
from lakehouse.errors import ForeignTableError, LeaseLostError
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.layout import is_declared
from lakehouse.tables.table import LAYOUT, Table, column
from tests.conftest import Opening
from tests.lakehouse.engine.fruit import FRUIT, by_path, fruit, held, many


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with one table, without rows."""
    lake = Lake(f"file://{tmp_path}/lake")
    delta.create(lake, [FRUIT])
    return lake


@pytest.fixture
def engine(opened: Opening) -> Engine:
    """The local engine on the lake."""
    return opened("local")


def version(lake: Lake) -> int:
    """The table's version."""
    return delta.existing(lake, FRUIT).version()


def files(folder: Path) -> dict[Path, bytes]:
    """All files below a folder, with their content."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---- creating -------------------------------------------------------------------------------------------------------


def test_tables_are_created_once_and_plain(lake: Lake) -> None:
    """The second call writes no file; the oldest reader of Delta can read, and the change feed is on from the start."""
    folder = Path(lake.path(FRUIT))
    before = files(folder)
    delta.create(lake, [FRUIT])
    assert files(folder) == before
    handle = delta.existing(lake, FRUIT)
    assert (handle.version(), handle.protocol().min_reader_version, handle.protocol().reader_features) == (0, 1, None)
    assert handle.metadata().name == "garden.fruit"
    assert handle.metadata().configuration["delta.enableChangeDataFeed"] == "true"
    assert delta.dataset(lake, FRUIT).schema == FRUIT.schema


def test_every_table_of_the_project_can_be_created_and_created_again(tmp_path: Path) -> None:
    """Names, schemas, keys and statistics of all layers fit together, and all are readable by reader version 1."""
    lake = Lake(f"file://{tmp_path}/lake")
    tables = (*bronze.tables.TABLES, *silver.tables.TABLES, *gold.tables.TABLES)
    for _ in range(2):
        delta.create(lake, tables)
    for table in tables:
        assert {*table.key, *table.statistics} <= {*table.schema.names}
        handle = delta.existing(lake, table)
        assert (handle.version(), handle.protocol().min_reader_version) == (0, 1)
        assert Path(lake.path(table)) == tmp_path / "lake" / Path(*table.name.split("."))


def test_created_table_says_itself_what_it_holds(tmp_path: Path) -> None:
    """Description and comments stand in Delta's own metadata, and not in each data file as well."""
    lake, schema = Lake(f"file://{tmp_path}"), pa.schema([column("path", pa.string(), "URI of a fruit.")])
    table = Table("garden.told", schema, ("path",), (), "One row a fruit.")
    delta.create(lake, [table])
    delta.write_small(pa.table({"path": ["a"]}), lake, table, mode="append")
    handle = delta.existing(lake, table)
    assert handle.metadata().description == "One row a fruit."
    assert [field.metadata for field in handle.schema().fields] == [{"comment": "URI of a fruit."}]
    assert pq.read_schema(delta.data_files(lake, table)[0]).field("path").metadata is None


def test_table_without_comments_is_opened(lake: Lake) -> None:
    """As older releases have made them, by readers as it is; who writes adds them."""
    told = replace(FRUIT, schema=pa.schema([column(one.name, one.type, "A comment.") for one in FRUIT.schema]))
    assert not is_declared(told, delta.existing(lake, told))
    assert version(lake) == 0
    delta.create(lake, [told])
    assert is_declared(told, delta.existing(lake, told))


COLUMNS = [*FRUIT.schema]
BATCH = FRUIT.schema.get_field_index("batch")
STRANGERS: dict[str, dict[str, Any]] = {
    "another column": {"schema": FRUIT.schema.append(pa.field("colour", pa.string()))},
    "a column less": {"schema": pa.schema(COLUMNS[:-1])},
    "another type": {"schema": FRUIT.schema.set(BATCH, pa.field("batch", pa.string()))},
    "another layout": {"configuration": {LAYOUT: "2"}},
    "no layout": {"configuration": {}},
    "partitions": {"partition_by": ["batch"]},
    "reader version 3": {"configuration": {LAYOUT: "1", "delta.enableDeletionVectors": "true"}},
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_table_of_another_layout_is_refused_and_not_touched(tmp_path: Path, stranger: str) -> None:
    """The message says what was found and what to do; no table at all is made beside it."""
    lake, other = Lake(f"file://{tmp_path}"), Table("garden.other", FRUIT.schema, FRUIT.key, FRUIT.statistics)
    kind: dict[str, Any] = {"schema": FRUIT.schema, "configuration": FRUIT.properties, **STRANGERS[stranger]}
    schema = deltalake.Schema.from_arrow(kind.pop("schema"))
    deltalake.DeltaTable.create(lake.path(FRUIT), schema, raise_if_key_not_exists=False, **kind)
    before = files(tmp_path)
    message = r"table garden\.fruit has another layout .*columns: path, .*not touched\. Use the version of fruits"
    with pytest.raises(ForeignTableError, match=message):
        delta.create(lake, [other, FRUIT])
    assert files(tmp_path) == before


def test_tables_that_are_not_there_are_told_from_empty_ones(lake: Lake) -> None:
    """None, not an empty table; neither has data files."""
    none = Table("garden.none", FRUIT.schema, ("path",), ())
    assert delta.open_table(lake, FRUIT) is not None
    assert delta.open_table(lake, none) is None
    for table in (FRUIT, none):
        assert (delta.snapshot(lake, table), delta.data_files(lake, table)) == ([], [])


# ---- what the log says ----------------------------------------------------------------------------------------------


def test_figures_come_from_the_logs_statistics(engine: Engine, lake: Lake) -> None:
    """Count, maximum and versions agree with the rows after every kind of write, and nothing is there at first."""

    def figures() -> tuple[int, int | None, set[int]]:
        return delta.count(lake, FRUIT), delta.maximum(lake, FRUIT, "batch"), delta.versions(lake, FRUIT, "batch")

    assert figures() == (0, None, set())
    engine.append(engine.of(fruit(("a", "1", 3), ("b", "1", 3))), FRUIT)
    engine.append(engine.of(fruit(("c", "1", 5))), FRUIT)
    assert figures() == (3, 5, {3, 5})
    engine.delete(engine.of(fruit(("c", None, 0))), FRUIT)
    assert figures() == (2, 3, {3})
    delta.write_small(fruit(("s", "1", 8)), lake, FRUIT, mode="append")
    assert figures() == (3, 8, {3, 8})
    delta.write_small(fruit(("s", "1", 8)), lake, FRUIT, mode="overwrite")
    assert figures() == (1, 8, {8})


def test_snapshot_tells_of_each_file_what_it_holds(lake: Lake) -> None:
    """Of the newest version or of an older one: its place and size, its rows, and the bounds of some columns."""
    delta.write_small(many(5), lake, FRUIT, mode="append")
    delta.write_small(fruit(("é %20", None, 9)), lake, FRUIT, mode="append")
    (first,), both = delta.snapshot(lake, FRUIT, 1), delta.snapshot(lake, FRUIT)
    assert first in both
    (second,) = (file for file in both if file != first)
    assert [Path(file.name).stat().st_size for file in both] == [file.size for file in both]
    assert {Path(file.name).parent for file in both} == {Path(lake.path(FRUIT))}
    assert (first.rows, second.rows) == (5, 1)
    assert (first.minimum["path"], first.maximum["path"]) == ("fruit 000000", "fruit 000004")
    assert (first.minimum["batch"], first.maximum["batch"]) == (0, 4)
    assert (second.minimum["path"], second.maximum["path"]) == ("é %20", "é %20")
    for file in both:
        assert file.minimum.keys() == file.maximum.keys() == {*FRUIT.statistics}
    # The log has milliseconds, of instants in microseconds: the bounds must enclose them.
    (row,) = fruit(("x", None, 9)).to_pylist()
    assert second.minimum["picked"] <= row["picked"] <= second.maximum["picked"]
    assert {*delta.data_files(lake, FRUIT)} == {file.name for file in both}
    assert delta.data_files(lake, FRUIT, 1) == [first.name]


def test_transaction_numbers_are_kept_in_the_log(engine: Engine, lake: Lake) -> None:
    """Each application has its own, 0 before the first; a number is a commit without data and outlives later ones."""
    assert delta.transaction_version(lake, FRUIT, "ingest") == 0
    engine.append(engine.of(fruit(("a", "1", 1))), FRUIT)
    delta.mark_transaction(lake, FRUIT, "ingest", 7)
    delta.mark_transaction(lake, FRUIT, "other", 2)
    engine.append(engine.of(fruit(("b", "1", 1))), FRUIT)
    assert [delta.transaction_version(lake, FRUIT, name) for name in ("ingest", "other", "nobody")] == [7, 2, 0]
    assert version(lake) == 4
    delta.mark_transaction(lake, FRUIT, "ingest", 8)
    assert delta.transaction_version(lake, FRUIT, "ingest") == 8
    assert held(lake) == by_path(fruit(("a", "1", 1), ("b", "1", 1)))


# ---- tables of few rows ---------------------------------------------------------------------------------------------


def test_few_rows_are_written_in_one_commit(lake: Lake) -> None:
    """Appended, or in the place of all there were; whatever order their columns stand in."""
    ab, c = fruit(("a", "1", 1), ("b", None, 2)), fruit(("c", "3", 3))
    delta.write_small(ab.select(FRUIT.schema.names[::-1]), lake, FRUIT, mode="append")
    assert (version(lake), held(lake)) == (1, by_path(ab))
    delta.write_small(c, lake, FRUIT, mode="append")
    assert (version(lake), len(held(lake))) == (2, 3)
    delta.write_small(c, lake, FRUIT, mode="overwrite")
    assert (version(lake), held(lake), len(held(lake, 2))) == (3, by_path(c), 3)


def test_guard_that_raises_keeps_every_commit_back(lake: Lake) -> None:
    """A new table, few rows, a number, words: nothing is written, and no file is left."""

    def lost() -> None:
        raise LeaseLostError("The lease is lost.")

    guarded, folder = Lake(lake.uri, lost), Path(lake.path(FRUIT)).parent
    before = files(folder)
    commits: list[Callable[[], None]] = [
        lambda: delta.create(guarded, [Table("garden.other", FRUIT.schema, ("path",), ())]),
        lambda: delta.write_small(many(2), guarded, FRUIT, mode="append"),
        lambda: delta.mark_transaction(guarded, FRUIT, "ingest", 1),
        lambda: delta.write_metadata(guarded, FRUIT, {"a": "b"}),
    ]
    for commit in commits:
        with pytest.raises(LeaseLostError):
            commit()
    assert files(folder) == before


# ---- the engines and the log ----------------------------------------------------------------------------------------


def test_writing_no_rows_counts_none(opened: Opening, lake: Lake, engine_name: str) -> None:
    """Whatever the commit before was about: its figures are not those of a write that had nothing to do."""
    engine = opened(engine_name)
    none, nobody = engine.of(FRUIT.schema.empty_table()), engine.of(fruit(("nobody", None, 0)))
    engine.append(engine.of(fruit(("a", "1", 1), ("b", "1", 1))), FRUIT)
    assert (engine.append(none, FRUIT), engine.merge(none, FRUIT), engine.delete(nobody, FRUIT)) == (0, Counts(), 0)
    delta.mark_transaction(lake, FRUIT, "test", 1)
    assert (engine.append(none, FRUIT), engine.delete(none, FRUIT), delta.count(lake, FRUIT)) == (0, 0, 2)
    engine.delete(engine.of(fruit(("b", None, 0))), FRUIT)
    assert (engine.append(none, FRUIT), engine.merge(none, FRUIT), delta.count(lake, FRUIT)) == (0, Counts(), 1)
    assert engine.replace(none, FRUIT) == 0
    assert (delta.count(lake, FRUIT), held(lake)) == (0, [])


def test_other_programs_read_what_an_engine_wrote(opened: Opening, lake: Lake, engine_name: str) -> None:
    """The oldest reader of Delta will do: delta-rs and DuckDB see the current rows."""
    engine = opened(engine_name)
    engine.append(engine.of(fruit(("a é", "1", 1), ("b", "1", 1))), FRUIT)
    engine.merge(engine.of(fruit(("b", "2", 2), ("c", None, 2))), FRUIT)
    engine.delete(engine.of(fruit(("a é", None, 0))), FRUIT)
    handle = delta.existing(lake, FRUIT)
    assert (handle.protocol().min_reader_version, handle.protocol().reader_features) == (1, None)
    assert held(lake) == by_path(fruit(("b", "2", 2), ("c", None, 2)))
    connection = duckdb.connect()
    connection.register("fruit", handle.to_pyarrow_dataset())
    assert connection.sql("SELECT path, sha256 FROM fruit ORDER BY path").fetchall() == [("b", "2"), ("c", None)]


@pytest.mark.usefixtures("spark")
def test_spark_and_local_each_go_on_where_the_other_stopped(opened: Opening, lake: Lake) -> None:
    """Both write to one table in turn and read the same rows, instants of long ago to the microsecond among them."""
    local, spark = opened("local"), opened("spark")
    old, oldest = datetime(1999, 12, 31, 23, 59, 59, 123456, UTC), datetime(1970, 1, 1, tzinfo=UTC)
    local.append(local.of(fruit(("a", "1", 1), ("b", "1", 1), picked=old)), FRUIT)
    spark.append(spark.of(fruit(("c é", None, 2), ("d", "2", 2), picked=oldest)), FRUIT)
    spark.merge(spark.of(fruit(("a", "3", 3))), FRUIT)
    local.merge(local.of(fruit(("d", "4", 4), ("e", "4", 4))), FRUIT)
    spark.delete(spark.of(fruit(("e", None, 0))), FRUIT)
    expected = [
        *by_path(fruit(("a", "3", 3))),
        *by_path(fruit(("b", "1", 1), picked=old)),
        *by_path(fruit(("c é", None, 2), picked=oldest)),
        *by_path(fruit(("d", "4", 4))),
    ]
    assert held(lake) == expected
    for engine in (local, spark):
        assert by_path(engine.arrow(engine.rows(FRUIT, FRUIT.schema.names))) == expected


def test_wide_rows_are_read_few_at_a_time(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their mean bytes in the columns that are asked for, in each row group; narrow ones as many as allowed."""
    monkeypatch.setattr(delta, "BATCH_BYTES", 20_000)
    wide = many(10, 0)
    content = pa.array([bytes([number]) * 8_000 for number in range(10)], pa.binary())
    wide = wide.set_column(wide.column_names.index("content"), "content", content)
    delta.write_small(wide, lake, FRUIT, mode="append")
    found = [*delta.read_batches(lake, FRUIT, ["path", "content"], 6)]
    assert [batch.num_rows for batch in found] == [2] * 5
    assert [value for batch in found for value in batch.column("content").to_pylist()] == content.to_pylist()
    assert [batch.num_rows for batch in delta.read_batches(lake, FRUIT, ["path"], 6)] == [6, 4]
    monkeypatch.setattr(delta, "BATCH_BYTES", 1)
    assert [batch.num_rows for batch in delta.read_batches(lake, FRUIT, ["content"], 6)] == [1] * 10
