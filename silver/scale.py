"""The standard scaler: fit from moments, apply to features, measure whether it still fits."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lakehouse.arrow import as_column, as_matrix, made_of
from lakehouse.engine.port import Batches, Given
from silver.moments import Float64, Moments
from silver.tables import SCALED

if TYPE_CHECKING:
    from sklearn.preprocessing import StandardScaler

FEATURE = ("path", "sha256", "batch", "features")
"""The columns of `silver.features` that are scaled, or go along."""
_ROUNDING = 10 * np.finfo(np.float64).eps


def fit_scaler(moments: Moments) -> tuple[Float64, Float64]:
    """Mean and scale, shape (d,) each, from moments of at least two rows.

    The scale is the sample standard deviation (n − 1), as Spark ML's, where scikit-learn's own fit divides by n. A
    feature that does not vary is left unscaled (1), as scikit-learn does it.
    """
    # A constant feature's variance is rounding noise of its mean, not zero.
    constant = moments.variance <= (_ROUNDING * moments.mean) ** 2 * moments.count
    return moments.mean.copy(), np.sqrt(np.where(constant, 1.0, moments.variance))


def standard_scaler(mean: Float64, scale: Float64, count: int) -> "StandardScaler":
    """The same as a fitted `sklearn.preprocessing.StandardScaler`, for `count` rows."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    scaler.mean_, scaler.scale_, scaler.var_ = mean, scale, scale**2
    scaler.n_samples_seen_, scaler.n_features_in_ = count, len(mean)
    return scaler


def standardness(moments: Moments) -> tuple[float, float]:
    """How standard scaled features are: (average squared mean, average variance over those that vary).

    (0, 1) right after a fit. Args: the moments of the scaled features, at least two rows.
    """
    variance = moments.variance[moments.variance > 0]
    return float(np.mean(moments.mean**2)), float(variance.mean()) if len(variance) else 1.0


@dataclass(frozen=True, eq=False)
class Scaling:
    """From rows of `silver.features` to rows of `silver.scaled`: (features − mean) / deviation.

    Computed in float64, kept in float32.

    Attributes:
        mean: shape (d,).
        deviation: shape (d,).
        scaler_version: the version of the scaler that these are of.
    """

    mean: Float64
    deviation: Float64
    scaler_version: int

    def __call__(self, features: Given) -> Batches:
        """Scale the rows, a batch at a time."""
        for batch in features:
            if batch.num_rows:
                scaled = as_column((as_matrix(batch.column("features")) - self.mean) / self.deviation)
                yield made_of(batch, SCALED.schema, scaled=scaled, scaler_version=self.scaler_version)
