"""The standard scaler: fitted from moments, applied to features, asked whether it still fits."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.vectors import as_column, as_matrix
from silver.moments import Float64, Moments
from silver.tables import SCALED

_COLUMNS = ["path", "sha256", "batch"]
_ROUNDING = 10 * np.finfo(np.float64).eps


def fit_scaler(moments: Moments) -> Any:
    """A fitted `sklearn.preprocessing.StandardScaler` from moments of at least two rows.

    Its `scale_` is the sample standard deviation (n − 1), as Spark ML's, where scikit-learn's own fit divides by n. A
    feature that does not vary is left unscaled (1), as scikit-learn does it.
    """
    from sklearn.preprocessing import StandardScaler

    # A constant feature's variance is rounding noise of its mean, not zero.
    constant = moments.variance <= (_ROUNDING * moments.mean) ** 2 * moments.count
    variance = np.where(constant, 1.0, moments.variance)
    scaler = StandardScaler()
    scaler.mean_ = moments.mean.copy()
    scaler.var_ = variance
    scaler.scale_ = np.sqrt(variance)
    scaler.n_samples_seen_ = moments.count
    scaler.n_features_in_ = len(moments.mean)
    return scaler


def standardness(moments: Moments) -> tuple[float, float]:
    """How standard scaled features are: (average squared mean, average variance over those that vary).

    (0, 1) right after a fit. Args: the moments of the scaled features, at least two rows.
    """
    variance = moments.variance[moments.variance > 0]
    return float(np.mean(moments.mean**2)), float(variance.mean()) if len(variance) else 1.0


def scale(features: DataFrame, mean: Float64, deviation: Float64, scaler_version: int) -> DataFrame:
    """The rows of `silver.scaled`: (features − mean) / deviation, computed in float64, kept in float32.

    Args:
        features: rows of `silver.features`.
        mean: shape (d,).
        deviation: shape (d,).
        scaler_version: the version of the scaler that these are of.
    """

    def scaling(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows:
                scaled = as_column((as_matrix(batch.column("features")) - mean) / deviation)
                yield batch.select(_COLUMNS).append_column("scaled", scaled)

    schema = "path string, sha256 string, batch long, scaled array<float>"
    rows = features.select(*_COLUMNS, "features").mapInArrow(scaling, schema)
    return rows.withColumn("scaler_version", F.lit(scaler_version).cast("long")).select(*SCALED.schema.names)
