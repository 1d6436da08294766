"""The tables of the model registry, which are the kernel's: models by version, and which versions were chosen."""

import pyarrow as pa

from lakehouse.tables.table import INSTANT, Table

ARRAY = pa.struct(
    [
        pa.field("name", pa.string()),
        pa.field("shape", pa.list_(pa.field("element", pa.int64()))),
        pa.field("values", pa.list_(pa.field("element", pa.float64()))),
    ]
)
"""An array by its name; its values row by row (C order)."""

MODELS = Table(
    name="registry.models",
    schema=pa.schema(
        [
            pa.field("model", pa.string()),
            pa.field("version", pa.int64()),
            pa.field("fit", pa.string()),
            pa.field("fitted_at", INSTANT),
            pa.field("tags", pa.map_(pa.string(), pa.string())),
            pa.field("arrays", pa.list_(pa.field("element", ARRAY))),
        ]
    ),
    key=("model", "version"),
    statistics=("model", "version"),
)

CHOICES = Table(
    name="registry.choices",
    schema=pa.schema(
        [
            pa.field("choice", pa.int64()),
            pa.field("model", pa.string()),
            pa.field("alias", pa.string()),
            pa.field("version", pa.int64()),
            pa.field("chosen_at", INSTANT),
            pa.field("reason", pa.string()),
        ]
    ),
    key=("choice",),
    statistics=("choice",),
)

TABLES = (MODELS, CHOICES)
