"""The tables of the silver layer."""

import pyarrow as pa

from lakehouse.tables.table import VECTOR, Table, column

SCALER = "fruits-scaler"
"""The scaler's name in the model registry."""

FEATURES = Table(
    name="silver.features",
    description="One row an image of bronze.images, with the features that the encoder makes of it; written by `fruits "
    "silver`.",
    schema=pa.schema(
        [
            column("path", pa.string(), "URI of the photograph; it makes the row one."),
            column("label", pa.string(), "As in bronze.images."),
            column("split", pa.string(), "As in bronze.images."),
            column("sha256", pa.string(), "SHA-256 of the bytes that the features were computed from."),
            column("feature_version", pa.string(), "Encoder, weights and revision that made the features."),
            column("features", VECTOR, "The encoder's output, shape (d,), float32; 1,280 of MobileNetV2."),
            column("batch", pa.int64(), "As in bronze.images: the ingest that read this content."),
        ]
    ),
    key=("path",),
    statistics=("path", "label", "split", "feature_version", "batch"),
)

MOMENTS = Table(
    name="silver.moments",
    description="One row: count, mean and scatter of all features, from which scaler and PCA are fitted; written by "
    "`fruits silver`.",
    schema=pa.schema(
        [
            column("feature_version", pa.string(), "The feature version of the rows that were summed."),
            column("features_version", pa.int64(), "The Delta version of silver.features that was summed."),
            column("count", pa.int64(), "Number of rows, n."),
            column("mean", pa.binary(), "Mean of the features: float64, little-endian, shape (d,)."),
            column(
                "scatter",
                pa.binary(),
                "Sum over the rows of (x − mean)(x − mean)ᵀ: float64, little-endian, shape (d, d), row by row.",
            ),
        ]
    ),
    key=(),
    statistics=("feature_version", "features_version", "count"),
    history=False,  # 13 MB a version, and what it holds follows from the features
)

SCALED = Table(
    name="silver.scaled",
    description="One row an image of silver.features, its features scaled; all rows by one scaler. Written by `fruits "
    "silver`, and anew by `fruits rollback`.",
    schema=pa.schema(
        [
            column("path", pa.string(), "URI of the photograph; it makes the row one."),
            column("sha256", pa.string(), "As in silver.features."),
            column("scaler_version", pa.int64(), "Version of the registered scaler, the same in all rows."),
            column("scaled", VECTOR, "(features − mean) / standard deviation, shape (d,), float32."),
            column("batch", pa.int64(), "As in bronze.images."),
        ]
    ),
    key=("path",),
    statistics=("path", "scaler_version", "batch"),
)

TABLES = (FEATURES, MOMENTS, SCALED)
