"""What silver has fitted: the moments and what they cover, and the scaler. Read by this layer's job and by gold's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from lakehouse.models.registry import Arrays, Registry, Version
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from silver.moments import Float64, Moments
from silver.tables import FEATURES, MOMENTS

SCALER = "fruits-scaler"
"""The scaler's name in the model registry."""


@dataclass(frozen=True)
class Covered:
    """Moments, and what they are the moments of: a Delta version of `silver.features`, the table with this id.

    They are read when they are first needed, which a run without news never does. `fresh` says that they have just been
    summed over all rows, rather than by increments.
    """

    read: Callable[[], Moments] = field(compare=False, repr=False)
    feature_version: str
    features_version: int
    table_id: str
    fresh: bool = False

    @cached_property
    def moments(self) -> Moments:
        """The moments themselves: 13 MB of 1,280 features."""
        return self.read()

    @property
    def fitted_on(self) -> str:
        """Names these rows for ever, for the registry."""
        return f"{self.table_id}@{self.features_version}"


def read_moments(lake: Lake) -> Covered | None:
    """The row of `silver.moments`, None before the first images."""
    version = delta.existing(lake, MOMENTS).version()
    covered = _row_of_moments(lake, version, ["feature_version", "features_version"])
    if covered is None:
        return None

    def read() -> Moments:
        row = _row_of_moments(lake, version, ["count", "mean", "scatter"])
        assert row is not None, "a version of a table has the same rows for ever"
        return Moments.from_bytes(**row)

    return Covered(read, **covered, table_id=str(delta.existing(lake, FEATURES).metadata().id))


def _row_of_moments(lake: Lake, version: int, columns: Sequence[str]) -> dict[str, Any] | None:
    tables = delta.read_columns(lake, MOMENTS, columns, version)
    return next((row for table in tables for row in table.to_pylist()), None)


def write_moments(lake: Lake, covered: Covered) -> None:
    """Replace the row of `silver.moments`."""
    row = (covered.feature_version, covered.features_version, *covered.moments.to_bytes())
    columns = {name: [value] for name, value in zip(MOMENTS.schema.names, row, strict=True)}
    delta.write_small(pa.table(columns), lake, MOMENTS, mode="overwrite")


@dataclass(frozen=True)
class Scaler:
    """A registered scaler; its arrays are read, and its artifact checked, when they are first needed."""

    version: Version
    read: Callable[[], Arrays]

    @cached_property
    def arrays(self) -> tuple[Float64, Float64]:
        """Mean and standard deviation, shape (d,) each."""
        arrays = self.read()
        return arrays["mean"], arrays["scale"]


def registered_scaler(registry: Registry, version: Version) -> Scaler:
    """The scaler of a registered version."""
    return Scaler(version, lambda: registry.arrays(version))
