"""The rows that a version of the PCA leaves in `gold.explained_variance` and `gold.models`."""

import pyarrow as pa

from gold.pca import Spectrum
from gold.tables import MODELS
from lakehouse.models.registry import Version


def spectrum_rows(version: Version, spectrum: Spectrum) -> pa.Table:
    """A row for each component there could be, from 1 on."""
    size = len(spectrum.variance)
    return pa.table(
        {
            "pca_version": pa.array([version.number] * size, pa.int64()),
            "component": pa.array(range(1, size + 1), pa.int32()),
            "variance": spectrum.variance,
            "ratio": spectrum.ratio,
            "cumulative": spectrum.cumulative,
        }
    )


def model_row(version: Version) -> pa.Table:
    """The row of a version."""
    tags = version.tags
    row: dict[str, object] = {
        "pca_version": version.number,
        "scaler_version": int(tags["scaler_version"]),
        "feature_version": tags["feature_version"],
        "images": int(tags["images"]),
        "components": int(tags["components"]),
        "explained_variance": float(tags["explained_variance"]),
        "threshold": float(tags["threshold"]),
        "fitted_at": version.fitted_at,
        "reason": tags["reason"],
    }
    return pa.Table.from_pylist([row], schema=MODELS.schema)
