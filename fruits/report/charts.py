"""Drawings that need no script: the variance curve, bars, and the heat map as a table."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from fruits.report.markup import Html, element, join, table
from silver.moments import Float64

_WIDTH, _HEIGHT = 520, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 16, 42
LEVELS = 8
"""Shades of the heat map."""


def variance_curve(ratio: Sequence[float], cumulative: Sequence[float], k: int, threshold: float, words: str) -> Html:
    """The cumulative explained variance, with the threshold and k marked; `words` say what is seen."""
    shown = min(len(cumulative), max(20, 3 * k))

    def x(component: float) -> float:
        return _LEFT + (component - 0.5) / shown * (_WIDTH - _LEFT - _RIGHT)

    def y(share: float) -> float:
        return _TOP + (1 - share) * (_HEIGHT - _TOP - _BOTTOM)

    width = (_WIDTH - _LEFT - _RIGHT) / shown
    bars = [
        element("rect", x=f"{x(n) - width * 0.45:.2f}", y=f"{y(r):.2f}", width=f"{width * 0.9:.2f}",
                height=f"{y(0) - y(r):.2f}", class_="bar")
        for n, r in enumerate(ratio[:shown], start=1)
    ]  # fmt: skip
    line = "M" + "L".join(f"{x(n):.2f} {y(c):.2f}" for n, c in enumerate(cumulative[:shown], start=1))
    right = x(k) > _WIDTH * 0.7
    label = element(
        "text", f"k = {k}: {cumulative[k - 1]:.1%}", x=f"{x(k) + (-9 if right else 9):.1f}",
        y=f"{y(cumulative[k - 1]) + 22:.1f}", text_anchor="end" if right else None, class_="mark",
    )  # fmt: skip
    drawn = join(
        *(_share_line(share, y(share)) for share in (0, 0.2, 0.4, 0.6, 0.8, 1)),
        *bars,
        element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=f"{y(threshold):.1f}", y2=f"{y(threshold):.1f}", class_="at"),
        element("line", x1=f"{x(k):.1f}", x2=f"{x(k):.1f}", y1=f"{y(0):.1f}", y2=_TOP, class_="at"),
        element("path", d=line, class_="curve"),
        element("circle", cx=f"{x(k):.1f}", cy=f"{y(cumulative[k - 1]):.1f}", r=5, class_="dot"),
        label,
        *(element("text", str(n), x=f"{x(n):.1f}", y=_HEIGHT - 24, text_anchor="middle") for n in _ticks(shown)),
        element("text", "components", x=(_LEFT + _WIDTH) / 2, y=_HEIGHT - 5, text_anchor="middle"),
    )
    return element("svg", element("title", words), drawn, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", class_="chart")


def _share_line(share: float, y: float) -> Html:
    return join(
        element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=f"{y:.1f}", y2=f"{y:.1f}", class_="grid"),
        element("text", f"{share:.0%}", x=_LEFT - 7, y=f"{y + 5:.1f}", text_anchor="end"),
    )


def _ticks(last: int) -> list[int]:
    step = 10 ** math.floor(math.log10(max(last, 2) / 2))
    step *= next(factor for factor in (1, 2, 5, 10) if last / (step * factor) <= 6)
    return [1, *range(step, last + 1, step)] if step > 1 else [*range(1, last + 1)]


def bar(parts: Sequence[int], most: int) -> Html:
    """A bar of parts beside figures that say the same."""
    ends = [sum(parts[:n]) / max(most, 1) * 100 for n in range(len(parts) + 1)]
    drawn = [
        element("rect", x=f"{a:.2f}", y=0, width=f"{max(0, b - a):.2f}", height=10, class_=f"part{n % 4}")
        for n, (a, b) in enumerate(pairwise(ends))
    ]
    made = element("svg", *drawn, viewBox="0 0 100 10", preserveAspectRatio="none", aria_hidden="true", class_="bars")
    return element("td", made, class_="barcell")


def heat_map(caption: str, labels: Sequence[str], distances: Float64) -> Html:
    """Distances as a table whose cells are the darker the closer two labels are; the figures stand in them."""
    apart = distances[~np.eye(len(labels), dtype=bool)]
    low, high = float(apart.min()), float(apart.max())
    rows = [
        [label, *(_shade(value, low, high) if n != m else element("td", "–", class_="self") for m, value in row)]
        for n, (label, row) in enumerate(zip(labels, map(enumerate, distances.tolist()), strict=True))
    ]
    return table(caption, ["", *labels], rows, class_="heat")


def _shade(value: float, low: float, high: float) -> Html:
    closeness = (high - value) / (high - low) if high > low else 0.5
    level = min(LEVELS - 1, int(closeness * LEVELS))
    return element("td", f"{value:#.3g}", class_=f"h{level}")
