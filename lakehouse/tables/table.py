"""Tables as data: names, columns, keys and statistics, and the data files of a snapshot. Nothing is read here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

Row = dict[str, Any]
"""A row by its columns; which types its values have, its table's schema says."""
INSTANT = pa.timestamp("us", "UTC")
"""A column of instants."""
VECTOR = pa.list_(pa.field("element", pa.float32()))
"""A column of vectors; Delta and Parquet call what a list holds `element`."""
LAYOUT = "fruits.layout"
"""The table property that tells the layout's number."""
RETENTION = ("delta.logRetentionDuration", "delta.deletedFileRetentionDuration")
"""The table properties that tell other writers how long to keep the log, and files that have left the table."""
HISTORY_DAYS = 30
_COMMENT = b"comment"  # where Delta, and with it Spark and Athena, keep what a column is


class Ordered(Protocol):
    """A value of a column whose values are compared with each other."""

    def __lt__(self, other: Any, /) -> bool: ...

    def __le__(self, other: Any, /) -> bool: ...

    def __ge__(self, other: Any, /) -> bool: ...


def column(name: str, kind: pa.DataType, comment: str) -> pa.Field:
    """A column that may be null, with what it holds: meaning, unit, shape. The comment goes into the table itself."""
    return pa.field(name, kind, metadata={_COMMENT: comment})


def comment_of(field: pa.Field) -> str:
    """What a column holds; empty where nobody says it."""
    comment: bytes = (field.metadata or {}).get(_COMMENT, b"")
    return comment.decode()


def without_comments(schema: pa.Schema) -> pa.Schema:
    """Names and types alone: what data files hold."""
    return pa.schema([field.remove_metadata() for field in schema])


@dataclass(frozen=True)
class Table:
    """A Delta table as data.

    Attributes:
        name: `<layer>.<table>`, its name in SQL; it lies under `<lake>/<layer>/<table>`.
        schema: plain types, so that every reader of Delta reads them; made of `column`s.
        key: the columns that make a row one.
        statistics: the columns whose minimum and maximum the log keeps for each file.
        description: what a row is, and who writes it; it stands in the table itself.
        layout: raised when a table that an older release wrote cannot be read as this one; a migration
            (`lakehouse/migration.py`) then brings it here.
        added: columns that tables of this layout which an older release made may lack: null in their rows, and added
            when the lake is next opened for writing.
        history: whether anybody asks for older versions; without, their files are removed within minutes.
    """

    name: str
    schema: pa.Schema
    key: tuple[str, ...]
    statistics: tuple[str, ...]
    description: str = ""
    layout: int = 1
    added: tuple[str, ...] = ()
    history: bool = True

    @property
    def properties(self) -> dict[str, str]:
        """The Delta table properties."""
        return {
            "delta.enableChangeDataFeed": "true",
            "delta.dataSkippingStatsColumns": ",".join(self.statistics),
            **dict.fromkeys(RETENTION, f"interval {HISTORY_DAYS} days"),
            LAYOUT: str(self.layout),
        }


@dataclass(frozen=True)
class DataFile:
    """A data file of a snapshot.

    Attributes:
        name: a path on a disk, a URI on S3.
        size: its bytes.
        rows: how many it has; None where the log does not say.
        minimum: by column, the least value that the log tells; columns without are left out.
        maximum: the same for the greatest.
        written: when it was written, milliseconds since 1970-01-01 UTC.
    """

    name: str
    size: int
    rows: int | None
    minimum: Mapping[str, Ordered] = field(default_factory=dict)
    maximum: Mapping[str, Ordered] = field(default_factory=dict)
    written: int = 0
