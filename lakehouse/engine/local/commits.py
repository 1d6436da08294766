"""Commits of the local engine: append, replace, merge, update and delete, by new files and rewritten ones.

One commit each, whatever its size: no more than a row group is held at a time. delta-rs has a merge of its own, which
is not used: it holds its source, reads more than it must, and writes types that Arrow has few functions for.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from lakehouse.arrow import pc
from lakehouse.engine.local.rows import HeldRows, LocalRows
from lakehouse.engine.local.scan import Index, Part, Scan, Wanted, group_sizes
from lakehouse.engine.port import Batches, Counts, Marks
from lakehouse.errors import DamagedTableError
from lakehouse.failpoint import crash_point
from lakehouse.tables import delta
from lakehouse.tables.compaction import Compacted, groups
from lakehouse.tables.damage import DOCTOR
from lakehouse.tables.delta import Lake
from lakehouse.tables.staged import StagedFiles, conform, is_bulk
from lakehouse.tables.table import DataFile, Table

_TOGETHER = 8192
"""Narrow rows that are written, or compared with those that are there, at once."""


def write(rows: LocalRows, lake: Lake, table: Table, *, replace: bool, marks: Marks | None) -> int:
    """Append rows, or replace all there are, in one commit; returns how many."""
    with delta.staging(lake, table) as staged:
        staged.write(rows.batches())
        staged.close()
        if staged.added or replace:
            delta.commit(lake, table, staged.added, replace=replace, marks=marks)
        return staged.rows


def merge(rows: LocalRows, lake: Lake, table: Table, marks: Marks | None, touch: Sequence[str] | None) -> Counts:
    """Insert and update rows in one commit."""
    (key,) = table.key
    files, keys = delta.snapshot(lake, table), []
    with delta.staging(lake, table) as staged:
        for batch in rows.batches():
            new = conform(batch, table.schema)
            keys.append(new.column(key))
            staged.write([new if touch is None else _as_before(new, files, table, touch)])
        if not keys:
            return Counts()
        removed, updated = _rewrite(files, table, pa.table({key: pa.chunked_array(keys)}), staged)
        staged.close()
        delta.commit(lake, table, staged.added, removed, marks=marks)
        return Counts(sum(len(column) for column in keys) - updated, updated)


def apart(
    rows: LocalRows, lake: Lake, table: Table, contents: Table, known: LocalRows, between: Callable[[], None]
) -> LocalRows:
    """Rows of a table, to be written at once: when the last of them is taken, the contents of all are committed.

    Each content once that is not `known`.
    """
    (key,) = contents.key

    def described() -> Batches:
        held = {value for batch in known.batches() for value in batch.column(key).to_pylist()}
        narrow: list[pa.RecordBatch] = []
        with delta.staging(lake, contents) as staged:
            for batch in rows.batches():
                staged.write([_unknown(batch, key, held).select(contents.schema.names)])
                narrow.append(_copied(conform(batch.select(table.schema.names), table.schema)))
                if sum(one.num_rows for one in narrow) >= _TOGETHER:
                    yield pa.concat_batches(narrow)
                    narrow = []
            if narrow:
                yield pa.concat_batches(narrow)
            staged.close()
            if staged.added:
                delta.commit(lake, contents, staged.added)
        between()

    return LocalRows(table.schema, described)


def _unknown(batch: pa.RecordBatch, key: str, held: set[object]) -> pa.RecordBatch:
    """The rows whose key is not held yet, each once; it is from now on."""
    new = []
    for place, value in enumerate(batch.column(key).to_pylist()):
        if value not in held:
            held.add(value)
            new.append(place)
    return batch if len(new) == batch.num_rows else batch.take(pa.array(new, pa.int64()))


def _copied(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows in memory of their own: they are held for long, and may lie in one buffer with what is wide."""
    return batch.take(pa.array(range(batch.num_rows)))


def update(rows: LocalRows, lake: Lake, table: Table, marks: Marks | None) -> int:
    """Set columns of existing rows in one commit; returns how many rows.

    Each file that holds one of them is written anew, a row group at a time; no other file is read or written.
    """
    new = rows.table().combine_chunks()
    wanted, removed, updated = Wanted(new.select(list(table.key))), [], 0
    with delta.staging(lake, table) as staged:
        for file, parts in _holding(delta.snapshot(lake, table), wanted):
            removed.append(file)
            for group, rows_there, found in parts:
                updated += len(found)
                part = Part(file.name, group, np.arange(rows_there), table.schema)
                staged.write(part.batches() if not len(found) else _with_columns(part.batches(), new, table))
        staged.close()
        if removed:
            delta.commit(lake, table, staged.added, removed, marks=marks)
        return updated


def delete(keys: LocalRows, lake: Lake, table: Table, marks: Marks | None) -> int:
    """Delete the rows with these keys in one commit; returns how many."""
    wanted = keys.table().select(list(table.key))
    with delta.staging(lake, table) as staged:
        removed, deleted = _rewrite(delta.snapshot(lake, table), table, wanted, staged)
        staged.close()
        if removed:
            delta.commit(lake, table, staged.added, removed, marks=marks)
        return deleted


def compact(lake: Lake, table: Table, at_most: int | None) -> Compacted:
    """Merge small files in one commit that changes no row; a row group is held at a time."""
    chosen = groups(delta.snapshot(lake, table), at_most=at_most)
    if not chosen:
        return Compacted()
    merged = [file for group in chosen for file in group]
    with delta.staging(lake, table, whole=True) as staged:
        for group in chosen:
            staged.write(Scan(group, table.schema, None).batches())
            staged.close()
        if staged.rows != sum(file.rows or 0 for file in merged):
            raise DamagedTableError(
                f"Files of {table.name} have {staged.rows} rows where the log says otherwise; they stay. {DOCTOR}"
            )
        crash_point("upkeep.files-merged")
        delta.commit(lake, table, staged.added, merged, same_rows=True)
    return Compacted(len(merged), sum(file.size for file in merged), len(chosen))


def _rewrite(
    files: Sequence[DataFile], table: Table, keys: pa.Table, staged: StagedFiles
) -> tuple[list[DataFile], int]:
    """Write the rows of each file that holds some of these keys anew, without them.

    Returns:
        The files that this is instead of, and how many rows were left out.
    """
    removed, left_out = [], 0
    for file, parts in _holding(files, Wanted(keys)):
        removed.append(file)
        for group, rows, dropped in parts:
            left_out += len(dropped)
            rest = np.delete(np.arange(rows), dropped)
            if len(rest):
                staged.write(Part(file.name, group, rest, table.schema).batches())
    return removed, left_out


def _holding(files: Sequence[DataFile], wanted: Wanted) -> Iterator[tuple[DataFile, list[tuple[int, int, Index]]]]:
    """The files that hold wanted rows; of each row group its number, its size, and which of its rows these are."""
    for file in files:
        if not wanted.may_be_in(file):
            continue
        parts = [(group, rows, wanted.rows_of(file, group)) for group, rows in enumerate(group_sizes(file.name))]
        if any(len(found) for _, _, found in parts):
            yield file, parts


def _with_columns(batches: Batches, new: pa.Table, table: Table) -> Batches:
    """Batches of a table, with the columns of `new` in the rows whose key is there."""
    (key,) = table.key
    for batch in batches:
        at = pc.index_in(batch.column(key), new.column(key).combine_chunks())  # null where it is not
        taken, there = new.take(at), pc.is_valid(at)
        columns = [
            pc.if_else(there, taken.column(field.name).combine_chunks().cast(field.type), batch.column(field.name))
            if field.name in new.column_names and field.name != key
            else batch.column(field.name)
            for field in table.schema
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=table.schema)


def _as_before(new: pa.RecordBatch, files: Sequence[DataFile], table: Table, touch: Sequence[str]) -> pa.RecordBatch:
    """Rows as they are to be: those whose content is in the table already as they are there, but for some columns."""
    (key,) = table.key
    flat = pa.schema([field for field in table.schema if not is_bulk(field.type)])
    keys = HeldRows(pa.table({key: new.column(key)}))
    old = Scan(files, flat, keys).table().combine_chunks()
    if not old.num_rows:
        return new
    taken = old.take(pc.index_in(new.column(key), old.column(key).combine_chunks()))  # nulls where there is none
    before = {name: taken.column(name).combine_chunks() for name in flat.names}
    same = pc.fill_null(pc.equal(before["sha256"], new.column("sha256")), False)
    both_unknown = pc.and_(pc.is_null(before["sha256"]), pc.is_null(new.column("sha256")))
    same = pc.or_(same, pc.and_(both_unknown, pc.is_valid(before[key])))
    columns = []
    for field in table.schema:
        column = new.column(field.name)
        if field.name not in touch and field.name in flat.names:
            column = pc.if_else(same, before[field.name], column)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=table.schema)
