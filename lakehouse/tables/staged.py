"""Write Parquet files that are not part of a table version yet, with the statistics that the commit will need."""

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import BinaryIO

import pyarrow as pa
from deltalake.transaction import AddAction

from lakehouse.arrow import pc, pq
from lakehouse.errors import StorageError
from lakehouse.failures import refusals
from lakehouse.storage import create_file, remove_file
from lakehouse.storage.uri import absolute_uri
from lakehouse.tables.table import Ordered, Table, without_comments

GROUP_BYTES = 32 << 20
"""Bytes of a row group, at the most, unless one batch alone has more."""
FILE_BYTES = 256 << 20
"""Bytes of rows in a file, at the most, unless one batch alone has more."""
_FEW = 16
"""Rows up to which their least and greatest values are found without Arrow's functions, which take 0.1 s to import."""


class StagedFiles:
    """Files in a table's folder that are no part of it yet; what is not committed is removed by `discard`."""

    def __init__(self, folder: str, table: Table, *, whole: bool = False) -> None:
        """Stage files in a table's folder; none is made before there are rows.

        Args:
            folder: the table's.
            table: what it is.
            whole: a file ends where `close` is called, and not at FILE_BYTES.
        """
        self._folder, self._table, self._whole = absolute_uri(folder), table, whole
        self._names: list[str] = []
        self._open: _OpenFile | None = None
        self.added: list[AddAction] = []
        self.rows = 0

    def write(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Write batches; the last file stays open for more."""
        for batch in batches:
            if batch.num_rows:
                self._add(conform(batch, self._table.schema))

    def close(self) -> None:
        """Close the last file: `added` is complete then."""
        if self._open is not None:
            with refusals(f"{self._open.uri} cannot be written"):
                self.added.append(self._open.close())
            self._open = None

    def discard(self) -> None:
        """Remove all files, after an error or where they are not wanted."""
        if self._open is not None:
            self._open.abandon()
        for name in self._names:
            with suppress(StorageError):  # what is left is no part of the table, and VACUUM's
                remove_file(f"{self._folder}/{name}")

    def _add(self, batch: pa.RecordBatch) -> None:
        if self._open is not None and self._is_full(batch):
            self.close()
        if self._open is None:
            name = f"part-{uuid.uuid4()}.parquet"
            self._names.append(name)
            with refusals(f"{self._folder}/{name} cannot be written"):
                self._open = _OpenFile(f"{self._folder}/{name}", self._table)
        with refusals(f"{self._open.uri} cannot be written"):
            self._open.add(batch)
        self.rows += batch.num_rows

    def _is_full(self, batch: pa.RecordBatch) -> bool:
        assert self._open is not None
        return not self._whole and self._open.bytes + batch.nbytes > FILE_BYTES


class _OpenFile:
    def __init__(self, uri: str, table: Table) -> None:
        self.bytes = 0
        self.uri, self._schema = uri, without_comments(table.schema)
        self._group: list[pa.RecordBatch] = []
        self._group_bytes = 0
        self._statistics = _Statistics(table)
        self._file: BinaryIO = create_file(uri)
        flat = [field.name for field in table.schema if not is_bulk(field.type)]
        self._writer = pq.ParquetWriter(
            self._file,
            self._schema,
            # Photographs and vectors of floats hardly get smaller, and take the time all the same.
            compression={field.name: "SNAPPY" if field.name in flat else "NONE" for field in table.schema},
            use_dictionary=[field.name for field in table.schema if field.type == pa.string()],
            write_statistics=flat,
        )

    def add(self, batch: pa.RecordBatch) -> None:
        if self._group_bytes + batch.nbytes > GROUP_BYTES:
            self._flush()
        self._group.append(batch)
        self._group_bytes += batch.nbytes
        self.bytes += batch.nbytes

    def close(self) -> AddAction:
        self._flush()
        self._writer.close()
        size = self._file.tell()
        self._file.close()
        name = self.uri.rpartition("/")[2]
        now = int(datetime.now().timestamp() * 1000)
        return AddAction(name, size, {}, now, True, self._statistics.as_json())

    def abandon(self) -> None:
        with suppress(OSError, StorageError, pa.ArrowException):  # the disk may be full, which is why
            self._writer.close()
        with suppress(OSError, StorageError):
            self._file.close()

    def _flush(self) -> None:
        if self._group:
            rows = pa.Table.from_batches(self._group, self._schema)
            self._writer.write_table(rows, row_group_size=rows.num_rows)
            self._statistics.add(rows)
        self._group, self._group_bytes = [], 0


class _Statistics:
    """Minimum, maximum and nulls of the columns that the table's log keeps them of."""

    def __init__(self, table: Table) -> None:
        self._columns = table.statistics
        self._rows = 0
        self._least: dict[str, Ordered] = {}
        self._most: dict[str, Ordered] = {}
        self._nulls = dict.fromkeys(table.statistics, 0)

    def add(self, rows: pa.Table) -> None:
        self._rows += rows.num_rows
        for name in self._columns:
            column = rows.column(name)
            self._nulls[name] += column.null_count
            least, most = _ends(column)
            if least is not None and most is not None:
                self._least[name] = min(self._least.get(name, least), least)
                self._most[name] = max(self._most.get(name, most), most)

    def as_json(self) -> str:
        """As Delta's protocol has it: time stamps in milliseconds, which bound the microseconds that are there."""
        least = {name: _stated(value, timedelta(0)) for name, value in self._least.items()}
        most = {name: _stated(value, timedelta(microseconds=999)) for name, value in self._most.items()}
        stated = {"numRecords": self._rows, "minValues": least, "maxValues": most, "nullCount": self._nulls}
        return json.dumps(stated)


def _ends(column: pa.ChunkedArray) -> tuple[Ordered | None, Ordered | None]:
    """The least and the greatest value of a column; None where all are null."""
    if len(column) <= _FEW:
        values = [value for value in column.to_pylist() if value is not None]
        return min(values, default=None), max(values, default=None)
    found: Mapping[str, Ordered | None] = pc.min_max(column).as_py()
    return found["min"], found["max"]


def _stated(value: object, up: timedelta) -> object:
    if not isinstance(value, datetime):
        return value
    return (value + up).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_bulk(kind: pa.DataType) -> bool:
    """Whether a column holds bytes or vectors: the wide part of a row."""
    return bool(pa.types.is_binary(kind) or pa.types.is_nested(kind))


def widened(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    """Columns of a data file by name; one that was added to the table after the file was written is null."""
    for name in names:
        if name not in rows.column_names:
            rows = rows.append_column(name, pa.nulls(rows.num_rows))
    return rows.select(list(names))


def conformed(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The columns of a schema, in its order and its types: other writers have views, or other names in lists."""
    for batch in batches:
        yield conform(batch, schema)


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """One batch, as `conformed` makes it."""
    if batch.schema.equals(schema):
        return batch
    columns = [_cast(batch.column(field.name), field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    return column if column.type.equals(kind) else column.cast(kind)
