"""The tables of the bronze layer."""

from pyspark.sql.types import BinaryType, IntegerType, LongType, StringType, StructField, StructType, TimestampType

from lakehouse.delta import Table

IMAGES = Table(
    name="bronze.images",
    schema=StructType(
        [
            StructField("path", StringType()),
            StructField("label", StringType()),
            StructField("split", StringType()),
            StructField("format", StringType()),
            StructField("width", IntegerType()),
            StructField("height", IntegerType()),
            StructField("length", LongType()),
            StructField("modification_time", TimestampType()),
            StructField("sha256", StringType()),
            StructField("batch", LongType()),
            StructField("ingested_at", TimestampType()),
            StructField("content", BinaryType()),
        ]
    ),
    key=("path",),
    statistics=("path", "label", "split", "length", "modification_time", "batch", "ingested_at"),
)

QUARANTINE = Table(
    name="bronze.quarantine",
    schema=StructType(
        [
            StructField("path", StringType()),
            StructField("label", StringType()),
            StructField("length", LongType()),
            StructField("modification_time", TimestampType()),
            StructField("reason", StringType()),
            StructField("detail", StringType()),
            StructField("batch", LongType()),
            StructField("quarantined_at", TimestampType()),
        ]
    ),
    key=("path",),
    statistics=("path", "label", "reason", "batch"),
)

TABLES = (IMAGES, QUARANTINE)
