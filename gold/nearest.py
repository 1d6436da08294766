"""Open-set nearest-neighbour classification: the nearest label, or none where the photograph is unlike all.

Photographs are compared by the direction of their components: the chord between two directions, from 0 (the same) over
√2 (nothing in common) to 2. A photograph of a known label is much nearer to its own label than to the second nearest;
one of something else is about as far from several. The ratio of the two distances tells (Lowe 2004, for keypoints).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
FARTHEST = 2.0
"""The greatest chord there is; to a label without photographs."""

_ROWS_AT_ONCE = 512  # × 1,000,000 photographs are 2 GB
_KEPT = 0.98  # of known photographs, known again at the confidence 0.98
_HELD_BACK = 0.1  # of photographs whose own label is held back, those told from the others least
_MIN_LOGISTIC_WIDTH = 0.2  # in ratio, from the threshold to being sure, at the least
_THRESHOLD_POSITION = 0.7  # from the ratios of known photographs to those of held-back ones


def directions(components: Float32) -> Float32:
    """Rows of components, shape (n, k), as unit vectors; a row of zeros stays one."""
    length = np.linalg.norm(components, axis=1, keepdims=True)
    rows: Float32 = np.divide(components, length, out=np.zeros_like(components), where=length > 0)
    return rows


@dataclass(frozen=True)
class Labelled:
    """Photographs to compare with, those of a label side by side.

    Attributes:
        rows: directions, shape (n, k), float32.
        labels: the labels there are, sorted.
        starts: where the photographs of each begin among the rows.
    """

    rows: Float32
    labels: list[str]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Float32, labels: Sequence[str]) -> "Labelled":
        """Sort directions by their labels, one for each row."""
        values = np.asarray(labels, dtype=object)
        starts = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
        first = [str(name) for name in values[starts]]
        if all(one < next_one for one, next_one in pairwise(first)):  # sorted already, as a lake's are
            return cls(rows, first, starts)
        names, own = np.unique(values, return_inverse=True)
        if np.any(np.diff(own) < 0):
            order = np.argsort(own, kind="stable")
            rows, own = rows[order], own[order]
        return cls(rows, [str(name) for name in names], np.searchsorted(own, np.arange(len(names))))

    @property
    def own(self) -> NDArray[np.int64]:
        """The number of each row's label, shape (n,)."""
        return np.repeat(np.arange(len(self.labels)), np.diff([*self.starts, len(self.rows)]))

    def distances(self, asked: Float32) -> Float64:
        """From directions (m, k) to the nearest photograph of each label, shape (m, labels). O(m n k)."""
        return np.concatenate([self.nearest(asked[part] @ self.rows.T) for part in _parts(len(asked))])

    def distances_to_others(self) -> Float64:
        """From each row to the nearest other photograph of each label, shape (n, labels). O(n² k), once."""
        return self._to_others.copy()

    @cached_property
    def _to_others(self) -> Float64:
        found = []
        for part in _parts(len(self.rows)):
            cosines = self.rows[part] @ self.rows.T
            cosines[np.arange(len(cosines)), np.arange(part.start, part.stop)] = -1.0
            found.append(self.nearest(cosines))
        return np.concatenate(found)

    def nearest(self, cosines: Float32) -> Float64:
        """The distances that `distances` gives, from the cosines with all rows, shape (m, n)."""
        return chords(np.maximum.reduceat(cosines, self.starts, axis=1))


def chords(cosines: Float32) -> Float64:
    """The distances of directions with these cosines: √(2 − 2 cos)."""
    distances: Float64 = np.sqrt(np.clip(2.0 - 2.0 * cosines.astype(np.float64), 0.0, FARTHEST**2))
    return distances


def ratios(distances: Float64) -> Float64:
    """Of the distance to the nearest label to that to the second nearest, shape (m,); 1 where both are none.

    Where there is one label, the second is as far as can be.
    """
    two = np.partition(np.pad(distances, ((0, 0), (0, 1)), constant_values=FARTHEST), 1, axis=1)[:, :2]
    found: Float64 = np.divide(two[:, 0], two[:, 1], out=np.ones(len(two)), where=two[:, 1] > 0)
    return found


@dataclass(frozen=True)
class Calibration:
    """What ratios mean.

    Attributes:
        known_ratio_p98: the ratio that 98 % of known photographs are below, each compared with the others.
        threshold: the ratio from which a photograph is of no known label.
    """

    known_ratio_p98: float
    threshold: float

    def confidence(self, ratio: Float64) -> Float64:
        """How sure it is that a photograph is of the nearest label: logistic, 0.98 at `known_ratio_p98`.

        At the threshold it is 0.5.

        Where these are close to each other, labels are hard to tell apart, and it is less sure.
        """
        width = max(self.threshold - self.known_ratio_p98, _MIN_LOGISTIC_WIDTH) / np.log(_KEPT / (1 - _KEPT))
        sure: Float64 = 1.0 / (1.0 + np.exp(np.clip((ratio - self.threshold) / width, -50.0, 50.0)))
        return sure


def calibrate(known: Labelled) -> Calibration | None:
    """Find the threshold from the known photographs alone; None where there are fewer than two labels.

    Two distributions are at hand: the ratio of each photograph among the others, and what its ratio would be if its
    label were not known. Between the first one's 98th percentile and the second's tenth, the threshold lies seven
    tenths of the way up: photographs that come later differ more from those that are there than these do from each
    other. Where the two overlap it is the former: what is known stays known.
    """
    if len(known.labels) < 2:
        return None
    distances = known.distances_to_others()
    known_ratio_p98 = float(np.quantile(ratios(distances), _KEPT))
    distances[np.arange(len(distances)), known.own] = FARTHEST
    unknown_ratio = float(np.quantile(ratios(distances), _HELD_BACK))
    return Calibration(
        known_ratio_p98, known_ratio_p98 + _THRESHOLD_POSITION * max(unknown_ratio - known_ratio_p98, 0.0)
    )


def measure(
    known: Labelled, asked: Float32, labels: Sequence[str], calibration: Calibration | None
) -> dict[str, float]:
    """How well photographs are told, whose labels are given here.

    Returns:
        accuracy: the share whose nearest photograph has their label.
        unknown: the share that is answered to be of no known label; not there without a calibration.
    """
    distances = known.distances(asked)
    told = np.asarray(known.labels, dtype=object)[distances.argmin(axis=1)]
    return _measured(distances, told == np.asarray(labels, dtype=object), calibration)


def measure_among_others(known: Labelled, calibration: Calibration | None) -> dict[str, float]:
    """The same for the known photographs themselves, each asked about among the others."""
    distances = known.distances_to_others()
    return _measured(distances, distances.argmin(axis=1) == known.own, calibration)


def _measured(distances: Float64, right: NDArray[np.bool], calibration: Calibration | None) -> dict[str, float]:
    found = {"accuracy": float(np.mean(right))}
    if calibration is not None:
        found["unknown"] = float(np.mean(ratios(distances) > calibration.threshold))
    return found


def _parts(count: int) -> Iterator[slice]:
    return (slice(first, min(first + _ROWS_AT_ONCE, count)) for first in range(0, max(count, 1), _ROWS_AT_ONCE))
