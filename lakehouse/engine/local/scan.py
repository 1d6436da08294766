"""Scan a table snapshot, skipping files and row groups that the log's statistics exclude."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lakehouse.arrow import as_numpy, pc, pq
from lakehouse.engine.local.rows import LocalRows
from lakehouse.engine.port import SHARE_BYTES, Batches
from lakehouse.storage import open_file
from lakehouse.tables.damage import reading
from lakehouse.tables.staged import conform, widened
from lakehouse.tables.table import DataFile, Ordered

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

_BATCH_BYTES = 8 << 20
_BATCH_ROWS = 65_536
_LOOKED_UP = 100  # values hashed in the time in which one is looked up in their order
_KEPT_GROUP = 48 << 20  # a row group up to this size is kept, decoded, for the shares that follow

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """Some rows of one row group of a data file, to be read by any process.

    Attributes:
        file: the data file's URI or path.
        group: the row group's number.
        rows: which of its rows, ascending.
        schema: the columns that are wanted.
        beside: further columns of these rows, which go along.
    """

    file: str
    group: int
    rows: Index
    schema: pa.Schema
    beside: pa.RecordBatch | None = None

    def between(self, start: int, end: int) -> "Part":
        """Some of the rows, by their places among them."""
        beside = None if self.beside is None else self.beside.slice(start, end - start)
        return replace(self, rows=self.rows[start:end], beside=beside)

    def batches(self) -> Batches:
        """Read the rows."""
        start = 0
        for batch in self._read():
            if self.beside is not None:
                beside = self.beside.slice(start, batch.num_rows)
                schema = pa.schema([*batch.schema, *beside.schema])
                batch = pa.RecordBatch.from_arrays([*batch.columns, *beside.columns], schema=schema)
            start += batch.num_rows
            yield batch

    def _read(self) -> Batches:
        if _group_bytes(self.file, self.group, self.schema.names) <= _KEPT_GROUP:
            group = _read_group(self.file, self.group, tuple(self.schema.names))
            chosen = group.slice(self.rows[0], len(self.rows)) if self._contiguous else group.take(self.rows)
            yield from (conform(batch, self.schema) for batch in chosen.to_batches())
            return
        first = 0
        for batch in _open(self.file).iter_batches(
            batch_size=_rows_a_batch(self.file, self.group, self.schema.names),
            row_groups=[self.group],
            columns=self.schema.names,
        ):
            here = self.rows[(self.rows >= first) & (self.rows < first + batch.num_rows)] - first
            first += batch.num_rows
            if len(here):
                chosen = widened(pa.Table.from_batches([batch]), self.schema.names).take(pa.array(here))
                yield from (conform(one, self.schema) for one in chosen.combine_chunks().to_batches())

    @property
    def _contiguous(self) -> bool:
        return bool(self.rows[-1] - self.rows[0] + 1 == len(self.rows))


class Scan(LocalRows):
    """Some columns of the rows of some data files, of all rows or of those among others."""

    def __init__(
        self, files: Sequence[DataFile], schema: pa.Schema, among: LocalRows | None, along: Sequence[str] = ()
    ) -> None:
        """Take the files of a snapshot; nothing is read yet."""
        beside = [among.schema.field(name) for name in along] if among is not None else []
        super().__init__(pa.schema([*schema, *beside]), self._read)
        self._files, self._read_schema, self._among, self._along = files, schema, among, along

    def parts(self, weight: str | None, share_rows: int) -> Iterator[tuple[Part, int]]:
        """The rows in parts of at most so many, and SHARE_BYTES, each with its bytes; reads narrow columns alone."""
        for whole in self._chosen():
            rows = whole.rows
            sizes = _column(whole.file, whole.group, weight)[rows] if weight else np.zeros(len(rows), np.int64)
            start = 0
            while start < len(rows):
                end = start + _fitting(sizes[start : start + share_rows])
                yield whole.between(start, end), int(sizes[start:end].sum())
                start = end

    def _read(self) -> Batches:
        for whole in self._chosen():
            most = _rows_a_batch(whole.file, whole.group, self._read_schema.names)
            for start in range(0, len(whole.rows), most):
                yield from whole.between(start, min(start + most, len(whole.rows))).batches()

    def _chosen(self) -> Iterator[Part]:
        """All wanted rows of each row group."""
        wanted = Wanted(self._among.table(), self._along) if self._among is not None else None
        for file in self._files:
            if wanted is not None and not wanted.may_be_in(file):
                continue
            for group, count in enumerate(group_sizes(file.name)):
                rows = wanted.rows_of(file, group) if wanted is not None else np.arange(count)
                if len(rows):
                    beside = wanted.beside(file, group, rows) if wanted is not None and self._along else None
                    yield Part(file.name, group, rows, self._read_schema, beside)


class Wanted:
    """Values that rows must be among, looked up file by file."""

    def __init__(self, values: pa.Table, along: Sequence[str] = ()) -> None:
        """Take the values; rows of several columns are wanted as a whole, but for those that go along."""
        rows = values.drop_columns(list(along))
        self._first, self._along = values.column(rows.column_names[0]), values.select(list(along))
        self._columns: Mapping[str, pa.Array] = {
            name: rows.column(name).combine_chunks().unique().drop_null() for name in rows.column_names
        }
        self._bounds = {name: _sorted(values) for name, values in self._columns.items()}
        self._together = rows if rows.num_columns > 1 else None

    def may_be_in(self, file: DataFile) -> bool:
        """Whether the log's statistics leave room for one of them."""
        bounds = self._bounds.items()
        return all(_overlaps(values, file.minimum.get(name), file.maximum.get(name)) for name, values in bounds)

    def rows_of(self, file: DataFile, group: int) -> Index:
        """Which rows of a row group are among them."""
        names = tuple(self._columns)
        read = _read_narrow(file.name, group, names)
        found = None
        for name in names:
            values = read.column(name).cast(self._columns[name].type)
            here = pc.is_in(values, self._columns[name])
            found = here if found is None else pc.and_(found, here)
        index: Index = as_numpy(pc.indices_nonzero(found)).astype(np.int64)
        if self._together is None or not len(index):
            return index
        # Each value is wanted, but the combination may not be.
        candidates = read.take(index).cast(self._together.select(names).schema).append_column("_at", pa.array(index))
        joined = candidates.join(self._together.select(names), keys=list(names), join_type="left semi")
        return np.sort(as_numpy(joined.column("_at")))

    def beside(self, file: DataFile, group: int, rows: Index) -> pa.RecordBatch:
        """What goes along with rows that are among them."""
        (name, *_) = self._columns
        values = _read_narrow(file.name, group, tuple(self._columns)).column(name).take(pa.array(rows))
        found = self._along.take(self._places.of(values.combine_chunks().cast(self._first.type)))
        (batch,) = found.combine_chunks().to_batches()
        return batch

    @cached_property
    def _places(self) -> "_Places":
        return _Places(self._first.combine_chunks())


class _Places:
    """Where values stand in an array, each of them once there."""

    def __init__(self, values: pa.Array) -> None:
        self._values, self._order = values, pc.sort_indices(values)
        self._sorted = values.take(self._order)

    def of(self, asked: pa.Array) -> pa.Array:
        """The places of values that are there."""
        if len(asked) * _LOOKED_UP > len(self._values):
            return pc.index_in(asked, self._values)
        # Arrow would hash all values for a few: of large photographs a row group has ten.
        at = [bisect_left(range(len(self._sorted)), one, key=self._at) for one in asked.to_pylist()]
        return self._order.take(pa.array(at, pa.int64()))

    def _at(self, place: int) -> Any:
        return self._sorted[place].as_py()


def _sorted(values: pa.Array) -> list[Ordered]:
    return sorted(values.to_pylist())


def _overlaps(values: Sequence[Ordered], least: Ordered | None, most: Ordered | None) -> bool:
    """Whether one of some sorted values lies between two bounds; without bounds it may."""
    if not values:
        return False
    if least is None or most is None:
        return True
    at = bisect_left(values, least)
    return at < len(values) and bool(values[at] <= most)


def _fitting(sizes: Index) -> int:
    """How many of these rows, one at least, have at most SHARE_BYTES together."""
    return max(1, int(np.searchsorted(np.cumsum(sizes), SHARE_BYTES, side="right")))


@lru_cache(maxsize=16)
def _open(file: str) -> "ParquetFile":
    # Data files never change under their names. Spark's older ones have time stamps of 96 bits.
    with reading(file):
        return pq.ParquetFile(open_file(file), coerce_int96_timestamp_unit="us", pre_buffer=False)


@lru_cache(maxsize=1)
def _read_group(file: str, group: int, columns: tuple[str, ...]) -> pa.Table:
    return _read(file, group, columns)


@lru_cache(maxsize=2)
def _read_narrow(file: str, group: int, columns: tuple[str, ...]) -> pa.Table:
    return _read(file, group, columns)


def _read(file: str, group: int, columns: tuple[str, ...]) -> pa.Table:
    with reading(file):
        found = _open(file).read_row_group(group, columns=list(columns), use_threads=False)
    read = widened(found, columns)
    return read.cast(pa.schema([(field.name, _plain(field.type)) for field in read.schema])).combine_chunks()


def _plain(kind: pa.DataType) -> pa.DataType:
    """A type that Arrow computes with: delta-rs' merges write views, for which it has few functions."""
    if kind == pa.string_view():
        return pa.string()
    return pa.binary() if kind == pa.binary_view() else kind


def _column(file: str, group: int, name: str) -> Index:
    return as_numpy(_read_narrow(file, group, (name,)).column(name).fill_null(0))


def close_files() -> None:
    """Close the files that are open, and forget what was read of them."""
    for cache in (_read_group, _read_narrow, _open):
        cache.cache_clear()


def group_sizes(file: str) -> list[int]:
    """The rows of each row group of a data file."""
    metadata = _open(file).metadata
    return [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]


def _group_bytes(file: str, group: int, columns: Sequence[str]) -> int:
    described = _open(file).metadata.row_group(group)
    chunks = (described.column(at) for at in range(described.num_columns))
    return sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema.partition(".")[0] in columns)


def _rows_a_batch(file: str, group: int, columns: Sequence[str]) -> int:
    rows = _open(file).metadata.row_group(group).num_rows
    return int(np.clip(rows * _BATCH_BYTES // max(_group_bytes(file, group, columns), 1), 1, _BATCH_ROWS))
