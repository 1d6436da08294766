"""Project scaled vectors onto principal components."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lakehouse.arrow import as_column, as_matrix, made_of
from lakehouse.engine.port import Batches, Given
from silver.moments import Float64

SCALED_VECTOR = ("path", "sha256", "scaler_version", "batch", "scaled")
"""The columns of `silver.scaled` that are projected, or go along."""
_LEADING = ("pc1", "pc2", "pc3")

PROJECTED = pa.schema(
    [
        ("path", pa.string()),
        ("sha256", pa.string()),
        *((name, pa.float32()) for name in _LEADING),
        ("components", pa.list_(pa.field("element", pa.float32()))),
        ("scaler_version", pa.int64()),
        ("pca_version", pa.int64()),
    ]
)
"""The columns of `gold.projections` but for label and split."""


@dataclass(frozen=True, eq=False)
class Projecting:
    """From rows of `silver.scaled` to PROJECTED: (scaled − mean) · componentsᵀ, in float64, kept in float32.

    Attributes:
        mean: shape (d,).
        components: shape (k, d).
        pca_version: the version of the PCA that these are of.
    """

    mean: Float64
    components: Float64
    pca_version: int

    def __call__(self, scaled: Given) -> Batches:
        """Project the rows, a batch at a time."""
        for batch in scaled:
            if batch.num_rows:
                yield self._projected(batch)

    def _projected(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        coordinates = ((as_matrix(batch.column("scaled")) - self.mean) @ self.components.T).astype(np.float32)
        leading = {
            name: pa.array(coordinates[:, at]) if at < coordinates.shape[1] else pa.nulls(len(coordinates))
            for at, name in enumerate(_LEADING)
        }
        components = as_column(coordinates)
        return made_of(batch, PROJECTED, **leading, components=components, pca_version=self.pca_version)
