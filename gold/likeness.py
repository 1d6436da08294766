"""Similarity of labels: centroid and spread of each in component space, and the distances between them."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lakehouse.arrow import as_matrix, as_numpy
from silver.moments import Float64


@dataclass(frozen=True)
class Centroids:
    """The mean of each label's photographs.

    Attributes:
        labels: in the order of their names; photographs without a label are no label's.
        counts: int64, shape (labels,): photographs of each.
        centers: float64, shape (labels, k): the mean of their components.
        spread: float64, shape (labels,): the root of the mean squared distance from there.
    """

    labels: list[str]
    counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    centers: Float64
    spread: Float64

    @property
    def distances(self) -> Float64:
        """The Euclidean distance of each centroid from each, shape (labels, labels)."""
        between: Float64 = self.centers[:, np.newaxis, :] - self.centers[np.newaxis, :, :]
        distances: Float64 = np.sqrt((between**2).sum(axis=2))
        return distances

    def largest(self, most: int) -> "Centroids":
        """Those of the labels with the most photographs."""
        kept = np.sort(np.argsort(-self.counts, kind="stable")[:most])
        labels = [self.labels[one] for one in kept]
        return Centroids(labels, self.counts[kept], self.centers[kept], self.spread[kept])


def find_centroids(batches: Iterable[pa.RecordBatch]) -> Centroids:
    """One pass over rows with `label` and `components`; holds a batch, and a sum for each label."""
    sums: dict[str, tuple[int, Float64, float]] = {}
    for batch in batches:
        rows = as_matrix(batch.column("components")) if batch.num_rows else np.empty((0, 0), np.float32)
        names = batch.column("label").dictionary_encode()
        codes = as_numpy(names.indices.fill_null(-1))
        for code, label in enumerate(names.dictionary.to_pylist()):
            own = rows[codes == code].astype(np.float64)
            count, total, squares = sums.get(label, (0, np.zeros(rows.shape[1]), 0.0))
            sums[label] = (count + len(own), total + own.sum(axis=0), squares + float((own**2).sum()))
    labels = sorted(sums)
    counts = np.array([sums[label][0] for label in labels], dtype=np.int64)
    centers = np.array([sums[label][1] / sums[label][0] for label in labels]) if labels else np.empty((0, 0))
    variance = np.array([sums[label][2] for label in labels]) / np.maximum(counts, 1) - (centers**2).sum(axis=1)
    return Centroids(labels, counts, centers, np.sqrt(np.clip(variance, 0.0, None)))
