"""How the versions of the PCA differ: components, explained variance, and the angle between what they span."""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from duckdb import DuckDBPyConnection

from gold.compare import principal_angles, under_scale
from gold.tables import PCA
from lakehouse.models.registry import Arrays, Registry
from lakehouse.workspace import Workspace
from silver.tables import SCALER

COMPARED = 4
"""The newest versions that are compared, for which their arrays are read; older ones are listed."""

_QUERY = """
    SELECT pca_version, scaler_version, components, explained_variance, threshold, images, fitted_at, reason
    FROM gold.models ORDER BY pca_version
"""


@dataclass(frozen=True)
class Angles:
    """The principal angles between what two versions span, in degrees, and what sets their scalers apart in words."""

    largest: float
    mean: float
    scaler: str


@dataclass(frozen=True)
class ModelVersion:
    """A row of `gold.models`, how it differs from the version before, or why that is not known."""

    number: int
    scaler: int
    components: int
    explained: float
    threshold: float
    images: int
    fitted_at: datetime
    reason: str
    angles: Angles | None = None
    unknown: str = ""


def read_versions(connection: DuckDBPyConnection, workspace: Workspace) -> list[ModelVersion]:
    """The versions in `gold.models`, the oldest first, the newest of them compared with the one before."""
    versions = [ModelVersion(*row) for row in connection.execute(_QUERY).fetchall()]
    if len(versions) < 2:
        return versions
    loaded: dict[tuple[str, int], Arrays | None] = {}
    for place in range(max(1, len(versions) - COMPARED + 1), len(versions)):
        versions[place] = _compared(workspace.registry, versions[place], versions[place - 1], loaded)
    return versions


def _compared(
    registry: Registry, version: ModelVersion, before: ModelVersion, loaded: dict[tuple[str, int], Arrays | None]
) -> ModelVersion:
    pca, other_pca = (_arrays(registry, PCA, one.number, loaded) for one in (version, before))
    scaler, other_scaler = (_arrays(registry, SCALER, one.scaler, loaded) for one in (version, before))
    if pca is None or scaler is None or other_pca is None or other_scaler is None:
        return replace(version, unknown="A model of the two is not in `registry.models`.")
    components, others = pca["components"], other_pca["components"]
    if components.shape[1] != others.shape[1]:
        return replace(version, unknown="The two are for features of different lengths.")
    degrees = principal_angles(under_scale(components, scaler["scale"], other_scaler["scale"]), others)
    shift = "the same" if version.scaler == before.scaler else _difference(scaler, other_scaler)
    return replace(version, angles=Angles(float(degrees[-1]), float(degrees.mean()), shift))


def _arrays(registry: Registry, name: str, number: int, loaded: dict[tuple[str, int], Arrays | None]) -> Arrays | None:
    if (name, number) not in loaded:
        version = registry.version(name, number)
        loaded[name, number] = registry.arrays(version) if version else None
    return loaded[name, number]


def _difference(ours: Arrays, theirs: Arrays) -> str:
    """How two scalers differ, in the older one's deviations."""
    shift = float(np.median(np.abs(ours["mean"] - theirs["mean"]) / theirs["scale"]))
    scale = float(np.median(np.abs(ours["scale"] / theirs["scale"] - 1)))
    return f"another: means moved by {shift:.1%} of a deviation, deviations changed by {scale:.1%} (medians)"
