"""Which labels look alike, which photographs may have a wrong one, and which are there twice."""

from collections.abc import Sequence

import numpy as np

from fruits.report import charts
from fruits.report.contents import Report
from fruits.report.holdings import Copies
from fruits.report.markup import Html, element, join
from fruits.report.parts import NO_PROJECTIONS, card, label_name, words_of
from fruits.report.sample import Sample

LABELS_COMPARED = 30


def likeness(report: Report) -> Html:
    """Which labels look alike: the distances of their centroids."""
    if report.projected is None:
        return words_of(NO_PROJECTIONS)
    everything = report.projected.centroids
    if len(everything.labels) < 2:
        return words_of("There are not two labels to compare.")
    centroids = everything.largest(LABELS_COMPARED)
    distances = centroids.distances
    rows, columns = np.triu_indices(len(centroids.labels), 1)
    order = np.argsort(distances[rows, columns], kind="stable")[:3]
    closest = "; ".join(
        f"{centroids.labels[rows[n]]} and {centroids.labels[columns[n]]} ({distances[rows[n], columns[n]]:.1f})"
        for n in order
    )
    spread = float(np.average(everything.spread, weights=everything.counts))
    words = f"The closest are {closest}. Around its label's centroid a photograph lies {spread:.1f} away (root mean "
    words += "square): labels that are closer than that overlap."
    caption = (
        "Distance between the centroids of two labels among all components; the stronger the colour, the more alike"
    )
    if len(centroids.labels) < len(everything.labels):
        caption += f"; the {LABELS_COMPARED} labels with the most photographs, of {len(everything.labels):,}"
    return join(words_of(words), charts.heat_map(caption, centroids.labels, distances))


def odd_ones(report: Report) -> Html:
    """Labels in doubt, near-duplicates, and the same bytes under two paths."""
    projected, holdings = report.projected, report.holdings
    parts: list[Html] = []
    if projected is not None:
        sample, found, seen = projected.sample, projected.neighbours, report.thumbnails
        suspects = [_two(sample, one.photograph, one.other, _doubt(one.ratio), seen) for one in found.suspects]
        pairs = [_two(sample, one.one, one.other, f"{one.distance:.2f} apart", seen) for one in found.pairs]
        parts += _pairs(
            "Labels in doubt", suspects, "No photograph has a neighbour of another label.",
            "Each with the nearest photograph of another label. The number says how many times as far the nearest of "
            "its own label is: above 1 it lies among the others.",
        )  # fmt: skip
        parts += _pairs(
            "Near-duplicates", pairs, "There are no two photographs to compare.",
            f"The closest pairs of different content; usually the nearest photograph is {found.usual:.2f} away. In "
            "two splits they let a model be tested on what it was trained on.",
        )  # fmt: skip
    if holdings is not None:
        copies = [_copies(one, report.thumbnails) for one in holdings.copies]
        parts += _pairs(
            "The same bytes twice", copies, "No photograph is held under two paths.",
            f"{holdings.surplus:,} of {holdings.images:,} photographs are held under another path too.",
        )  # fmt: skip
    return join(*parts) if parts else words_of(NO_PROJECTIONS)


def _pairs(name: str, items: Sequence[Html], none: str, words: str) -> list[Html]:
    heading = element("h3", name)
    return [heading, words_of(words), element("ol", *items, class_="pairs")] if items else [heading, words_of(none)]


def _doubt(ratio: float) -> str:
    return f"{ratio:.2f} ×" if np.isfinite(ratio) else "the same bytes"


def _two(sample: Sample, one: int, other: int, words: str, thumbnails: dict[str, str]) -> Html:
    cards = [
        card(sample.paths[n], " · ".join(filter(None, (label_name(sample.labels[n]), sample.splits[n]))), thumbnails)
        for n in (one, other)
    ]
    return element("li", element("strong", words), element("ul", *cards, class_="strip"))


def _copies(copies: Copies, thumbnails: dict[str, str]) -> Html:
    words = f"{copies.count:,} paths" + (", under different labels or splits" if copies.apart else "")
    cards = [card(path, "", thumbnails, copies.paths[0]) for path in copies.paths]
    return element("li", element("strong", words), element("ul", *cards, class_="strip"))
