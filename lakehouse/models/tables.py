"""The tables of the model registry, which are the kernel's: models by version, and which versions were chosen."""

import pyarrow as pa

from lakehouse.tables.table import INSTANT, Table, column

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
    description="One row a version of a model: its arrays, and what it was fitted on. Written with each fit.",
    schema=pa.schema(
        [
            column("model", pa.string(), "Name of the model, as `fruits-pca`."),
            column("version", pa.int64(), "Version of the model, from 1; model and version make the row one."),
            column("fit", pa.string(), "Names this fit alone, in MLflow too: 32 hexadecimal digits."),
            column("fitted_at", INSTANT, "When it was registered, right after the fit."),
            column("tags", pa.map_(pa.string(), pa.string()), "What it was fitted on, and what came out, in words."),
            column(
                "arrays",
                pa.list_(pa.field("element", ARRAY)),
                "What it has learned: arrays by name, with their shapes, and their values as float64 row by row.",
            ),
        ]
    ),
    key=("model", "version"),
    statistics=("model", "version"),
)

CHOICES = Table(
    name="registry.choices",
    description="One row a choice of a version under an alias; the newest of an alias counts. Written by fits, "
    "`fruits rollback` and where the champion is moved in MLflow.",
    schema=pa.schema(
        [
            column("choice", pa.int64(), "Number of the choice, from 1; it makes the row one."),
            column("model", pa.string(), "Name of the model."),
            column("alias", pa.string(), "`champion`: the version in use; `pinned`: the one that no fit replaces."),
            column("version", pa.int64(), "The version that was chosen; null where the alias was taken away."),
            column("chosen_at", INSTANT, "When it was chosen."),
            column("reason", pa.string(), "Why, as `first fit` or `rollback`."),
        ]
    ),
    key=("choice",),
    statistics=("choice",),
)

TABLES = (MODELS, CHOICES)
