"""How the runs went: the photographs in the lake over time, and the seconds that each run took."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import ClassVar

from fruits.report.contents import Report
from fruits.report.ran import Ran

LISTED = 50
_DONE = "done"


class Frame:
    """Where a drawing has its axes."""

    width: ClassVar = 520
    height: ClassVar = 240
    left: ClassVar = 64
    right: ClassVar = width - 14
    top: ClassVar = 16
    floor: ClassVar = height - 42


@dataclass(frozen=True)
class Growth(Frame):
    """The photographs in the lake, in a drawing's coordinates.

    Attributes:
        lines: the lines across, (height, photographs).
        ticks: the words below, (place, time).
        steps: the corners of the line.
        dots: where a run ended.
        last: the photographs after the last run.
    """

    lines: list[tuple[float, int]]
    ticks: list[tuple[float, str]]
    steps: list[tuple[float, float]]
    dots: list[tuple[float, float]]
    last: int


@dataclass(frozen=True)
class Part:
    """A part of a run's bar: a layer's number, and where it is."""

    layer: int
    top: float
    height: float


@dataclass(frozen=True)
class Bar:
    """A run as a bar; `mark` is over one that was not done."""

    left: float
    width: float
    parts: list[Part]
    mark: tuple[float, float] | None


@dataclass(frozen=True)
class Durations(Frame):
    """The seconds of each run, in a drawing's coordinates; `lines` across, (height, seconds), `ticks` (place, run)."""

    lines: list[tuple[float, float]]
    ticks: list[tuple[float, int]]
    bars: list[Bar]


@dataclass(frozen=True)
class History:
    """The drawings (None where there is nothing to draw), and the newest runs, the newest first.

    Attributes:
        layers: what the parts of a bar are of; `other` is what a run took outside of the layers.
        count: how many runs the history holds, of which some are listed.
    """

    layers: ClassVar = ("bronze", "silver", "gold", "other")

    growth: Growth | None
    durations: Durations | None
    listed: list[Ran]
    count: int


def history(report: Report) -> History | None:
    """How the runs went; None where the lake has no history."""
    if not report.runs:
        return None
    return History(_growth(report.runs), _durations(report.runs), report.runs[::-1][:LISTED], report.runs[-1].number)


def _growth(runs: Sequence[Ran]) -> Growth | None:
    ended = [run for run in runs if run.photographs is not None]
    if not ended:
        return None
    moments = [run.started_at + timedelta(seconds=run.seconds or 0) for run in ended]
    held = [run.photographs or 0 for run in ended]
    first, last = min(moments), max(moments)
    lines, y = _scale(max(held), whole=True)

    def x(share: float) -> float:
        return Frame.left + share * (Frame.right - Frame.left)

    places = [x((moment - first) / (last - first) if last > first else 0.5) for moment in moments]
    dots = [(place, y(count)) for place, count in zip(places, held, strict=True)]
    corners = [(after[0], before[1]) for before, after in pairwise(dots)]
    steps = [point for pair in zip(dots, corners, strict=False) for point in pair] + dots[-1:]
    shape = "%H:%M" if last - first < timedelta(days=1) else "%Y-%m-%d"
    shares = (0.1, 0.5, 0.9) if last > first else (0.5,)
    ticks = [(x(share), f"{first + share * (last - first):{shape}}") for share in shares]
    return Growth([(height, int(value)) for height, value in lines], ticks, steps, dots, held[-1])


def _durations(runs: Sequence[Ran]) -> Durations | None:
    longest = max((run.seconds for run in runs if run.seconds is not None), default=0)
    if not longest:
        return None
    lines, y = _scale(longest)
    width = (Frame.right - Frame.left) / max(len(runs), 8)
    bars = []
    for place, run in enumerate(runs):
        left = Frame.left + (place + 0.1) * width
        mark = None if run.status == _DONE else (left + 0.4 * width, y(run.seconds or 0) - 4)
        bars.append(Bar(left, 0.8 * width, _parts(run, y), mark))
    step = math.ceil(len(runs) / 8)
    ticks = [(bar.left + bar.width / 2, run.number) for bar, run in zip(bars[::step], runs[::step], strict=True)]
    return Durations(lines, ticks, bars)


def _parts(run: Ran, y: "_Height") -> list[Part]:
    seconds = [one or 0.0 for one in run.layers]
    seconds.append(max(0.0, (run.seconds or 0.0) - sum(seconds)))
    parts, below = [], 0.0
    for layer, one in enumerate(seconds):
        if one:
            parts.append(Part(layer, y(below + one), y(below) - y(below + one)))
        below += one
    return parts


class _Height:
    """Where a value is on an axis that ends at `top`."""

    def __init__(self, top: float) -> None:
        self._top = top

    def __call__(self, value: float) -> float:
        return Frame.floor - value / self._top * (Frame.floor - Frame.top)


def _scale(greatest: float, *, whole: bool = False) -> tuple[list[tuple[float, float]], _Height]:
    """Lines across at round values up to the greatest one, and where a value is."""
    step = 10.0 ** math.floor(math.log10(max(greatest, 1e-3) / 2))
    step *= next(factor for factor in (1, 2, 5, 10) if greatest / (step * factor) <= 5)
    step = max(step, 1.0) if whole else step
    count = max(1, math.ceil(greatest / step))
    y = _Height(count * step)
    return [(y(n * step), round(n * step, 6)) for n in range(count + 1)], y
