"""What the components show: how much they explain, how the photographs lie, and what lies at their ends."""

from dataclasses import dataclass
from typing import Any

from fruits.report import charts
from fruits.report.contents import Report
from fruits.report.parts import LABELS_LISTED, Card, card, label_name, short_path
from fruits.report.sample import End


@dataclass(frozen=True)
class Explained:
    """What the components explain; `needed` has for a share how many explain it, None where all do not."""

    components: int
    explained: float
    threshold: float
    needed: list[tuple[float, int | None]]
    curve: charts.Curve


def variance(report: Report) -> Explained | None:
    """How much the components explain; None where there is no PCA."""
    found = report.variance
    if found is None:
        return None
    needed = [
        (share, next((n for n, sum_ in enumerate(found.cumulative, start=1) if sum_ >= share - 1e-12), None))
        for share in sorted({0.5, 0.8, 0.9, 0.95, found.threshold})
    ]
    curve = charts.variance_curve(found.ratio, found.cumulative, found.components, found.threshold)
    return Explained(found.components, found.cumulative[found.components - 1], found.threshold, needed, curve)


@dataclass(frozen=True)
class Place:
    """Where a label lies: how many photographs it has, and their mean among the first components."""

    label: str
    photographs: int
    center: list[float]


@dataclass(frozen=True)
class Places:
    """How many photographs are drawn, of how many, how many can be seen, and where the labels lie."""

    drawn: int
    of: int
    seen: int
    axes: int
    labels: list[Place]


def places(report: Report) -> Places | None:
    """What stands beside the plots; None where there are no projections."""
    if report.projected is None:
        return None
    sample, centroids = report.projected.sample, report.projected.centroids.largest(LABELS_LISTED)
    labels = [
        Place(label, int(count), center[:3].tolist())
        for label, count, center in zip(centroids.labels, centroids.counts, centroids.centers, strict=True)
    ]
    seen = sum(path in report.thumbnails for path in sample.paths)
    return Places(len(sample), sample.of, seen, min(3, centroids.centers.shape[1]), labels)


@dataclass(frozen=True)
class Component:
    """A component, the share that it explains where that is known, and the photographs at its ends."""

    number: int
    share: float | None
    low: list[Card]
    high: list[Card]


def meaning(report: Report) -> list[Component] | None:
    """The photographs at both ends of each leading component; None where there are no projections."""
    if report.projected is None:
        return None
    return [
        Component(
            number,
            report.variance.ratio[number - 1] if report.variance else None,
            _cards(low, report.thumbnails),
            _cards(high, report.thumbnails),
        )
        for number, (low, high) in enumerate(report.projected.ends, start=1)
    ]


def _cards(end: End, thumbnails: dict[str, str]) -> list[Card]:
    return [card(path, label_name(label), thumbnails) for path, label in end.photographs]


def points(report: Report) -> dict[str, Any] | None:
    """What the script draws, as JSON; paths are told without what all of them begin with."""
    if report.projected is None:
        return None
    sample = report.projected.sample
    labels = sorted({label_name(label) for label in sample.labels})
    numbers = {label: number for number, label in enumerate(labels)}
    shown = sample.components[:, :3]
    return {
        "labels": labels,
        "label": [numbers[label_name(label)] for label in sample.labels],
        "split": [split or "" for split in sample.splits],
        "name": [short_path(path) for path in sample.paths],
        "at": [[float(f"{value:.5g}") for value in column] for column in shown.T.tolist()],
        "picture": [report.thumbnails.get(path) for path in sample.paths],
    }
