"""Rows added and removed between two table versions, computed from the files that only one of them has."""

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
from deltalake.exceptions import DeltaError

from lakehouse.engine.local.rows import HeldRows, LocalRows
from lakehouse.engine.local.scan import Scan
from lakehouse.engine.port import CHANGE, Batches, HistoryLostError
from lakehouse.errors import DamagedTableError
from lakehouse.tables.delta import Lake
from lakehouse.tables.log import Entry, entries
from lakehouse.tables.staged import is_bulk
from lakehouse.tables.table import DataFile, Table


def between(lake: Lake, table: Table, columns: Sequence[str], before: int, after: int) -> LocalRows:
    """See `Engine.changes`: net, so a row that a rewritten file only carries on is in neither."""
    schema = pa.schema([table.schema.field(name) for name in columns])
    return LocalRows(schema.append(pa.field(CHANGE, pa.string())), lambda: _changes(lake, table, schema, before, after))


def _changes(lake: Lake, table: Table, schema: pa.Schema, before: int, after: int) -> Batches:
    if before > after:
        raise HistoryLostError(f"{table.name} is another table than the one whose version {before} is asked for.")
    try:
        for gone, came in _spans(entries(lake, table, before, after)):
            yield from _marked(_differing(table, schema, gone, came), "delete")
            yield from _marked(_differing(table, schema, came, gone), "insert")
    except (DeltaError, DamagedTableError, OSError, ValueError, pa.ArrowException) as error:
        raise HistoryLostError(f"What changed in {table.name} since version {before} is lost: {error}") from error


def _spans(commits: Iterable[Entry]) -> Iterator[tuple[list[DataFile], list[DataFile]]]:
    """The files that went and came between one commit that changed no row, as a compaction, and the next.

    Rows of a file that came are in a merged one after that, and go with it: over more than a span one could not tell
    these from the rows that a rewritten file carries on.
    """
    gone: dict[str, DataFile] = {}
    came: dict[str, DataFile] = {}
    for commit in commits:
        if commit.moved_in or commit.moved_out:
            yield [*gone.values()], [*came.values()]
            gone, came = {}, {}
            continue
        for file in commit.removed:
            if came.pop(file.name, None) is None:
                gone[file.name] = file
        came |= {file.name: file for file in commit.added}
    yield [*gone.values()], [*came.values()]


def _differing(table: Table, schema: pa.Schema, files: Sequence[DataFile], others: Sequence[DataFile]) -> LocalRows:
    """The rows of some files that others lack, told by all columns but bytes and vectors, which follow from these."""
    if not others:
        return Scan(files, schema, None)
    flat = pa.schema([field for field in table.schema if not is_bulk(field.type)])
    here, there = (Scan(some, flat, None).table() for some in (files, others))
    keys = here.join(there, keys=flat.names, join_type="left anti").select(list(table.key))
    return Scan(files, schema, HeldRows(keys))


def _marked(rows: LocalRows, change: str) -> Batches:
    for batch in rows.batches():
        yield batch.append_column(CHANGE, pa.array([change] * batch.num_rows, pa.string()))
