"""The tables of the silver layer."""

import pyarrow as pa

from lakehouse.tables.table import VECTOR, Table

SCALER = "fruits-scaler"
"""The scaler's name in the model registry."""

FEATURES = Table(
    name="silver.features",
    schema=pa.schema(
        [
            pa.field("path", pa.string()),
            pa.field("label", pa.string()),
            pa.field("split", pa.string()),
            pa.field("sha256", pa.string()),
            pa.field("feature_version", pa.string()),
            pa.field("features", VECTOR),
            pa.field("batch", pa.int64()),
        ]
    ),
    key=("path",),
    statistics=("path", "label", "split", "feature_version", "batch"),
)

MOMENTS = Table(
    name="silver.moments",
    schema=pa.schema(
        [
            pa.field("feature_version", pa.string()),
            pa.field("features_version", pa.int64()),
            pa.field("count", pa.int64()),
            pa.field("mean", pa.binary()),
            pa.field("scatter", pa.binary()),
        ]
    ),
    key=(),
    statistics=("feature_version", "features_version", "count"),
)

SCALED = Table(
    name="silver.scaled",
    schema=pa.schema(
        [
            pa.field("path", pa.string()),
            pa.field("sha256", pa.string()),
            pa.field("scaler_version", pa.int64()),
            pa.field("scaled", VECTOR),
            pa.field("batch", pa.int64()),
        ]
    ),
    key=("path",),
    statistics=("path", "scaler_version", "batch"),
)

TABLES = (FEATURES, MOMENTS, SCALED)
