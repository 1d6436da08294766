"""Tables as data: names, columns, keys and statistics, and the data files of a snapshot. Nothing is read here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

Row = dict[str, Any]
"""A row by its columns; which types its values have, its table's schema says."""
LAYOUT = "1"
INSTANT = pa.timestamp("us", "UTC")
"""A column of instants."""
VECTOR = pa.list_(pa.field("element", pa.float32()))
"""A column of vectors; Delta and Parquet call what a list holds `element`."""


class Ordered(Protocol):
    """A value of a column whose values are compared with each other."""

    def __lt__(self, other: Any, /) -> bool: ...

    def __le__(self, other: Any, /) -> bool: ...

    def __ge__(self, other: Any, /) -> bool: ...


@dataclass(frozen=True)
class Table:
    """A Delta table as data.

    Attributes:
        name: `<layer>.<table>`, its name in SQL; it lies under `<lake>/<layer>/<table>`.
        schema: plain types, so that every reader of Delta reads them.
        key: the columns that make a row one.
        statistics: the columns whose minimum and maximum the log keeps for each file.
    """

    name: str
    schema: pa.Schema
    key: tuple[str, ...]
    statistics: tuple[str, ...]

    @property
    def properties(self) -> dict[str, str]:
        """The Delta table properties."""
        return {
            "delta.enableChangeDataFeed": "true",
            "delta.dataSkippingStatsColumns": ",".join(self.statistics),
            "fruits.layout": LAYOUT,
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
    """

    name: str
    size: int
    rows: int | None
    minimum: Mapping[str, Ordered] = field(default_factory=dict)
    maximum: Mapping[str, Ordered] = field(default_factory=dict)
