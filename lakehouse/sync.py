"""Incremental sync of a table with its upstream: compute the difference, apply it, and record when it was empty.

"Every job is a difference between two tables" is this module; what the rows are made of is the layers'.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from lakehouse.engine.port import Engine, Marks, Rows
from lakehouse.since import BATCH, Changed, brought_to, changed_since
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import Table

FOLLOWS = "fruits.follows"
"""Where a commit's entry in the history says which upstream the table follows."""


class Change(StrEnum):
    """What a row of a table needs to follow its upstream."""

    INSERT = "insert"
    UPDATE = "update"
    RELABEL = "relabel"
    DELETE = "delete"


class Synced(NamedTuple):
    """How many rows of a table were made, took over other labels, and were removed."""

    made: int
    relabelled: int
    removed: int


LABELS = ("label", "split")
"""The columns that a row takes over as they are: where they alone differ, nothing is computed again."""


def difference(
    engine: Engine,
    upstream: Rows,
    downstream: Rows,
    key: str,
    same: Sequence[str],
    labels: Sequence[str] = (),
) -> Rows:
    """Which keys the downstream must insert, update, relabel or delete to follow its upstream.

    Args:
        engine: whose rows they are.
        upstream: the rows that should be there; `key` is unique.
        downstream: the rows that are there; `key` is unique.
        key: the column that both have.
        same: the columns, in both, whose equality makes a row current.
        labels: columns, in both, that a row which is current by `same` takes over.

    Returns:
        `key`, the upstream's other columns, and `change`: a `Change`.
    """
    others = "".join(f"up.{column}, " for column in upstream.columns if column != key)
    differs, relabelled = (
        " OR ".join([f"up.{column} IS DISTINCT FROM down.{column}" for column in columns] or ["false"])
        for columns in (same, labels)
    )
    return engine.sql(
        f"""
        SELECT coalesce(up.{key}, down.{key}) AS {key}, {others}
               CASE WHEN down.{key} IS NULL THEN 'insert'
                    WHEN up.{key} IS NULL THEN 'delete'
                    WHEN {differs} THEN 'update'
                    ELSE 'relabel' END AS change
        FROM up FULL OUTER JOIN down ON up.{key} = down.{key}
        WHERE up.{key} IS NULL OR down.{key} IS NULL OR {differs} OR {relabelled}
        """,
        up=upstream,
        down=downstream,
    )


def sync_table(
    engine: Engine,
    lake: Lake,
    table: Table,
    upstream: Table,
    make: Callable[[Rows | None], Rows],
    *,
    same: Sequence[str],
    version: tuple[str, int],
    follows: str,
    rules: str = "",
    notes: Marks | None = None,
    labels: Table | None = None,
) -> Synced:
    """Bring a table to its upstream under one model.

    Every snapshot of the table holds one model version: where the table holds another, all rows are replaced in one
    commit, and else the difference is added, merged and deleted. The last commit says what the table follows now.

    Args:
        engine: what computes.
        lake: where the tables are.
        table: the table, of a key of one column.
        upstream: the table that it is made from, with the same key.
        make: makes rows of the table from rows of the upstream: from those of the given keys, beside which are their
            batches where the upstream has such, and their labels where there are; None: from all.
        same: the columns of both whose equality makes a row current.
        version: the table's column that names the model version, and the version wanted.
        follows: what `is_in_sync_with` is to find there when this is done.
        rules: by which rows follow the upstream, beside the version: where they are others, all rows are compared.
        notes: what `notes_of` is to find there with it.
        labels: the table, with the same key, whose LABELS the rows take over; None: they have none.
    """
    column, number = version
    sources = (upstream,) if labels is None else (upstream, labels)
    rules = f"{rules} {column} {number}"
    notes = {**(notes or {}), **brought_to(lake, sources, rules)}
    marks = {FOLLOWS: follows, **notes}
    if delta.versions(lake, table, column) != {number}:
        return Synced(engine.replace(make(None), table, marks), 0, 0)
    (key,) = table.key
    carried = () if labels is None else LABELS
    with (
        changed_since(engine, lake, table, sources, rules) as changed,
        engine.kept(_compared(engine, table, upstream, same, labels, changed)) as changes,
    ):
        counted = engine.arrow(engine.sql("SELECT change, count(*) AS n FROM changes GROUP BY change", changes=changes))
        counts = {Change(row["change"]): int(row["n"]) for row in counted.to_pylist()}
        inserts, updates, relabels, deletes = (counts.get(change, 0) for change in Change)
        if inserts or updates:
            columns = ", ".join(name for name in (key, BATCH, *carried) if name in changes.columns)
            chosen = f"SELECT {columns} FROM changes WHERE change IN ('insert', 'update')"
            write = engine.merge if updates else engine.append
            with engine.kept(engine.sql(chosen, changes=changes)) as wanted:
                write(make(wanted), table, None if relabels or deletes else marks)
        if relabels:
            chosen = f"SELECT {', '.join((key, *carried))} FROM changes WHERE change = 'relabel'"
            engine.update(engine.sql(chosen, changes=changes), table, None if deletes else marks)
        removed = 0
        if deletes:
            gone = engine.sql(f"SELECT {key} FROM changes WHERE change = 'delete'", changes=changes)
            removed = engine.delete(gone, table, marks)
    record_upstream(lake, table, follows, notes)
    return Synced(inserts + updates, relabels, removed)


def _compared(
    engine: Engine, table: Table, upstream: Table, same: Sequence[str], labels: Table | None, changed: Changed | None
) -> Rows:
    """The difference between a table and its upstream, as `difference` returns it, among what has changed."""
    (key,) = table.key
    carried = () if labels is None else LABELS
    among = (None, None) if changed is None else (changed.upstream, changed.downstream)
    told = [BATCH] if BATCH in upstream.schema.names else []
    found = engine.rows(upstream, [key, *same, *told], among=among[0])
    there = engine.rows(table, [key, *same, *carried], among=among[1])
    if labels is not None:
        named = None if changed is None else engine.sql(f"SELECT {key} FROM changed", changed=changed.upstream)
        found = _with_labels(engine, found, engine.rows(labels, [key, *LABELS], among=named), key)
    return difference(engine, found, there, key, same, carried)


def _with_labels(engine: Engine, rows: Rows, labels: Rows, key: str) -> Rows:
    columns = ", ".join([*(f"found.{column}" for column in rows.columns), *(f"labels.{name}" for name in LABELS)])
    return engine.sql(
        f"SELECT {columns} FROM found LEFT JOIN labels ON found.{key} = labels.{key}", found=rows, labels=labels
    )


def snapshot_id(lake: Lake, *tables: Table) -> str:
    """Names the content of tables: the id of each, and the version that made its rows. Equal names, equal rows."""
    ids = [delta.existing(lake, table).metadata().id for table in tables]
    return " ".join(f"{one}@{delta.rows_version(lake, table)}" for one, table in zip(ids, tables, strict=True))


def is_in_sync_with(lake: Lake, table: Table, upstream: str) -> bool:
    """Whether a table's newest commit says that it follows this upstream: their difference is known to be empty."""
    return notes_of(lake, table, upstream) is not None


def notes_of(lake: Lake, table: Table, upstream: str) -> Mapping[str, object] | None:
    """The marks of a table's newest commit where that says that it follows this upstream, else None."""
    marks = delta.metadata(lake, table)
    return marks if marks.get(FOLLOWS) == upstream else None


def record_upstream(lake: Lake, table: Table, upstream: str, notes: Marks | None = None) -> None:
    """Say in a commit without data that a table follows this upstream; any later commit invalidates the record.

    `notes` are further marks of that commit. No checkpoint: it can be lost, or never written, and costs only the time
    to find the same empty difference again.
    """
    marks = {FOLLOWS: upstream, **(notes or {})}
    if not marks.items() <= delta.metadata(lake, table).items():
        delta.write_metadata(lake, table, marks)
