"""The tables of the silver layer."""

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    FloatType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from lakehouse.delta import Table

FEATURES = Table(
    name="silver.features",
    schema=StructType(
        [
            StructField("path", StringType()),
            StructField("label", StringType()),
            StructField("split", StringType()),
            StructField("sha256", StringType()),
            StructField("feature_version", StringType()),
            StructField("features", ArrayType(FloatType())),
            StructField("batch", LongType()),
        ]
    ),
    key=("path",),
    statistics=("path", "label", "split", "feature_version", "batch"),
)

MOMENTS = Table(
    name="silver.moments",
    schema=StructType(
        [
            StructField("feature_version", StringType()),
            StructField("features_version", LongType()),
            StructField("count", LongType()),
            StructField("mean", BinaryType()),
            StructField("scatter", BinaryType()),
        ]
    ),
    key=(),
    statistics=("feature_version", "features_version", "count"),
)

SCALED = Table(
    name="silver.scaled",
    schema=StructType(
        [
            StructField("path", StringType()),
            StructField("sha256", StringType()),
            StructField("scaler_version", LongType()),
            StructField("scaled", ArrayType(FloatType())),
            StructField("batch", LongType()),
        ]
    ),
    key=("path",),
    statistics=("path", "scaler_version", "batch"),
)

TABLES = (FEATURES, MOMENTS, SCALED)
