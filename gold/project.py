"""Scaled vectors onto principal components."""

from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from gold.tables import PROJECTIONS
from lakehouse.vectors import as_column, as_matrix
from silver.moments import Float64


def project(scaled: DataFrame, features: DataFrame, mean: Float64, components: Float64, pca_version: int) -> DataFrame:
    """The rows of `gold.projections`: (scaled − mean) · componentsᵀ, computed in float64, kept in float32.

    Args:
        scaled: rows of `silver.scaled`.
        features: rows of `silver.features`, for label and split; joined after projecting, when rows are narrow.
        mean: shape (d,).
        components: shape (k, d).
        pca_version: the version of the PCA that these are of.
    """
    loadings = components.T

    def projecting(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows:
                coordinates = as_column((as_matrix(batch.column("scaled")) - mean) @ loadings)
                yield batch.select(["path", "sha256", "scaler_version"]).append_column("components", coordinates)

    narrow = scaled.select("path", "sha256", "scaler_version", "scaled").mapInArrow(
        projecting, "path string, sha256 string, scaler_version long, components array<float>"
    )
    leading = {f"pc{i}": F.try_element_at("components", F.lit(i)) for i in (1, 2, 3)}  # null where k is less
    return (
        narrow.join(features.select("path", "label", "split"), on="path", how="inner")
        .withColumns({**leading, "pca_version": F.lit(pca_version).cast("long")})
        .select(*PROJECTIONS.schema.names)
    )
