"""Whether a table that was found is the one that this release knows: its protocol, layout and columns.

Each opening of a table asks, of readers too: who reads a table that it does not understand answers wrongly.
"""

from functools import lru_cache

import pyarrow as pa
from deltalake import DeltaTable, Schema

from lakehouse.errors import ForeignTableError, OutdatedTableError
from lakehouse.tables.table import LAYOUT, Table, comment_of, without_comments


def check_layout(table: Table, found: DeltaTable) -> None:
    """Raise an error where a table is not to be read by this release.

    What an older release of the same layout has not written is allowed: comments, and the columns that `Table.added`
    names.

    Raises:
        ForeignTableError: it has a newer layout, other columns, or a protocol that no reader here knows.
        OutdatedTableError: it has an older layout, and must be migrated first.
    """
    if is_declared(table, found):
        return
    layout = layout_of(found)
    if may_be_older(table, found):
        raise OutdatedTableError(
            f"The table {table.name} has the layout {layout} of an older release; this version reads {table.layout}. "
            "Run `fruits doctor --repair`, which migrates it and keeps its rows."
        )
    if not _is_plain(found) or layout != table.layout or not _has_columns(table, found):
        raise ForeignTableError(_explained(table, found))


def is_declared(table: Table, found: DeltaTable) -> bool:
    """Whether a table is as declared in all: protocol, layout, columns and comments."""
    return (
        _is_plain(found)
        and found.schema() == _declared(table.schema, tuple(map(comment_of, table.schema)))
        and found.metadata().description == (table.description or None)
        and layout_of(found) == table.layout
    )


def may_be_older(table: Table, found: DeltaTable) -> bool:
    """Whether a table has the layout of an older release."""
    layout = layout_of(found)
    return _is_plain(found) and layout is not None and 0 < layout < table.layout


def has_added_columns(table: Table, found: DeltaTable) -> bool:
    """Whether a table has the columns that were declared after it may have been made."""
    return {*table.added} <= {column.name for column in found.schema().fields}


def layout_of(found: DeltaTable) -> int | None:
    """The number of a table's layout; None where it is no table of this project's."""
    layout = found.metadata().configuration.get(LAYOUT) or ""
    return int(layout) if layout.isdecimal() else None


@lru_cache
def _declared(schema: pa.Schema, comments: tuple[str, ...]) -> Schema:  # noqa: ARG001 - equal schemas may have others
    return Schema.from_arrow(schema)


def _is_plain(found: DeltaTable) -> bool:
    return found.protocol().min_reader_version == 1 and not found.metadata().partition_columns


def _has_columns(table: Table, found: DeltaTable) -> bool:
    there = without_comments(pa.schema(found.schema()))
    later = [field for field in there if field.name in table.added]  # which stand last, in the order they were added
    old = [field for field in there if field.name not in table.added]
    declared = without_comments(table.schema)
    wanted = [field for field in declared if field.name not in table.added]
    return old == wanted and all(field == declared.field(field.name) for field in later)


def unknown_protocol(table: Table, said: str) -> str:
    """What is said of a table that delta-rs itself cannot open."""
    return (
        f"The table {table.name} needs a protocol of Delta that is not read here ({said}). It was not touched. Use the "
        "version of fruits that wrote it, or take the feature away in Spark: ALTER TABLE … DROP FEATURE …"
    )


def _explained(table: Table, found: DeltaTable) -> str:
    columns = ", ".join(column.name for column in found.schema().fields)
    what = f"{LAYOUT}={layout_of(found)}, this version writes {table.layout}; columns: {columns}"
    advice = "Use the version of fruits that wrote it, or another lake."
    features = found.protocol().reader_features
    if not _is_plain(found) and features:
        what += f"; it needs the protocol features {', '.join(sorted(features))}, which are not read here"
        advice = (
            f"Use the version of fruits that wrote it, or take the features away in Spark: ALTER TABLE {table.name} "
            "DROP FEATURE …, for deletion vectors after REORG TABLE … APPLY (PURGE)."
        )
    return f"The table {table.name} has another layout ({what}). It was not touched. {advice}"
