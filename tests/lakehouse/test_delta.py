"""Delta I/O: what is written is there once, in one commit, counted, readable by others; strangers are not touched."""

import json
from datetime import UTC, datetime
from pathlib import Path

import deltalake
import duckdb
import pyarrow as pa
import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, FloatType, LongType, StringType, StructField, StructType

import bronze.tables
import gold.tables
import silver.tables
from lakehouse import delta
from lakehouse.delta import Lake, Table
from lakehouse.errors import ForeignTableError

FRUIT = Table(
    name="garden.fruit",
    schema=StructType(
        [
            StructField("path", StringType()),
            StructField("sha256", StringType()),
            StructField("weights", ArrayType(FloatType())),
            StructField("batch", LongType()),
        ]
    ),
    key=("path",),
    statistics=("path", "batch"),
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with one table, without rows."""
    lake = Lake(f"file://{tmp_path}/lake")
    delta.create(lake, [FRUIT])
    return lake


def fruit(spark: SparkSession, *rows: tuple[str, str | None, int]) -> DataFrame:
    """Rows of the table: path, sha256, batch."""
    whole = [(path, sha256, [1.5, batch / 2], batch) for path, sha256, batch in rows]
    return spark.createDataFrame(whole, FRUIT.schema)


def assert_holds(spark: SparkSession, lake: Lake, *rows: tuple[str, str | None, int]) -> None:
    """The table's current rows are these, in any order."""
    found = delta.read(spark, lake, FRUIT)
    assert_df_equality(found, fruit(spark, *rows), ignore_row_order=True, ignore_nullable=True)


def version(lake: Lake) -> int:
    """The table's version."""
    return delta.existing(lake, FRUIT).version()


def files(folder: Path) -> dict[Path, bytes]:
    """All files below a folder, with their content."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


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
    assert StructType.fromJson(json.loads(handle.schema().to_json())) == FRUIT.schema


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


STRANGERS = {
    "another column": {"schema": StructType([*FRUIT.schema.fields, StructField("colour", StringType())])},
    "a column less": {"schema": StructType(FRUIT.schema.fields[:-1])},
    "another type": {"schema": StructType([*FRUIT.schema.fields[:-1], StructField("batch", StringType())])},
    "another layout": {"configuration": {"fruits.layout": "2"}},
    "no layout": {"configuration": {}},
    "partitions": {"partition_by": ["batch"]},
    "reader version 3": {"configuration": {"fruits.layout": delta.LAYOUT, "delta.enableDeletionVectors": "true"}},
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_table_of_another_layout_is_refused_and_not_touched(tmp_path: Path, stranger: str) -> None:
    """The message says what was found and what to do; no table at all is made beside it."""
    lake, other = Lake(f"file://{tmp_path}"), Table("garden.other", FRUIT.schema, FRUIT.key, FRUIT.statistics)
    kind = {"schema": FRUIT.schema, "configuration": FRUIT.properties, **STRANGERS[stranger]}
    schema = deltalake.Schema.from_json(kind.pop("schema").json())
    deltalake.DeltaTable.create(lake.path(FRUIT), schema, raise_if_key_not_exists=False, **kind)
    before = files(tmp_path)
    message = r"table garden\.fruit has another layout .*columns: path, .*not touched\. Use the version of fruits"
    with pytest.raises(ForeignTableError, match=message):
        delta.create(lake, [other, FRUIT])
    assert files(tmp_path) == before


def test_tables_that_are_not_there_are_told_from_empty_ones(lake: Lake) -> None:
    """None, not an empty table."""
    assert delta.open_table(lake, FRUIT) is not None
    assert delta.open_table(lake, Table("garden.none", FRUIT.schema, ("path",), ())) is None


def test_each_write_is_one_commit_and_returns_how_many_rows_it_was_about(spark: SparkSession, lake: Lake) -> None:
    """Append, merge, delete and replace, in turn, with what the table then holds."""
    assert delta.append(fruit(spark, ("a", "1", 1), ("b", "1", 1), ("c", None, 1)), lake, FRUIT) == 3
    assert (version(lake), delta.count(lake, FRUIT)) == (1, 3)

    assert delta.merge(fruit(spark, ("b", "2", 2), ("d", "2", 2), ("e", "2", 2)), lake, FRUIT) == 2
    assert version(lake) == 2
    assert_holds(spark, lake, ("a", "1", 1), ("b", "2", 2), ("c", None, 1), ("d", "2", 2), ("e", "2", 2))

    touch = {"batch": "new.batch"}
    rows = fruit(spark, ("a", "1", 3), ("b", "3", 3), ("c", None, 3), ("f", "3", 3))
    rows = rows.withColumn("weights", F.lit(None).cast("array<float>"))
    assert delta.merge(rows, lake, FRUIT, touch=touch) == 1
    assert version(lake) == 3
    held = {row.path: (row.sha256, row.weights, row.batch) for row in delta.read(spark, lake, FRUIT).collect()}
    assert held == {
        "a": ("1", [1.5, 0.5], 3),  # the same content: only what is touched
        "b": ("3", None, 3),
        "c": (None, [1.5, 0.5], 3),
        "d": ("2", [1.5, 1.0], 2),
        "e": ("2", [1.5, 1.0], 2),
        "f": ("3", None, 3),
    }

    keys = spark.createDataFrame([("a", 0), ("b", 0), ("nobody", 0)], "path string, other long")
    assert delta.delete(keys, lake, FRUIT) == 2
    assert (version(lake), delta.count(lake, FRUIT)) == (4, 4)

    assert delta.replace(fruit(spark, ("z", "9", 9)), lake, FRUIT) == 1
    assert version(lake) == 5
    assert_holds(spark, lake, ("z", "9", 9))


@pytest.mark.parametrize("before", ["nothing", "append", "mark", "delete"])
def test_writing_no_rows_counts_none(spark: SparkSession, lake: Lake, before: str) -> None:
    """Whatever the commit before was about: its figures are not those of a write that had nothing to do."""
    none = fruit(spark).repartition(2)
    if before != "nothing":
        delta.append(fruit(spark, ("a", "1", 1), ("b", "1", 1)), lake, FRUIT)
    if before == "mark":
        delta.mark_transaction(lake, FRUIT, "test", 1)
    if before == "delete":
        delta.delete(fruit(spark, ("b", None, 0)), lake, FRUIT)
    expected = {"nothing": 0, "append": 2, "mark": 2, "delete": 1}[before]
    assert delta.append(none, lake, FRUIT) == 0
    assert delta.merge(none, lake, FRUIT) == 0
    assert delta.delete(none, lake, FRUIT) == 0
    assert delta.delete(fruit(spark, ("nobody", None, 0)), lake, FRUIT) == 0
    assert delta.count(lake, FRUIT) == expected
    assert delta.replace(none, lake, FRUIT) == 0
    assert (delta.count(lake, FRUIT), delta.read(spark, lake, FRUIT).count()) == (0, 0)


def test_rows_read_are_of_the_version_that_was_the_newest_then(spark: SparkSession, lake: Lake) -> None:
    """A later write does not change what a reader has in hand; an empty table has its columns."""
    empty = delta.read(spark, lake, FRUIT)
    assert (empty.schema, empty.count()) == (FRUIT.schema, 0)
    delta.append(fruit(spark, ("a", "1", 1)), lake, FRUIT)
    first = delta.read(spark, lake, FRUIT)
    delta.replace(fruit(spark, ("b", "2", 2)), lake, FRUIT)
    assert [row.path for row in first.collect()] == ["a"]
    assert_holds(spark, lake, ("b", "2", 2))


def test_change_feed_tells_what_each_version_changed(spark: SparkSession, lake: Lake) -> None:
    """Rows added, changed (before and after) and removed, with the version; both ends are included."""
    delta.append(fruit(spark, ("a", "1", 1), ("b", "1", 1)), lake, FRUIT)
    delta.merge(fruit(spark, ("b", "2", 2), ("c", "2", 2)), lake, FRUIT)
    delta.delete(fruit(spark, ("a", None, 0)), lake, FRUIT)
    columns = ("_commit_version", "_change_type", "path", "sha256")
    changes = sorted(tuple(row) for row in delta.read_changes(spark, lake, FRUIT, 2, 3).select(*columns).collect())
    assert changes == [
        (2, "insert", "c", "2"),
        (2, "update_postimage", "b", "2"),
        (2, "update_preimage", "b", "1"),
        (3, "delete", "a", "1"),
    ]


def test_transaction_numbers_are_kept_in_the_log(spark: SparkSession, lake: Lake) -> None:
    """Each application has its own, 0 before the first; a number is a commit without data and outlives later ones."""
    assert delta.transaction_version(lake, FRUIT, "ingest") == 0
    delta.append(fruit(spark, ("a", "1", 1)), lake, FRUIT)
    delta.mark_transaction(lake, FRUIT, "ingest", 7)
    delta.mark_transaction(lake, FRUIT, "other", 2)
    delta.append(fruit(spark, ("b", "1", 1)), lake, FRUIT)
    assert [delta.transaction_version(lake, FRUIT, name) for name in ("ingest", "other", "nobody")] == [7, 2, 0]
    assert version(lake) == 4
    delta.mark_transaction(lake, FRUIT, "ingest", 8)
    assert delta.transaction_version(lake, FRUIT, "ingest") == 8
    assert_holds(spark, lake, ("a", "1", 1), ("b", "1", 1))


def test_figures_come_from_the_logs_statistics(spark: SparkSession, lake: Lake) -> None:
    """Count, maximum and versions agree with the rows after every kind of write, and nothing is there at first."""
    assert (delta.count(lake, FRUIT), delta.maximum(lake, FRUIT, "batch"), delta.versions(lake, FRUIT, "batch")) == (
        0,
        None,
        set(),
    )
    delta.append(fruit(spark, ("a", "1", 3), ("b", "1", 3)).coalesce(1), lake, FRUIT)
    delta.append(fruit(spark, ("c", "1", 5)), lake, FRUIT)
    assert (delta.count(lake, FRUIT), delta.maximum(lake, FRUIT, "batch"), delta.versions(lake, FRUIT, "batch")) == (
        3,
        5,
        {3, 5},
    )
    delta.delete(fruit(spark, ("c", None, 0)), lake, FRUIT)
    assert (delta.count(lake, FRUIT), delta.maximum(lake, FRUIT, "batch")) == (2, 3)
    row = {"path": "s", "sha256": "1", "weights": [1.0], "batch": 8}
    small = pa.Table.from_pylist([row], schema=delta.arrow_schema(FRUIT))
    delta.write_small(small, lake, FRUIT, mode="append")
    assert (delta.count(lake, FRUIT), delta.maximum(lake, FRUIT, "batch")) == (3, 8)
    delta.write_small(small, lake, FRUIT, mode="overwrite")
    assert (delta.count(lake, FRUIT), delta.versions(lake, FRUIT, "batch")) == (1, {8})


def test_other_programs_read_what_spark_wrote(spark: SparkSession, lake: Lake) -> None:
    """delta-rs and DuckDB see the current rows, and Spark's own Delta reader those that `read` sees."""
    delta.append(fruit(spark, ("a é", "1", 1), ("b", "1", 1)), lake, FRUIT)
    delta.merge(fruit(spark, ("b", "2", 2), ("c", None, 2)), lake, FRUIT)
    delta.delete(fruit(spark, ("a é", None, 0)), lake, FRUIT)
    handle = delta.existing(lake, FRUIT)
    assert (handle.protocol().min_reader_version, handle.protocol().reader_features) == (1, None)
    rows = sorted(handle.to_pyarrow_table().to_pylist(), key=lambda row: row["path"])
    assert rows == [
        {"path": "b", "sha256": "2", "weights": [1.5, 1.0], "batch": 2},
        {"path": "c", "sha256": None, "weights": [1.5, 1.0], "batch": 2},
    ]
    connection = duckdb.connect()
    connection.register("fruit", handle.to_pyarrow_dataset())
    assert connection.sql("SELECT path, sha256 FROM fruit ORDER BY path").fetchall() == [("b", "2"), ("c", None)]
    by_spark = spark.read.format("delta").load(lake.path(FRUIT))
    assert_df_equality(by_spark, delta.read(spark, lake, FRUIT), ignore_row_order=True)


def test_timestamps_mean_the_same_to_spark_and_to_others(spark: SparkSession, tmp_path: Path) -> None:
    """An instant, to the microsecond, also long ago; and what delta-rs writes Spark reads."""
    lake, table = Lake(f"file://{tmp_path}/lake"), bronze.tables.QUARANTINE
    delta.create(lake, [table])
    moments = [datetime(1999, 12, 31, 23, 59, 59, 123456, UTC), datetime(1970, 1, 1, tzinfo=UTC)]
    rows = [(f"p{at}", None, 0, moment, "empty", "", 1, moment) for at, moment in enumerate(moments)]
    delta.append(spark.createDataFrame(rows, table.schema), lake, table)
    written = delta.existing(lake, table).to_pyarrow_table()
    assert sorted(written["modification_time"].to_pylist()) == sorted(moments)
    delta.write_small(written.cast(delta.arrow_schema(table)), lake, table, mode="overwrite")
    found = delta.read(spark, lake, table).selectExpr("unix_micros(modification_time)").collect()
    assert sorted(row[0] for row in found) == sorted(round(moment.timestamp() * 10**6) for moment in moments)


@pytest.mark.parametrize("name", ["my lake", "é 漢", "a*b", "{a,b}", "best {of} 2024", "a{b", "a+b:c"])
def test_lake_may_lie_in_a_folder_with_an_odd_name(spark: SparkSession, tmp_path: Path, name: str) -> None:
    """What is written there is read from there, once: the name is no pattern, nothing in it is encoded or decoded."""
    lake = Lake(f"file://{tmp_path}/{name}")
    delta.create(lake, [FRUIT])
    for path in "abc":  # in a file each
        assert delta.append(fruit(spark, (path, "1", 1)), lake, FRUIT) == 1
    assert_holds(spark, lake, ("a", "1", 1), ("b", "1", 1), ("c", "1", 1))
    assert delta.merge(fruit(spark, ("c", "2", 2), ("d", "1", 2)), lake, FRUIT) == 1
    assert delta.delete(fruit(spark, ("a", None, 0)), lake, FRUIT) == 1
    assert_holds(spark, lake, ("b", "1", 1), ("c", "2", 2), ("d", "1", 2))
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_registered_tables_answer_by_their_name_in_sparks_sql(spark: SparkSession, tmp_path: Path) -> None:
    """As `<layer>.<table>`, however often they are registered; a name that is another lake's table is left alone."""
    lake, other = Lake(f"file://{tmp_path}/it's a lake"), Lake(f"file://{tmp_path}/other")
    try:
        for one in (lake, other):
            delta.create(one, [FRUIT])
        delta.append(fruit(spark, ("a", "1", 1), ("b", "2", 1)), lake, FRUIT)
        delta.register(spark, lake, [FRUIT])
        delta.register(spark, lake, [FRUIT])
        assert spark.sql("SELECT count(*) FROM garden.fruit WHERE batch = 1").collect() == [(2,)]
        with pytest.raises(ForeignTableError, match=r"has garden\.fruit at .*it's a lake.*, not at .*other"):
            delta.register(spark, other, [FRUIT])
        assert spark.sql("SELECT path FROM garden.fruit").count() == 2
    finally:
        spark.sql("DROP DATABASE IF EXISTS garden CASCADE")
    assert_holds(spark, lake, ("a", "1", 1), ("b", "2", 1))
