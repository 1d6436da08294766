"""Which labels look alike, which photographs may have a wrong one, and which are there twice."""

from dataclasses import dataclass

import numpy as np

from fruits.report import charts
from fruits.report.contents import Report
from fruits.report.holdings import Copies
from fruits.report.parts import Card, card, label_name
from fruits.report.sample import Sample

LABELS_COMPARED = 30


@dataclass(frozen=True)
class Likeness:
    """The distances of labels.

    Attributes:
        closest: the closest, (label, label, distance) each.
        spread: how far a photograph lies from its label's centroid.
        labels: the number of all labels, of which the heat map has some.
        heat: the distances of all that are compared.
    """

    closest: list[tuple[str, str, float]]
    spread: float
    labels: int
    heat: charts.HeatMap


def likeness(report: Report) -> Likeness | None:
    """Which labels look alike: the distances of their centroids; None where there are not two to compare."""
    if report.projected is None or len(report.projected.centroids.labels) < 2:
        return None
    everything = report.projected.centroids
    centroids = everything.largest(LABELS_COMPARED)
    labels, distances = centroids.labels, centroids.distances
    rows, columns = np.triu_indices(len(labels), 1)
    least = np.argsort(distances[rows, columns], kind="stable")[:3]
    pairs = zip(rows[least], columns[least], strict=True)
    closest = [(labels[one], labels[other], float(distances[one, other])) for one, other in pairs]
    spread = float(np.average(everything.spread, weights=everything.counts))
    return Likeness(closest, spread, len(everything.labels), charts.heat_map(labels, distances))


@dataclass(frozen=True)
class Pair:
    """Two photographs, and what is to be said of them."""

    words: str
    cards: list[Card]


@dataclass(frozen=True)
class Odd:
    """Photographs whose label is in doubt, near-duplicates, and the same bytes under two paths."""

    suspects: list[Pair]
    near: list[Pair]
    copies: list[Pair]


def odd_ones(report: Report) -> Odd:
    """The odd ones; lists are empty also where nothing could be compared."""
    suspects, near = [], []
    if report.projected is not None:
        sample, found, seen = report.projected.sample, report.projected.neighbours, report.thumbnails
        suspects = [_pair(_doubt(one.ratio), sample, one.photograph, one.other, seen) for one in found.suspects]
        near = [_pair(f"{one.distance:.2f} apart", sample, one.one, one.other, seen) for one in found.pairs]
    copies = report.holdings.copies if report.holdings else []
    return Odd(suspects, near, [_copies(one, report.thumbnails) for one in copies])


def _doubt(ratio: float) -> str:
    return f"{ratio:.2f} ×" if np.isfinite(ratio) else "the same bytes"


def _pair(words: str, sample: Sample, one: int, other: int, thumbnails: dict[str, str]) -> Pair:
    named = {n: " · ".join(filter(None, (label_name(sample.labels[n]), sample.splits[n]))) for n in (one, other)}
    return Pair(words, [card(sample.paths[n], named[n], thumbnails) for n in (one, other)])


def _copies(copies: Copies, thumbnails: dict[str, str]) -> Pair:
    words = f"{copies.count:,} paths" + (", under different labels or splits" if copies.apart else "")
    return Pair(words, [card(path, "", thumbnails, copies.paths[0]) for path in copies.paths])
