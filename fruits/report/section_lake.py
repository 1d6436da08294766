"""What is in the lake, and how it grew."""

from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate

from fruits.report import charts
from fruits.report.contents import Report
from fruits.report.holdings import Holdings
from fruits.report.parts import LABELS_LISTED

BATCHES_LISTED = 50


@dataclass(frozen=True)
class LabelCounts:
    """A label's photographs in each split, and its bar."""

    label: str | None
    parts: list[int]
    bar: list[tuple[float, float]]


@dataclass(frozen=True)
class Batch:
    """A batch: what it brought, what there is since, and its bar."""

    number: int
    at: datetime
    new: int
    total: int
    bar: list[tuple[float, float]]


@dataclass(frozen=True)
class Counts:
    """Photographs by label and split, and by batch; `labels` is the number of all labels, of which some are listed."""

    splits: list[str | None]
    labels: int
    listed: list[LabelCounts]
    batches: list[Batch]


def counts(report: Report) -> Counts | None:
    """Photographs by label and split, and by batch; None where there are none."""
    holdings = report.holdings
    if holdings is None:
        return None
    largest = set(sorted(holdings.labels, key=lambda label: -holdings.of_label(label))[:LABELS_LISTED])
    listed = [label for label in holdings.labels if label in largest]
    most = max(map(holdings.of_label, listed))
    rows = []
    for label in listed:
        parts = [holdings.counts.get((label, split), 0) for split in holdings.splits]
        rows.append(LabelCounts(label, parts, charts.spans(parts, most)))
    return Counts(holdings.splits, len(holdings.labels), rows, _growth(holdings))


def _growth(holdings: Holdings) -> list[Batch]:
    totals = list(accumulate(new for _, _, new in holdings.batches))
    return [
        Batch(number, at, new, total, charts.spans([total - new, new], totals[-1]))
        for (number, at, new), total in zip(holdings.batches, totals, strict=True)
    ][-BATCHES_LISTED:]
