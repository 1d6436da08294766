"""How a table is brought to its upstream: the difference between the two, and the memory that there was none.

"Every job is a difference between two tables" is this module; what the rows are made of is the layers'.
"""

from collections.abc import Callable, Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse import delta
from lakehouse.delta import Lake, Table

FOLLOWS = "fruits.follows"
"""Where a commit's entry in the history says which upstream the table follows."""


def difference(upstream: DataFrame, downstream: DataFrame, key: str, same: Sequence[str]) -> DataFrame:
    """Which keys the downstream must insert, update or delete to follow its upstream.

    Args:
        upstream: the rows that should be there; `key` is unique.
        downstream: the rows that are there; `key` is unique.
        key: the column that both have.
        same: the columns, in both, whose equality makes a row current.

    Returns:
        `key`, the upstream's other columns, and `change`: insert, update or delete.
    """
    there = downstream.select(key, *(F.col(column).alias(f"_{column}") for column in same), F.lit(True).alias("_there"))
    changed = F.lit(False)
    for column in same:
        changed = changed | ~F.col(column).eqNullSafe(F.col(f"_{column}"))
    return (
        upstream.withColumn("_here", F.lit(True))
        .join(there, on=key, how="full_outer")
        .withColumn(
            "change",
            F.when(F.col("_there").isNull(), "insert").when(F.col("_here").isNull(), "delete").when(changed, "update"),
        )
        .where(F.col("change").isNotNull())
        .select(key, *(column for column in upstream.columns if column != key), "change")
    )


def bring_up(
    upstream: DataFrame,
    lake: Lake,
    table: Table,
    make: Callable[[DataFrame], DataFrame],
    *,
    same: Sequence[str],
    version: tuple[str, int],
) -> tuple[int, int]:
    """Bring a table to its upstream under one model; returns how many rows were made, and removed.

    Every snapshot of the table holds one model version: where the table holds another, all rows are replaced in one
    commit, and else the difference is merged and deleted.

    Args:
        upstream: the rows that `make` takes; the table's key is unique.
        lake: where the table is.
        table: the table, of a key of one column.
        make: from rows of the upstream to rows of the table.
        same: the columns of both whose equality makes a row current.
        version: the table's column that names the model version, and the version wanted.
    """
    column, number = version
    if delta.versions(lake, table, column) != {number}:
        return delta.replace(make(upstream), lake, table), 0
    (key,) = table.key
    there = delta.read(upstream.sparkSession, lake, table).select(key, *same)
    changes = difference(upstream.select(key, *same), there, key, same).persist()
    try:
        counts = {change: int(rows) for change, rows in changes.groupBy("change").count().collect()}
        made = counts.get("insert", 0) + counts.get("update", 0)
        if made:
            keys = changes.where("change != 'delete'").select(key)
            # MERGE, for it conflicts with a replacement that another writer makes.
            delta.merge(make(upstream.join(keys, on=key, how="left_semi")), lake, table)
        gone = changes.where("change = 'delete'")
        return made, delta.delete(gone, lake, table) if counts.get("delete") else 0
    finally:
        changes.unpersist()


def state(lake: Lake, *tables: Table) -> str:
    """Names the present content of tables: the id and version of each. Equal names, equal rows."""
    handles = [delta.existing(lake, table) for table in tables]
    return " ".join(f"{handle.metadata().id}@{handle.version()}" for handle in handles)


def follows(lake: Lake, table: Table, upstream: str) -> bool:
    """Whether a table's newest commit says that it follows this upstream: their difference is known to be empty."""
    return delta.metadata(lake, table).get(FOLLOWS) == upstream


def mark_follows(lake: Lake, table: Table, upstream: str) -> None:
    """Say in a commit without data that a table follows this upstream; any later commit takes the word back.

    No checkpoint: it can be lost, or never written, and costs only the time to find the same empty difference again.
    """
    if not follows(lake, table, upstream):
        delta.write_metadata(lake, table, {FOLLOWS: upstream})
