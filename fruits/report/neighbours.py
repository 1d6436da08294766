"""Nearest neighbours: near-duplicates, and photographs that lie among those of another label."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fruits.report.sample import Sample

SHOWN = 10
_ROWS_AT_ONCE = 500  # × 4,000 × 4 bytes: 8 MB a matrix


@dataclass(frozen=True)
class Pair:
    """Two photographs of the sample by their numbers, and how far apart they are among the components."""

    one: int
    other: int
    distance: float


@dataclass(frozen=True)
class Suspect:
    """A photograph and the nearest one of another label.

    `ratio` is how many times as far the nearest of its own label is: above 1, its label is in doubt.
    """

    photograph: int
    other: int
    ratio: float


@dataclass(frozen=True)
class Neighbours:
    """The closest pairs, the photographs whose label is most in doubt, and the usual distance of a nearest one."""

    pairs: list[Pair]
    suspects: list[Suspect]
    usual: float


@dataclass(frozen=True)
class _Nearest:
    """For each photograph its nearest one of each kind: number and distance, which is infinite where there is none."""

    index: NDArray[np.int64]
    distance: NDArray[np.float64]


def compare(sample: Sample) -> Neighbours:
    """Compare each photograph of a sample with each: O(n² k), 1 s for n = 4,000, k = 200."""
    if len(sample) < 2:
        return Neighbours([], [], 0.0)
    own, other, copies = _nearest(sample)
    nearest = _Nearest(
        np.where(own.distance <= other.distance, own.index, other.index), np.minimum(own.distance, other.distance)
    )
    finite = nearest.distance[np.isfinite(nearest.distance)]
    usual = float(np.median(finite)) if len(finite) else 0.0
    return Neighbours(_closest(nearest), _suspects(own, other, copies), usual)


def _nearest(sample: Sample) -> tuple[_Nearest, _Nearest, NDArray[np.bool_]]:
    """The nearest of the same label and of another, the same bytes under the same label left out.

    Also whether a photograph's bytes are there under another label.
    """
    rows = sample.components.astype(np.float64)
    rows = rows - rows.mean(axis=0)  # |a|² + |b|² − 2ab loses fewer digits near the origin
    squares = (rows**2).sum(axis=1)
    labels = np.unique([f"l{label}" if label is not None else "" for label in sample.labels], return_inverse=True)[1]
    contents = np.unique(sample.sha256, return_inverse=True)[1]
    unlabelled = np.array([label is None for label in sample.labels])
    found: list[list[NDArray[np.float64]]] = [[], []]
    copied = []
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        distance = np.sqrt(np.clip(squares[part, None] + squares[None, :] - 2 * rows[part] @ rows.T, 0, None))
        same = labels[part, None] == labels[None, :]
        alike = contents[part, None] == contents[None, :]
        # A photograph without a label is in no other label.
        apart = ~same & ~unlabelled[None, :] & ~unlabelled[part, None]
        distance[alike] = 0.0
        copied.append((alike & apart).any(axis=1))
        for kind, allowed in enumerate((same & ~alike, apart)):
            masked = np.where(allowed, distance, np.inf)
            index = masked.argmin(axis=1)
            found[kind].append(np.stack([index, masked[np.arange(len(index)), index]]))
    own, other = (np.concatenate(parts, axis=1) for parts in found)
    made = [_Nearest(one[0].astype(np.int64), one[1]) for one in (own, other)]
    return made[0], made[1], np.concatenate(copied)


def _closest(nearest: _Nearest) -> list[Pair]:
    """The closest pairs, each photograph in one at the most."""
    pairs: list[Pair] = []
    taken: set[int] = set()
    for one in np.argsort(nearest.distance, kind="stable"):
        other = int(nearest.index[one])
        if len(pairs) == SHOWN or not np.isfinite(nearest.distance[one]):
            break
        if not taken & {int(one), other}:
            taken |= {int(one), other}
            pairs.append(Pair(int(one), other, float(nearest.distance[one])))
    return pairs


def _suspects(own: _Nearest, other: _Nearest, copied: NDArray[np.bool_]) -> list[Suspect]:
    """Most in doubt is who has the same bytes under another label, then whose own label is the furthest away."""
    known = np.isfinite(own.distance) & np.isfinite(other.distance)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(known, own.distance / other.distance, 0.0)
    ratio[copied] = np.inf
    suspects: list[Suspect] = []
    for one in map(int, np.argsort(-np.nan_to_num(ratio, nan=0.0, posinf=np.inf), kind="stable")):
        if len(suspects) == SHOWN or not ratio[one] > 0:
            break
        # Whoever lies next to a photograph in doubt is in doubt by that alone.
        if int(other.index[one]) not in {suspect.photograph for suspect in suspects}:
            suspects.append(Suspect(one, int(other.index[one]), float(ratio[one])))
    return suspects
