"""A unit of work: a batch of rows and the function to apply, picklable for a worker."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lakehouse.arrow import as_numpy
from lakehouse.engine.local.rows import LocalRows
from lakehouse.engine.local.scan import Part, Scan
from lakehouse.engine.port import SHARE_BYTES, SHARE_ROWS, Batches, Work


@dataclass(frozen=True)
class Held:
    """Rows that go along with the share."""

    batch: pa.RecordBatch

    def batches(self) -> Batches:
        """The rows."""
        yield self.batch


@dataclass(frozen=True)
class Share:
    """Rows for one worker at a time.

    Attributes:
        source: where they come from.
        rows: how many.
        deaths: how many processes have ended while they computed these rows, alone or among others.
    """

    source: Held | Part
    rows: int
    deaths: int = 0

    def batches(self) -> Batches:
        """Read the rows."""
        return self.source.batches()

    def halves(self) -> tuple["Share", "Share"]:
        """The first and the other half of the rows, to find out which of them ends a process."""
        half = self.rows // 2
        return self._part(0, half), self._part(half, self.rows)

    def again(self) -> "Share":
        """The same rows, after one death more."""
        return Share(self.source, self.rows, self.deaths + 1)

    def _part(self, start: int, end: int) -> "Share":
        if isinstance(self.source, Held):
            return Share(Held(self.source.batch.slice(start, end - start)), end - start, self.deaths)
        return Share(self.source.between(start, end), end - start, self.deaths)


def cut(rows: LocalRows, work: Work) -> Iterator[Share]:
    """Cut rows into shares of at most SHARE_ROWS rows and SHARE_BYTES bytes.

    Of a table's rows a share is where to read them; others go along as they are.
    """
    if isinstance(rows, Scan):
        for part, _ in rows.parts(work.weight, SHARE_ROWS):
            yield Share(part, len(part.rows))
        return
    for batch in rows.batches():
        start = 0
        while start < batch.num_rows:
            end = start + _fitting(batch.slice(start, SHARE_ROWS), work.weight)
            yield Share(Held(batch.slice(start, end - start)), end - start)
            start = end


def _fitting(batch: pa.RecordBatch, weight: str | None) -> int:
    if weight is None:
        return int(batch.num_rows)
    sizes = as_numpy(batch.column(weight).fill_null(0))
    return max(1, int(np.searchsorted(np.cumsum(sizes), SHARE_BYTES, side="right")))
