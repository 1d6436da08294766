"""The tables of the gold layer."""

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from lakehouse.delta import Table

PROJECTIONS = Table(
    name="gold.projections",
    schema=StructType(
        [
            StructField("path", StringType()),
            StructField("label", StringType()),
            StructField("split", StringType()),
            StructField("sha256", StringType()),
            StructField("pc1", FloatType()),
            StructField("pc2", FloatType()),
            StructField("pc3", FloatType()),
            StructField("components", ArrayType(FloatType())),
            StructField("scaler_version", LongType()),
            StructField("pca_version", LongType()),
        ]
    ),
    key=("path",),
    statistics=("path", "label", "split", "scaler_version", "pca_version"),
)

EXPLAINED_VARIANCE = Table(
    name="gold.explained_variance",
    schema=StructType(
        [
            StructField("pca_version", LongType()),
            StructField("component", IntegerType()),
            StructField("variance", DoubleType()),
            StructField("ratio", DoubleType()),
            StructField("cumulative", DoubleType()),
        ]
    ),
    key=("pca_version", "component"),
    statistics=("pca_version", "component"),
)

MODELS = Table(
    name="gold.models",
    schema=StructType(
        [
            StructField("pca_version", LongType()),
            StructField("scaler_version", LongType()),
            StructField("run_id", StringType()),
            StructField("scaler_sha256", StringType()),
            StructField("pca_sha256", StringType()),
            StructField("feature_version", StringType()),
            StructField("images", LongType()),
            StructField("components", IntegerType()),
            StructField("explained_variance", DoubleType()),
            StructField("threshold", DoubleType()),
            StructField("fitted_at", TimestampType()),
            StructField("reason", StringType()),
        ]
    ),
    key=("pca_version",),
    statistics=("pca_version", "scaler_version"),
)

# Arrays are float64, little-endian; axes is (components, features), row by row.
CALIBRATIONS = Table(
    name="gold.calibrations",
    schema=StructType(
        [
            StructField("pca_version", LongType()),
            StructField("photographs", LongType()),
            StructField("kept", DoubleType()),
            StructField("threshold", DoubleType()),
            StructField("mean", BinaryType()),
            StructField("scale", BinaryType()),
            StructField("center", BinaryType()),
            StructField("axes", BinaryType()),
        ]
    ),
    key=("pca_version",),
    statistics=("pca_version",),
)

TABLES = (PROJECTIONS, EXPLAINED_VARIANCE, MODELS, CALIBRATIONS)
