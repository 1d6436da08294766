"""Access to Delta tables by delta-rs: versions, file statistics, commit metadata, and small reads and writes.

All through delta-rs, which answers in milliseconds and needs no Java, whatever engine computes the rows.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable, Schema
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.transaction import AddAction

from lakehouse.arrow import pc, pq
from lakehouse.errors import DamagedTableError, ForeignTableError, LakehouseError, StorageError
from lakehouse.failures import refusal, refusals
from lakehouse.storage import check_reachable, list_files, open_file
from lakehouse.storage.uri import on_disk
from lakehouse.tables.commits import Commit, commit_once
from lakehouse.tables.damage import DOCTOR, explained, first_line, reading
from lakehouse.tables.declare import bring_up, declare
from lakehouse.tables.lake import Lake as Lake
from lakehouse.tables.layout import check_layout, unknown_protocol
from lakehouse.tables.marks import metadata_of, version_of_rows
from lakehouse.tables.newest import NewestVersions
from lakehouse.tables.staged import StagedFiles, conformed, widened
from lakehouse.tables.table import DataFile, Row, Table, without_comments


def create(lake: Lake, tables: Sequence[Table]) -> None:
    """Create the tables that do not exist, and add to the others what has been declared since they were made.

    Raises:
        ForeignTableError: one exists with another layout; nothing was changed.
        OutdatedTableError: one must be migrated first (`lakehouse/migration.py`); nothing was changed.
    """
    found = [(table, open_table(lake, table)) for table in tables]
    for table, handle in found:
        if handle is not None:
            bring_up(lake, table, handle)
    for table in (table for table, handle in found if handle is None):
        lake.guard()
        with refusals(f"The table {table.name} cannot be made"):
            lake.asking(partial(_create, lake, table))


def _create(lake: Lake, table: Table) -> None:
    DeltaTable.create(
        lake.path(table),
        Schema.from_arrow(table.schema),
        mode="ignore",
        name=table.name,
        description=table.description or None,
        # delta-rs refuses properties that it does not know unless told that they are meant.
        configuration=table.properties,
        raise_if_key_not_exists=False,
        storage_options=lake.options,
    )


def create_filled(lake: Lake, table: Table, batches: Iterable[pa.RecordBatch]) -> None:
    """Create a table with rows, in one commit: how a migration makes a table of what a lake has kept elsewhere."""
    with staging(lake, table) as staged:
        staged.write(batches)
        staged.close()
        declare(lake, table, None, staged.added)


def rewrite(lake: Lake, table: Table, found: DeltaTable, batches: Iterable[pa.RecordBatch]) -> None:
    """Replace all rows and write the declaration, in one commit: how a migration changes a table that there is.

    Args:
        lake: where the table is.
        table: as it is to be.
        found: as it is, opened by its declaration of then.
        batches: its rows, as they are to be.
    """
    with staging(lake, table) as staged:
        staged.write(batches)
        staged.close()
        declare(lake, table, found, staged.added, files_of(lake, table, found))


@cache
def _reach(uri: str) -> None:
    """Look once whether a lake can be listed: a request, which a run would make for each table that it lacks."""
    next(iter(list_files(uri, recursive=True)), None)


def open_table(lake: Lake, table: Table, version: int | None = None) -> DeltaTable | None:
    """The delta-rs handle of a table, or None where it does not exist.

    Raises:
        ForeignTableError: it has another layout, or a protocol that is not read here.
        OutdatedTableError: it must be migrated first.
        DamagedTableError: its log cannot be read.
    """
    found = find_table(lake, table, version)
    if found is not None:
        check_layout(table, found)
    return found


def existing(lake: Lake, table: Table, version: int | None = None) -> DeltaTable:
    """The delta-rs handle of a table that must exist; raises as `open_table`."""
    found = open_table(lake, table, version)
    if found is None:
        raise LakehouseError(f"The table {table.name} is not in {lake.uri}; `fruits run` makes it.")
    return found


def find_table(lake: Lake, table: Table, version: int | None = None) -> DeltaTable | None:
    """The delta-rs handle of a table whatever its layout, for who migrates or examines it; None without one.

    Others may hold the same handle: it must not be changed.
    """
    try:
        return lake.asking(partial(_open, lake, table, version))
    except TableNotFoundError:
        if on_disk(lake.uri):
            check_reachable(lake.log(table))  # delta-rs does not tell a folder that is closed from none
        else:
            _reach(lake.uri)  # nor a website from a bucket
        return None
    except (DeltaError, OSError) as error:
        check_reachable(lake.uri)  # which says what to do, where that is it
        if "KeyTooLong" in str(error):  # on its disk a server may allow fewer bytes a folder than S3 does a key
            raise StorageError(
                f"The lake {lake.uri} has a longer name than the server allows: delta-rs asks for blanks, accents and "
                "their like by encoded ones, of 5 bytes a byte. Name a shorter folder."
            ) from error
        if refused := refusal(error):
            raise StorageError(f"The table {table.name} cannot be opened: {refused}") from error
        if version is not None:  # which may just not be there
            raise
        if "not supported" in str(error) or "Unsupported" in str(error):
            raise ForeignTableError(unknown_protocol(table, first_line(error))) from error
        raise DamagedTableError(explained(table.name, lake.log(table), error)) from error


def _open(lake: Lake, table: Table, version: int | None) -> DeltaTable:
    if version is None:
        return lake.newest.open(lake.path(table), lake.log(table), lake.options)
    return DeltaTable(lake.path(table), version=version, storage_options=lake.options)


def snapshot(lake: Lake, table: Table, version: int | None = None) -> list[DataFile]:
    """The data files of a version, by default the latest, with their entries in the log."""
    handle = open_table(lake, table, version)
    return files_of(lake, table, handle) if handle else []


def files_of(lake: Lake, table: Table, handle: DeltaTable) -> list[DataFile]:
    """The data files of an open version."""
    return [
        DataFile(
            f"{lake.path(table)}/{unquote(action['path'])}",
            action["size_bytes"],
            action.get("num_records"),
            {name: action[f"min.{name}"] for name in table.statistics if action.get(f"min.{name}") is not None},
            {name: action[f"max.{name}"] for name in table.statistics if action.get(f"max.{name}") is not None},
            action["modification_time"],
        )
        for action in actions(handle).to_pylist()
    ]


def data_files(lake: Lake, table: Table, version: int | None = None) -> list[str]:
    """The data files of a version, by default the latest; empty for a table that does not exist."""
    handle = open_table(lake, table, version)
    names = actions(handle).column("path").to_pylist() if handle else []
    # The log percent-encodes names, delta-rs' own list of files the lake's folder as well.
    return [f"{lake.path(table)}/{unquote(name)}" for name in names]


def commit(
    lake: Lake,
    table: Table,
    added: Sequence[AddAction] = (),
    removed: Sequence[DataFile] = (),
    *,
    replace: bool = False,
    marks: Mapping[str, str] | None = None,
    transaction: tuple[str, int] | None = None,
    same_rows: bool = False,
) -> None:
    """Add files to a table and remove others from it in one commit, after the lake's guard has allowed it.

    Args:
        lake: where the table is.
        table: the table.
        added: files in its folder that are complete.
        removed: files of its newest version. Where one is gone by now, somebody else has written: an error.
        replace: remove all files of the newest version instead.
        marks: words for the commit's entry in the table's history.
        transaction: an application and its number, as `transaction_version` reads it.
        same_rows: the added files hold the rows of the removed ones, as after compaction: the commit is no change of
            the table (Delta's `dataChange: false`), and its marks are those of the commit before.
    """
    with _committing(lake, table):
        written = Commit(added, removed, replace, marks or {}, transaction, same_rows)
        commit_once(lake, table, written, partial(_existing_for_change, lake, table))


def _existing_for_change(lake: Lake, table: Table) -> DeltaTable:
    """A handle of nobody else's: a commit changes it."""
    return existing(dataclasses.replace(lake, newest=NewestVersions()), table)


@contextmanager
def _committing(lake: Lake, table: Table) -> Iterator[None]:
    try:
        yield
    except (DeltaError, OSError) as error:
        said = refusal(error) or f"{first_line(error)}. {DOCTOR}"
        raise StorageError(f"The log {lake.log(table)} cannot be written: {said}") from error


def write_small(rows: pa.Table, lake: Lake, table: Table, *, mode: str) -> None:
    """Append to or overwrite (`mode`) a small table in one commit, independent of the engine."""
    with staging(lake, table) as staged:
        staged.write(rows.to_batches())
        staged.close()
        commit(lake, table, staged.added, replace=mode == "overwrite")


@contextmanager
def staging(lake: Lake, table: Table, *, whole: bool = False) -> Iterator[StagedFiles]:
    """Stage files to be committed within the block; after an error they are deleted. `whole`: see `StagedFiles`."""
    staged = StagedFiles(lake.path(table), table, whole=whole)
    try:
        yield staged
    except BaseException:
        staged.discard()
        raise


def transaction_version(lake: Lake, table: Table, application: str) -> int:
    """The last version that `mark_transaction` wrote for this application id; 0 if there is none."""
    return lake.asking(lambda: existing(lake, table).transaction_version(application)) or 0


def mark_transaction(lake: Lake, table: Table, application: str, number: int) -> None:
    """Write an application transaction (Delta's `txn`) into the log, in a commit without data."""
    commit(lake, table, transaction=(application, number))


def metadata(lake: Lake, table: Table) -> Mapping[str, object]:
    """The metadata of the newest commit, with the marks that the commit was given."""
    return lake.asking(lambda: metadata_of(existing(lake, table)))


def rows_version(lake: Lake, table: Table) -> int:
    """The version that made the rows as they are: the newest, or the one before commits that changed none (upkeep)."""
    return lake.asking(lambda: version_of_rows(existing(lake, table)))


def write_metadata(lake: Lake, table: Table, metadata: Mapping[str, str]) -> None:
    """Write commit metadata into the history, in a commit without data."""
    commit(lake, table, marks=metadata)


def maximum(lake: Lake, table: Table, column: str, version: int | None = None) -> int | None:
    """The maximum of an integer column from the log's statistics, without reading data; None for an empty table."""
    values = _file_statistics(lake, table, f"max.{column}", version)
    return max(values) if values else None


def versions(lake: Lake, table: Table, column: str) -> set[int]:
    """The distinct values of an integer column that is constant within each file, from the log's statistics."""
    return {*_file_statistics(lake, table, f"min.{column}"), *_file_statistics(lake, table, f"max.{column}")}


def dataset(lake: Lake, table: Table, version: int | None = None) -> "pa.dataset.Dataset":
    """A version, by default the latest, as an Arrow dataset: columns and rows that are not needed are not read."""
    from lakehouse.tables.files import files_in  # which imports Arrow's file systems

    handle = existing(lake, table, version)
    files = None if on_disk(lake.uri) else files_in(lake.path(table), handle, lake.options)
    found = handle.to_pyarrow_dataset(filesystem=files)
    return found.replace_schema(without_comments(table.schema)) if table.added else found


def read_columns(lake: Lake, table: Table, columns: Sequence[str], version: int | None = None) -> Iterator[pa.Table]:
    """Read columns of a version, by default the latest, one data file at a time; for small or narrow tables.

    By Parquet's reader alone: importing Arrow's datasets takes longer than reading a small table.
    """
    for name in data_files(lake, table, version):
        yield _read_file(name, table, columns)


def read_batches(lake: Lake, table: Table, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    """Read columns of the newest version, at most so many rows at a time, and fewer where these are wide.

    A batch has about BATCH_BYTES, or one row; a row group is held.
    """
    schema = pa.schema([table.schema.field(column) for column in columns])
    for name in data_files(lake, table):
        with (
            reading(name),
            open_file(name) as source,
            pq.ParquetFile(source, coerce_int96_timestamp_unit="us", pre_buffer=False) as file,
        ):
            there = [column for column in columns if column in file.schema_arrow.names]
            for group in range(file.num_row_groups):
                at_once = min(rows, max(1, BATCH_BYTES // _row_bytes(file.metadata.row_group(group), there)))
                for batch in file.iter_batches(batch_size=at_once, row_groups=[group], columns=there):
                    wide = widened(pa.Table.from_batches([batch]), columns).combine_chunks()
                    yield from conformed(wide.to_batches(), schema)


BATCH_BYTES = 8 << 20
"""Bytes that `read_batches` reads at a time, unless a single row has more."""


def _row_bytes(group: Any, columns: Sequence[str]) -> int:
    """The mean bytes of a row in these columns of a row group."""
    chunks = (group.column(number) for number in range(group.num_columns))
    size: int = sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema.split(".")[0] in columns)
    rows: int = group.num_rows
    return max(1, size // max(1, rows))


def _read_file(name: str, table: Table, columns: Sequence[str]) -> pa.Table:
    schema = pa.schema([table.schema.field(column) for column in columns])
    with (
        reading(name),
        open_file(name) as source,
        pq.ParquetFile(source, coerce_int96_timestamp_unit="us") as file,
    ):
        batches = widened(file.read(list(columns)), columns).to_batches()
        return pa.Table.from_batches(conformed(batches, schema), schema)


def read_rows(lake: Lake, table: Table, columns: Sequence[str]) -> list[Row]:
    """Columns of the current rows of a small table; none where it does not exist."""
    return [row for rows in read_columns(lake, table, columns) for row in rows.to_pylist()]


def read_where(
    lake: Lake, table: Table, column: str, values: Sequence[object], columns: Sequence[str]
) -> Iterator[pa.Table]:
    """Read columns of the current rows that have one of these values in a column, one data file at a time.

    Files that can have none of them, by the log's statistics, are not read; where the column has statistics.
    """
    wanted = pa.array(values, table.schema.field(column).type)  # Arrow would make no values ones of type null
    for file in snapshot(lake, table):
        if _may_hold(file, column, values):
            rows = _read_file(file.name, table, list(dict.fromkeys([*columns, column])))
            yield rows.filter(pc.is_in(rows.column(column), wanted)).select(list(columns))


def rows_where(lake: Lake, table: Table, column: str, values: Sequence[object], columns: Sequence[str]) -> list[Row]:
    """Read columns of the current rows that have one of these values in a column; for few matching rows."""
    return [row for rows in read_where(lake, table, column, values, columns) for row in rows.to_pylist()]


def _may_hold(file: DataFile, column: str, values: Sequence[object]) -> bool:
    least, most = file.minimum.get(column), file.maximum.get(column)
    # Delta cuts long strings in its statistics.
    if least is None or most is None or isinstance(least, str):
        return True
    return any(value is not None and least <= value <= most for value in values)


def any_row(lake: Lake, table: Table, column: str, value: object) -> bool:
    """Whether any current row has this value in a column; reads only that column."""
    wanted = pa.array([value], table.schema.field(column).type)
    return any(pc.any(pc.is_in(rows.column(column), wanted)).as_py() for rows in read_columns(lake, table, [column]))


def count(lake: Lake, table: Table, version: int | None = None) -> int:
    """The number of rows from the log's statistics, without reading data."""
    return sum(_file_statistics(lake, table, "num_records", version))


def actions(handle: DeltaTable) -> pa.Table:
    """The add actions of a snapshot: path, size_bytes, num_records, min.<column>, …."""
    # Not `pa.table(…)`, which asks whether this is pandas', and imports it to know: 0.4 s.
    return pa.RecordBatchReader.from_stream(handle.get_add_actions(flatten=True)).read_all()


def _file_statistics(lake: Lake, table: Table, name: str, version: int | None = None) -> list[int]:
    files = actions(existing(lake, table, version))
    if name not in files.column_names:
        return []
    return [value for value in files.column(name).to_pylist() if value is not None]
