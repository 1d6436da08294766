"""Count, mean and scatter matrix: all that a standard scaler and a PCA need to know of the features.

They are additive: sums over parts merge exactly, new rows add, removed rows subtract
(T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for Computing the Sample Variance", The American Statistician 37,
1983, equation 1.5a, with outer products in place of squares).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lakehouse.arrow import as_matrix
from lakehouse.engine.port import Batches, Given

if TYPE_CHECKING:
    from typing_extensions import Buffer

Float64 = NDArray[np.float64]
_ROWS_A_BLOCK = 4096  # bounds the float64 copy of a block: 4096 × 1280 × 8 bytes = 42 MB
_PARTIAL = pa.schema([("count", pa.int64()), ("mean", pa.binary()), ("scatter", pa.binary())])


@dataclass(frozen=True)
class Moments:
    """The sufficient statistics of n rows of d features.

    Attributes:
        count: n.
        mean: float64, shape (d,).
        scatter: float64, shape (d, d): the sum over rows of (x − mean)(x − mean)ᵀ.
    """

    count: int
    mean: Float64
    scatter: Float64

    @classmethod
    def zero(cls, dimension: int) -> Moments:
        """The moments of no rows."""
        return cls(0, np.zeros(dimension), np.zeros((dimension, dimension)))

    @classmethod
    def of(cls, rows: NDArray[np.floating]) -> Moments:
        """The moments of rows of shape (n, d), n ≥ 1; O(n d²) time."""
        values = rows.astype(np.float64)
        mean = values.mean(axis=0)
        values -= mean
        return cls(len(values), mean, values.T @ values)

    @classmethod
    def from_bytes(cls, count: int, mean: Buffer, scatter: Buffer) -> Moments:
        """From the columns of `silver.moments`: float64, little-endian, rows of the matrix after one another."""
        average = np.frombuffer(memoryview(mean), "<f8")
        return cls(count, average, np.frombuffer(memoryview(scatter), "<f8").reshape(len(average), len(average)))

    def to_bytes(self) -> tuple[int, bytes, bytes]:
        """The columns `count`, `mean` and `scatter` of `silver.moments`."""
        return self.count, self.mean.astype("<f8").tobytes(), self.scatter.astype("<f8").tobytes()

    def __add__(self, other: Moments) -> Moments:
        """The moments of both sets of rows; O(d²)."""
        if other.count == 0:
            return self
        if self.count == 0:
            return other
        count = self.count + other.count
        shift = other.mean - self.mean
        mean = self.mean + shift * (other.count / count)
        scatter = self.scatter + other.scatter + np.outer(shift, shift) * (self.count * other.count / count)
        return Moments(count, mean, scatter)

    def __sub__(self, other: Moments) -> Moments:
        """The moments of the rows that remain when `other`, rows among these, are taken away: `(a + b) − b = a`.

        Raises:
            ValueError: there are fewer rows than are to be taken away.
        """
        count = self.count - other.count
        if count < 0:
            raise ValueError(f"{other.count} rows cannot be taken from {self.count}.")
        if count == 0:
            return Moments.zero(len(self.mean))
        mean = self.mean + (self.mean - other.mean) * (other.count / count)
        shift = other.mean - mean
        scatter = self.scatter - other.scatter - np.outer(shift, shift) * (count * other.count / self.count)
        return Moments(count, mean, scatter)

    @property
    def variance(self) -> Float64:
        """Sample variance (n − 1) of each feature, shape (d,); n ≥ 2."""
        return np.diagonal(self.scatter) / (self.count - 1)

    def under(self, mean: Float64, scale: Float64) -> Moments:
        """The moments of (x − mean) / scale for the same rows."""
        return Moments(self.count, (self.mean - mean) / scale, self.scatter / np.outer(scale, scale))


class PartialMoments:
    """From a column `features` of vectors, all of one length, to their moments, in one row where there are any."""

    schema = _PARTIAL

    def __call__(self, features: Given) -> Batches:
        """Sum up the rows, a block at a time: the memory is that of two scatter matrices."""
        blocks = (
            Moments.of(as_matrix(batch.slice(start, _ROWS_A_BLOCK).column("features")))
            for batch in features
            for start in range(0, batch.num_rows, _ROWS_A_BLOCK)
        )
        return _summed(blocks)


class CombinedMoments:
    """From partial moments, several rows, to one row."""

    schema = _PARTIAL

    def __call__(self, partials: Given) -> Batches:
        """Sum up the rows, one at a time."""
        return _summed(_moments_in(partials))


def merge_moments(partials: Iterable[pa.RecordBatch], dimension: int) -> Moments:
    """Sum partial moments, in the order that they come in."""
    return sum(_moments_in(partials), Moments.zero(dimension))


def _moments_in(partials: Iterable[pa.RecordBatch]) -> Iterable[Moments]:
    for batch in partials:
        for count, mean, scatter in zip(*(batch.column(name) for name in _PARTIAL.names), strict=True):
            yield Moments.from_bytes(count.as_py(), mean.as_buffer(), scatter.as_buffer())


def _summed(parts: Iterable[Moments]) -> Batches:
    total = None
    for part in parts:
        total = part if total is None else total + part
    if total is not None:
        values = ([value] for value in total.to_bytes())
        yield pa.RecordBatch.from_pydict(dict(zip(_PARTIAL.names, values, strict=True)), schema=_PARTIAL)
