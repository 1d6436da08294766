"""Drawings that need no script, laid out: the variance curve, bars, and the heat map as a table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np

from silver.moments import Float64

LEVELS = 8
"""Shades of the heat map."""


@dataclass(frozen=True)
class Bar:
    """A component's share of the variance, as a bar on the floor of the curve."""

    left: float
    top: float
    width: float


@dataclass(frozen=True)
class Curve:
    """The cumulative explained variance, in a drawing's coordinates.

    Attributes:
        shares: the lines across, (height, share).
        ticks: the figures below, (place, component).
        points: the curve itself.
        threshold: the height of the dashed line.
        k: the number of components that are kept.
        dot: where the curve is at k.
        explained: the share that the components explain.
    """

    width: ClassVar = 520
    height: ClassVar = 300
    left: ClassVar = 52
    right: ClassVar = width - 14
    top: ClassVar = 16
    floor: ClassVar = height - 42

    shares: list[tuple[float, float]]
    ticks: list[tuple[float, int]]
    bars: list[Bar]
    points: list[tuple[float, float]]
    threshold: float
    k: int
    dot: tuple[float, float]
    explained: float

    @property
    def label_left(self) -> bool:
        """Whether the words beside the dot go to its left, for there is no room to its right."""
        return self.dot[0] > self.width * 0.7


def variance_curve(ratio: Sequence[float], cumulative: Sequence[float], k: int, threshold: float) -> Curve:
    """Lay out the cumulative explained variance, with the threshold and k marked."""
    shown = min(len(cumulative), max(20, 3 * k))
    width = (Curve.right - Curve.left) / shown

    def x(component: float) -> float:
        return Curve.left + (component - 0.5) * width

    def y(share: float) -> float:
        return Curve.top + (1 - share) * (Curve.floor - Curve.top)

    return Curve(
        shares=[(y(share), share) for share in (0, 0.2, 0.4, 0.6, 0.8, 1)],
        ticks=[(x(n), n) for n in _ticks(shown)],
        bars=[Bar(x(n) - width * 0.45, y(share), width * 0.9) for n, share in enumerate(ratio[:shown], start=1)],
        points=[(x(n), y(share)) for n, share in enumerate(cumulative[:shown], start=1)],
        threshold=y(threshold),
        k=k,
        dot=(x(k), y(cumulative[k - 1])),
        explained=cumulative[k - 1],
    )


def _ticks(last: int) -> list[int]:
    step = 10 ** math.floor(math.log10(max(last, 2) / 2))
    step *= next(factor for factor in (1, 2, 5, 10) if last / (step * factor) <= 6)
    return [1, *range(step, last + 1, step)] if step > 1 else [*range(1, last + 1)]


def spans(parts: Sequence[int], most: int) -> list[tuple[float, float]]:
    """The parts of a bar, (start, length) in hundredths of `most`."""
    ends = [sum(parts[:n]) / max(most, 1) * 100 for n in range(len(parts) + 1)]
    return [(start, max(0, end - start)) for start, end in pairwise(ends)]


@dataclass(frozen=True)
class Cell:
    """A distance, and its shade: the higher the level, the closer two labels are."""

    distance: float
    level: int


@dataclass(frozen=True)
class HeatMap:
    """The distances of labels, a row for each; None from a label to itself."""

    labels: list[str]
    rows: list[list[Cell | None]]


def heat_map(labels: Sequence[str], distances: Float64) -> HeatMap:
    """Shade distances by where they lie between the least and the greatest."""
    apart = distances[~np.eye(len(labels), dtype=bool)]
    low, high = float(apart.min()), float(apart.max())
    rows = [
        [Cell(value, _level(value, low, high)) if n != m else None for m, value in enumerate(row)]
        for n, row in enumerate(distances.tolist())
    ]
    return HeatMap([*labels], rows)


def _level(value: float, low: float, high: float) -> int:
    closeness = (high - value) / (high - low) if high > low else 0.5
    return min(LEVELS - 1, int(closeness * LEVELS))
