"""The tables of the bronze layer."""

import pyarrow as pa

from lakehouse.tables.table import INSTANT, Table

IMAGES = Table(
    name="bronze.images",
    schema=pa.schema(
        [
            pa.field("path", pa.string()),
            pa.field("label", pa.string()),
            pa.field("split", pa.string()),
            pa.field("format", pa.string()),
            pa.field("width", pa.int32()),
            pa.field("height", pa.int32()),
            pa.field("length", pa.int64()),
            pa.field("modification_time", INSTANT),
            pa.field("sha256", pa.string()),
            pa.field("batch", pa.int64()),
            pa.field("ingested_at", INSTANT),
            pa.field("content", pa.binary()),
        ]
    ),
    key=("path",),
    statistics=("path", "label", "split", "length", "modification_time", "batch", "ingested_at"),
)

QUARANTINE = Table(
    name="bronze.quarantine",
    schema=pa.schema(
        [
            pa.field("path", pa.string()),
            pa.field("label", pa.string()),
            pa.field("length", pa.int64()),
            pa.field("modification_time", INSTANT),
            pa.field("reason", pa.string()),
            pa.field("detail", pa.string()),
            pa.field("batch", pa.int64()),
            pa.field("quarantined_at", INSTANT),
        ]
    ),
    key=("path",),
    statistics=("path", "label", "reason", "batch"),
)

TABLES = (IMAGES, QUARANTINE)
