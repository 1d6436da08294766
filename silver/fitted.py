"""What silver has fitted: the moments and what they cover, and the scaler. Read by this layer's job and by gold's."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from lakehouse import delta
from lakehouse.delta import Lake
from lakehouse.registry import Arrays, Registry, Version
from silver.moments import Float64, Moments
from silver.tables import FEATURES, MOMENTS

SCALER = "fruits-scaler"
"""The scaler's name in the model registry."""


@dataclass(frozen=True)
class Covered:
    """Moments, and what they are the moments of: a Delta version of `silver.features`, the table with this id.

    `fresh` says that they have just been summed over all rows, rather than by increments.
    """

    moments: Moments
    feature_version: str
    features_version: int
    table_id: str
    fresh: bool = False

    @property
    def fitted_on(self) -> str:
        """Names these rows for ever, for the registry."""
        return f"{self.table_id}@{self.features_version}"


def read_moments(lake: Lake) -> Covered | None:
    """The row of `silver.moments`, None before the first images."""
    rows = [row for table in delta.read_columns(lake, MOMENTS, MOMENTS.schema.names) for row in table.to_pylist()]
    if not rows:
        return None
    moments = Moments.from_bytes(rows[0]["count"], rows[0]["mean"], rows[0]["scatter"])
    table_id = str(delta.existing(lake, FEATURES).metadata().id)
    return Covered(moments, rows[0]["feature_version"], rows[0]["features_version"], table_id)


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
