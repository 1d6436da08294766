"""Read the data files of an S3 Inventory: gzipped CSV, or Parquet, with a row an object."""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_plus

import pyarrow as pa

from bronze.discover import LISTING, Rules
from bronze.folders import FolderLabels
from lakehouse.arrow import pc, pq
from lakehouse.engine.port import Batches, Given
from lakehouse.errors import StorageError
from lakehouse.failures import why
from lakehouse.storage import read_file
from lakehouse.storage.base import FileStatus
from lakehouse.storage.folder_rules import Rule
from lakehouse.storage.keys import sifted
from lakehouse.storage.uri import S3
from lakehouse.tables.table import INSTANT

FILES = pa.schema([("number", pa.int64()), ("file", pa.string()), ("md5", pa.string()), ("size", pa.int64())])
"""Data files of an inventory; `number` is a file's place in the manifest."""
NEEDED = ("Key", "Size", "LastModifiedDate")
"""The fields without which an object is not known."""
LATEST = "IsLatest"
_DELETED = "IsDeleteMarker"
_ROWS_A_BATCH = 65_536
_CSV_BLOCK = 8 << 20


def plain(name: str) -> str:
    """A field's name as CSV and Parquet both have it: `LastModifiedDate` is `last_modified_date`."""
    return name.replace("_", "").lower()


@dataclass(frozen=True)
class InventoryFiles:
    """From FILES to LISTING, without fingerprints: the objects under a root.

    A file is held as it is, compressed, for it is compared with its MD5 before a row of it counts.

    Attributes:
        root: the s3:// URI that objects are under; its bucket is the one whose objects the files name.
        columns: of CSV files; None for Parquet.
        rules: how objects are taken.
    """

    root: str
    columns: tuple[str, ...] | None
    rules: Rules

    def __call__(self, files: Given) -> Batches:
        """Read the files, one after the other.

        Raises:
            StorageError: one is not what the manifest says.
        """
        for batch in files:
            for file in batch.to_pylist():
                if file["number"] == 0 and (lake := self._lake_below()):
                    yield _to_batch([lake])
                yield from self._listed(file["file"], file["md5"])

    def _lake_below(self) -> tuple[object, ...] | None:
        """The entry that stands for the lake and all that is in it, where that is under the root."""
        lake = self.rules.lake
        if lake is None or not lake.startswith(f"{self.root}/"):
            return None
        return lake, *FolderLabels(self.root, self.rules.names).of_unusable(lake), 0, 0, str(Rule.LAKE)

    def _listed(self, file: str, md5: str) -> Batches:
        labels, rules = FolderLabels(self.root, self.rules.names), self.rules.of_folders([self.root])
        rule_of_file = self.rules.files.rule_of
        for objects in self._objects(file, md5):
            rows: list[tuple[object, ...]] = []
            for one in sifted(self.root, objects, rules, None):
                path = one.path
                if one.rule is None:
                    rule = rule_of_file(path.rpartition("/")[2])
                    rows.append((path, *labels.of(path), one.length, one.modified, rule))
                elif path not in rules.folders:
                    rows.append((path, *labels.of_unusable(path), one.length, one.modified, str(one.rule)))
            yield _to_batch(rows)

    def _objects(self, file: str, md5: str) -> Iterator[Iterator[FileStatus]]:
        """The objects under the root, a batch of a file after the other."""
        bucket, _, prefix = self.root.removeprefix(S3).partition("/")
        for batch in self._rows(file, md5):
            below = batch.filter(pc.starts_with(batch.column("Key"), f"{prefix}/")) if prefix else batch
            keys, sizes, times = (below.column(name).to_pylist() for name in NEEDED)
            yield (
                FileStatus(f"{S3}{bucket}/{key}", size, time)
                for key, size, time in zip(keys, sizes, times, strict=True)
            )

    def _rows(self, file: str, md5: str) -> Iterator[pa.RecordBatch]:
        try:
            content = read_file(file)
        except OSError as error:
            raise StorageError(f"{file}, a data file of the inventory, cannot be read: {why(error)}") from error
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if found != md5:
            raise StorageError(
                f"{file} is not whole, or was changed: its MD5 is {found}, and the inventory's manifest says {md5}. "
                "Wait until it is written, copy it anew, or name another inventory."
            )
        try:
            for batch in _parquet(content) if self.columns is None else _csv(content, self.columns):
                yield _checked(batch)
        except (pa.ArrowException, KeyError, OSError, ValueError) as error:
            raise StorageError(
                f"{file} is no data file as the inventory's manifest describes it: {' '.join(str(error).split())}. "
                "Have S3 write the inventory anew, or name another."
            ) from error


def _csv(content: bytes, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    from pyarrow import csv

    names = {plain(name): name for name in columns}
    types = {name: pa.int64() if plain(name) == "size" else pa.string() for name in columns}
    with csv.open_csv(
        pa.CompressedInputStream(io.BytesIO(content), "gzip"),
        csv.ReadOptions(column_names=list(columns), block_size=_CSV_BLOCK),
        # No text is null: a key may be called `null`. Of a delete marker the size is.
        convert_options=csv.ConvertOptions(
            column_types=types, include_columns=[*_wanted(names).values()], null_values=[""], strings_can_be_null=False
        ),
    ) as reader:
        for batch in reader:
            now = _current(batch.rename_columns([*_wanted(names)]))
            # S3 encodes keys as forms do: a blank is a plus, and a plus is %2B.
            keys = [
                unquote_plus(key, errors="strict") if "%" in key or "+" in key else key
                for key in now.column("Key").to_pylist()
            ]
            yield now.set_column(now.schema.get_field_index("Key"), "Key", pa.array(keys, pa.string()))


def _parquet(content: bytes) -> Iterator[pa.RecordBatch]:
    file = pq.ParquetFile(io.BytesIO(content))
    wanted = _wanted({plain(name): name for name in file.schema_arrow.names})
    for batch in file.iter_batches(_ROWS_A_BATCH, columns=[*wanted.values()]):
        columns = [batch.column(name) for name in wanted.values()]  # whose order in the file may be another
        yield _current(pa.RecordBatch.from_arrays(columns, names=[*wanted]))


def _wanted(names: dict[str, str]) -> dict[str, str]:
    """Names of fields as they are in a file, by those of here; KeyError where one is missing."""
    optional = [name for name in (LATEST, _DELETED) if plain(name) in names]
    return {name: names[plain(name)] for name in (*NEEDED, *optional)}


def _current(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows that are objects of now: where all versions are listed, the latest ones that are not deleted."""
    for name, wanted in ((LATEST, True), (_DELETED, False)):
        if name in batch.schema.names:
            said = batch.column(name)
            true = pc.equal(pc.utf8_lower(said), "true") if pa.types.is_string(said.type) else said
            batch = batch.filter(pc.equal(pc.fill_null(true, wanted), wanted))
    return batch


def _checked(batch: pa.RecordBatch) -> pa.RecordBatch:
    """NEEDED as text, bytes, and microseconds since 1970-01-01 UTC; ValueError where a row lacks one."""
    key, size, modified = (batch.column(name) for name in NEEDED)
    times = pc.cast(pc.cast(modified, INSTANT), pa.int64())
    columns = [key.cast(pa.string()), size.cast(pa.int64()), times]
    for name, column in zip(NEEDED, columns, strict=True):
        if column.null_count:
            raise ValueError(f"a row has no {name}")
    return pa.RecordBatch.from_arrays(columns, names=[*NEEDED])


def _to_batch(rows: list[tuple[object, ...]]) -> pa.RecordBatch:
    """Rows of LISTING without fingerprints, which are 0: the manifest's digest stands for all of them."""
    columns = [*zip(*rows, strict=True)] or [()] * (len(LISTING) - 1)
    return pa.RecordBatch.from_arrays(
        [pa.array(values, field.type) for values, field in zip([*columns, [0] * len(rows)], LISTING, strict=True)],
        schema=LISTING,
    )
