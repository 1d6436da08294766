"""The tables of the gold layer."""

import pyarrow as pa

from lakehouse.tables.table import INSTANT, VECTOR, Table

PCA = "fruits-pca"
"""The PCA's name in the model registry."""

PROJECTIONS = Table(
    name="gold.projections",
    schema=pa.schema(
        [
            pa.field("path", pa.string()),
            pa.field("label", pa.string()),
            pa.field("split", pa.string()),
            pa.field("sha256", pa.string()),
            pa.field("pc1", pa.float32()),
            pa.field("pc2", pa.float32()),
            pa.field("pc3", pa.float32()),
            pa.field("components", VECTOR),
            pa.field("scaler_version", pa.int64()),
            pa.field("pca_version", pa.int64()),
        ]
    ),
    key=("path",),
    statistics=("path", "label", "split", "scaler_version", "pca_version"),
)

EXPLAINED_VARIANCE = Table(
    name="gold.explained_variance",
    schema=pa.schema(
        [
            pa.field("pca_version", pa.int64()),
            pa.field("component", pa.int32()),
            pa.field("variance", pa.float64()),
            pa.field("ratio", pa.float64()),
            pa.field("cumulative", pa.float64()),
        ]
    ),
    key=("pca_version", "component"),
    statistics=("pca_version", "component"),
)

MODELS = Table(
    name="gold.models",
    schema=pa.schema(
        [
            pa.field("pca_version", pa.int64()),
            pa.field("scaler_version", pa.int64()),
            pa.field("feature_version", pa.string()),
            pa.field("images", pa.int64()),
            pa.field("components", pa.int32()),
            pa.field("explained_variance", pa.float64()),
            pa.field("threshold", pa.float64()),
            pa.field("fitted_at", INSTANT),
            pa.field("reason", pa.string()),
        ]
    ),
    key=("pca_version",),
    statistics=("pca_version", "scaler_version"),
)

CALIBRATIONS = Table(
    name="gold.calibrations",
    schema=pa.schema(
        [
            pa.field("pca_version", pa.int64()),
            pa.field("photographs", pa.int64()),
            pa.field("known_ratio_p98", pa.float64()),
            pa.field("unknown_threshold", pa.float64()),
            pa.field("metrics", pa.map_(pa.string(), pa.float64())),
        ]
    ),
    key=("pca_version",),
    statistics=("pca_version",),
)

TABLES = (PROJECTIONS, EXPLAINED_VARIANCE, MODELS, CALIBRATIONS)
