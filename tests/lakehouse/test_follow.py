"""Following an upstream: the difference is found, worked off under one model version, and remembered to be empty."""

from pathlib import Path

import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StringType, StructField, StructType

from lakehouse import delta
from lakehouse.delta import Lake, Table
from lakehouse.follow import bring_up, difference, follows, mark_follows, state

JAM = Table(
    name="kitchen.jam",
    schema=StructType(
        [StructField("path", StringType()), StructField("sha256", StringType()), StructField("recipe", LongType())]
    ),
    key=("path",),
    statistics=("path", "recipe"),
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with one table, without rows."""
    lake = Lake(f"file://{tmp_path}/lake")
    delta.create(lake, [JAM])
    return lake


def fruit(spark: SparkSession, **contents: str) -> DataFrame:
    """Rows of an upstream: path → sha256."""
    return spark.createDataFrame([*contents.items()], "path string, sha256 string")


def cook(lake: Lake, upstream: DataFrame, recipe: int) -> tuple[tuple[int, int], set[str]]:
    """Bring the jam to the fruit; returns the counts, and which fruit were cooked."""
    cooked: list[DataFrame] = []

    def make(rows: DataFrame) -> DataFrame:
        cooked.append(rows)
        return rows.withColumn("recipe", F.lit(recipe).cast("long"))

    counts = bring_up(upstream, lake, JAM, make, same=["sha256"], version=("recipe", recipe))
    return counts, {row.path for rows in cooked for row in rows.collect()} if counts[1] == 0 else set()


def jam(spark: SparkSession, lake: Lake) -> set[tuple[str, str, int]]:
    """What the table holds."""
    return {tuple(row) for row in delta.read(spark, lake, JAM).collect()}


def test_difference_says_what_to_insert_update_and_delete(spark: SparkSession) -> None:
    """Null equals null and nothing else; what is current is left out; columns that are not compared change nothing."""
    columns = "path string, sha256 string, label string, note long"
    upstream = spark.createDataFrame(
        [
            ("current", "a", "kiwi", 1),
            ("current with null", None, None, 2),
            ("another note", "a", "kiwi", 3),
            ("new", "a", None, 4),
            ("other content", "b", "kiwi", 5),
            ("other label", "a", "pear", 6),
            ("null before", "a", "kiwi", 7),
            ("null now", None, "kiwi", 8),
        ],
        columns,
    )
    downstream = spark.createDataFrame(
        [
            ("current", "kiwi", "a", 0.5),
            ("current with null", None, None, 0.5),
            ("another note", "kiwi", "a", 0.5),
            ("other content", "kiwi", "a", 0.5),
            ("other label", "kiwi", "a", 0.5),
            ("null before", "kiwi", None, 0.5),
            ("null now", "kiwi", "a", 0.5),
            ("gone", "kiwi", "a", 0.5),
            ("gone with null", None, None, None),
        ],
        "path string, label string, sha256 string, note double",
    )
    expected = spark.createDataFrame(
        [
            ("new", "a", None, 4, "insert"),
            ("other content", "b", "kiwi", 5, "update"),
            ("other label", "a", "pear", 6, "update"),
            ("null before", "a", "kiwi", 7, "update"),
            ("null now", None, "kiwi", 8, "update"),
            ("gone", None, None, None, "delete"),
            ("gone with null", None, None, None, "delete"),
        ],
        f"{columns}, change string",
    )
    found = difference(upstream, downstream, "path", ("sha256", "label"))
    assert_df_equality(found, expected, ignore_row_order=True, ignore_nullable=True)


def test_difference_of_equal_tables_is_empty_and_by_key_alone_ignores_content(spark: SparkSession) -> None:
    """A table follows itself; where no column is compared only presence counts."""
    columns = "path string, sha256 string, batch long"
    table = spark.createDataFrame([("a", "1", 1), ("b", None, 2)], columns)
    other = spark.createDataFrame([("a", "2", 2), ("c", "3", 3)], columns)
    assert difference(table, table, "path", ("sha256", "batch")).isEmpty()
    changes = difference(table, other, "path", ()).select("path", "change").collect()
    assert sorted(changes) == [("b", "insert"), ("c", "delete")]


def test_only_what_changed_is_made_under_the_same_model(spark: SparkSession, lake: Lake) -> None:
    """New and other content is made, what is gone is removed, and a second call commits nothing."""
    assert cook(lake, fruit(spark, a="1", b="2"), 7) == ((2, 0), {"a", "b"})
    assert cook(lake, fruit(spark, a="1", b="3", c="4"), 7)[0] == (2, 0)
    assert jam(spark, lake) == {("a", "1", 7), ("b", "3", 7), ("c", "4", 7)}
    assert cook(lake, fruit(spark, c="4"), 7)[0] == (0, 2)
    version = delta.existing(lake, JAM).version()
    assert cook(lake, fruit(spark, c="4"), 7) == ((0, 0), set())
    assert delta.existing(lake, JAM).version() == version


def test_another_model_replaces_all_rows_in_one_commit(spark: SparkSession, lake: Lake) -> None:
    """No version of the table holds rows of two models."""
    cook(lake, fruit(spark, a="1", b="2"), 7)
    version = delta.existing(lake, JAM).version()
    assert cook(lake, fruit(spark, a="1", c="2"), 8) == ((2, 0), {"a", "c"})
    assert jam(spark, lake) == {("a", "1", 8), ("c", "2", 8)}
    assert delta.existing(lake, JAM).version() == version + 1


def test_table_follows_until_either_side_is_written(spark: SparkSession, lake: Lake) -> None:
    """The word that there is no difference is of one upstream, and any later commit takes it back."""
    assert not follows(lake, JAM, "fruit@3")
    mark_follows(lake, JAM, "fruit@3")
    version = delta.existing(lake, JAM).version()
    mark_follows(lake, JAM, "fruit@3")
    assert delta.existing(lake, JAM).version() == version
    assert follows(lake, JAM, "fruit@3")
    assert not follows(lake, JAM, "fruit@4")
    before = state(lake, JAM)
    cook(lake, fruit(spark, a="1"), 7)
    assert not follows(lake, JAM, "fruit@3")
    assert state(lake, JAM) != before
