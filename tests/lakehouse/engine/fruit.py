"""A table to try engines on, its rows, and functions that are picklable, as an engine's must be."""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.arrow import as_column, as_matrix
from lakehouse.errors import StorageError
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import INSTANT, VECTOR, Table

FRUIT = Table(
    name="garden.fruit",
    schema=pa.schema(
        [
            ("path", pa.string()),
            ("label", pa.string()),
            ("sha256", pa.string()),
            ("picked", INSTANT),
            ("batch", pa.int64()),
            ("weights", VECTOR),
            ("content", pa.binary()),
        ]
    ),
    key=("path",),
    statistics=("path", "batch", "picked"),
)
CONTENT = Table(
    name="garden.content",
    schema=pa.schema([("sha256", pa.string()), ("first_batch", pa.int64()), ("content", pa.binary())]),
    key=("sha256",),
    statistics=("sha256", "first_batch"),
)
"""What fruit holds, apart from it."""
NARROW = Table(
    name="garden.narrow",
    schema=pa.schema([field for field in FRUIT.schema if field.name != "content"]),
    key=FRUIT.key,
    statistics=FRUIT.statistics,
)
"""Fruit without what it holds."""
NOON = 1_767_268_800_000_000
"""2026-01-01 12:00 UTC, in microseconds."""


def fruit(*rows: tuple[Any, ...], **columns: Any) -> pa.Table:
    """Rows of the table: path, sha256 and batch of each; other columns are made of these, or given for all."""
    return pa.Table.from_pylist(
        [
            {
                "path": path,
                "label": None if batch % 3 == 0 else "Apple",
                "sha256": sha256,
                "picked": NOON + batch,
                "batch": batch,
                "weights": [float(batch), 0.5],
                "content": (sha256 or "").encode() * 3,
                **columns,
            }
            for path, sha256, batch in rows
        ],
        FRUIT.schema,
    )


def many(count: int, first: int = 0) -> pa.Table:
    """So many rows, each with contents of its own."""
    return fruit(*((f"fruit {number:06}", f"{number:x}", number) for number in range(first, first + count)))


def held(lake: Lake, version: int | None = None, table: Table = FRUIT) -> list[dict[str, Any]]:
    """What the table holds, by delta-rs' own reader, in the order of its key."""
    rows = delta.existing(lake, table, version).to_pyarrow_table().to_pylist()
    return sorted(rows, key=lambda row: str(row[table.key[0]]))


READ = pa.schema([*FRUIT.schema, ("first_batch", pa.int64())])


@dataclass(frozen=True)
class Reading:
    """From paths, sha256 and batches to fruit with what it holds; each row is noted in a file of `folder`."""

    folder: Path

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Read fruit."""
        for batch in batches:
            given = batch.select(["path", "sha256", "batch"]).to_pylist()
            rows = fruit(*(tuple(row.values()) for row in given), weights=[1.0, 0.5])
            with (self.folder / f"{os.getpid()}.read").open("a") as lines:
                lines.writelines(f"{path}\n" for path in rows["path"].to_pylist())
            yield from rows.append_column("first_batch", rows["batch"]).combine_chunks().to_batches()

    def seen(self) -> list[str]:
        """The rows that were read."""
        return [line for file in self.folder.glob("*.read") for line in file.read_text().splitlines()]


def by_path(rows: pa.Table) -> list[dict[str, Any]]:
    """Rows in the order of their paths."""
    return sorted(rows.to_pylist(), key=lambda row: str(row["path"]))


DOUBLED = pa.schema([("path", pa.string()), ("twice", pa.int64())])


def doubling(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """A function: each row's path, and its batch times two."""
    for batch in batches:
        columns = [batch.column("path"), pc.multiply(batch.column("batch"), 2)]
        yield pa.RecordBatch.from_arrays(columns, schema=DOUBLED)


@dataclass(frozen=True)
class Doubling:
    """`doubling`, which does something else at some rows.

    Attributes:
        folder: where each row is noted, in a file of the process that computed it.
        raises: the path at which an error is raised.
        lacks: the path at which storage fails.
        dies: the paths at which the process is killed.
        dies_once: the path at which the first process that comes by is killed.
        pause: seconds a row.
    """

    folder: Path
    raises: str = ""
    lacks: str = ""
    dies: tuple[str, ...] = ()
    dies_once: str = ""
    pause: float = 0.0

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Compute the rows."""
        for batch in batches:
            for path in batch.column("path").to_pylist():
                self._see(path)
            yield from doubling([batch])

    def _see(self, path: str) -> None:
        with (self.folder / f"{os.getpid()}.seen").open("a") as lines:
            lines.write(f"{path}\n")
        time.sleep(self.pause)
        if path == self.raises:
            error = ValueError("it is\nsour")
            error.add_note(f"The fruit is {path}.")
            raise error
        if path == self.lacks:
            raise StorageError("The store is closed.")
        flag = self.folder / "died"
        if path in self.dies or (path == self.dies_once and not flag.exists()):
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def seen(self) -> list[str]:
        """The rows that were computed so far, some of them again."""
        return [line for file in self.folder.glob("*.seen") for line in file.read_text().splitlines()]

    def processes(self) -> int:
        """How many processes have computed rows."""
        return len([*self.folder.glob("*.seen")])


class WeightSums:
    """Partial results: the number of rows, and the sum of their vectors."""

    schema = pa.schema([("rows", pa.int64()), ("sums", VECTOR)])

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Sum up rows with a column `weights`."""
        return self.summed(
            (batch.num_rows, as_matrix(batch.column("weights")).sum(axis=0)) for batch in batches if batch.num_rows
        )

    def summed(self, parts: Iterable[tuple[int, np.ndarray[Any, Any]]]) -> Iterator[pa.RecordBatch]:
        """One row, or none of nothing."""
        rows, sums = 0, np.zeros(2, np.float32)
        for count, part in parts:
            rows, sums = rows + count, sums + part
        if rows:
            yield pa.RecordBatch.from_arrays([pa.array([rows]), as_column(sums[np.newaxis])], schema=self.schema)


class CombinedSums(WeightSums):
    """From several partial results to one."""

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Sum up partial results."""
        return self.summed(
            (rows.as_py(), np.array(sums.as_py(), np.float32))
            for batch in batches
            for rows, sums in zip(batch.column("rows"), batch.column("sums"), strict=True)
        )
