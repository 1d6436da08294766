"""From layout 1 of `bronze.images`, which held the photographs' bytes: these go to `bronze.contents`."""

from collections.abc import Iterator

import pyarrow as pa

from bronze.tables import CONTENTS, IMAGES
from lakehouse.migration import Migration
from lakehouse.tables import delta
from lakehouse.tables.layout import layout_of
from lakehouse.tables.table import Table
from lakehouse.workspace import Workspace

_ADDED = ("given_label", "given_split", "corrected")  # after release 0.1.0
_IMAGES_1 = Table(
    name=IMAGES.name,
    schema=pa.schema(
        [
            *(field for field in IMAGES.schema if field.name not in _ADDED),
            pa.field("content", pa.binary()),
            *(IMAGES.schema.field(name) for name in _ADDED),
        ]
    ),
    key=IMAGES.key,
    statistics=IMAGES.statistics,
    added=_ADDED,
)
_ROWS = 8192  # at a time, and fewer where they have photographs' bytes


def _take_contents(workspace: Workspace) -> None:
    """`bronze.contents`: each content once, by the ingest that first read it; a row group is held at a time."""
    found = delta.find_table(workspace.lake, IMAGES)
    if found is not None and layout_of(found) == _IMAGES_1.layout:
        delta.create_filled(workspace.lake, CONTENTS, _contents(workspace))


def _contents(workspace: Workspace) -> Iterator[pa.RecordBatch]:
    first: dict[str, int] = {}
    for rows in delta.read_columns(workspace.lake, _IMAGES_1, ["sha256", "batch"]):
        for sha256, batch in zip(*(column.to_pylist() for column in rows.columns), strict=True):
            first[sha256] = min(batch, first.get(sha256, batch))
    for rows in delta.read_batches(workspace.lake, _IMAGES_1, ["sha256", "length", "content"], _ROWS):
        ingests = [first.pop(sha256, None) for sha256 in rows.column("sha256").to_pylist()]
        new = [place for place, ingest in enumerate(ingests) if ingest is not None]
        chosen = rows.take(pa.array(new, pa.int64())).append_column(
            "first_batch", pa.array([ingests[place] for place in new], pa.int64())
        )
        yield chosen.select(CONTENTS.schema.names)


def _leave_out_contents(workspace: Workspace) -> None:
    """`bronze.images` keeps what describes a photograph."""
    lake, columns = workspace.lake, IMAGES.schema.names
    delta.rewrite(lake, IMAGES, delta.existing(lake, _IMAGES_1), delta.read_batches(lake, _IMAGES_1, columns, _ROWS))


MIGRATIONS = (Migration(CONTENTS, 0, _take_contents), Migration(IMAGES, 1, _leave_out_contents))
"""In this order: the first reads what the other then leaves out."""
