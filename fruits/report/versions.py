"""How the versions of the PCA differ: components, explained variance, and the angle between what they span."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from duckdb import DuckDBPyConnection

from gold.compare import principal_angles, under_scale
from gold.job import PCA
from lakehouse.errors import TamperedModelError
from lakehouse.registry import Registry
from lakehouse.workspace import Workspace
from silver.fitted import SCALER

COMPARED = 4
"""The newest versions that are loaded, which takes a fifth of a second each; older ones are listed."""

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
    loaded: dict[tuple[str, int], Any] = {}
    for place in range(max(1, len(versions) - COMPARED + 1), len(versions)):
        versions[place] = _compared(workspace.registry, versions[place], versions[place - 1], loaded)
    return versions


def _compared(
    registry: Registry, version: ModelVersion, before: ModelVersion, loaded: dict[tuple[str, int], Any]
) -> ModelVersion:
    try:
        models = [_load(registry, PCA, one.number, loaded) for one in (version, before)]
        scalers = [_load(registry, SCALER, one.scaler, loaded) for one in (version, before)]
    except TamperedModelError as error:
        return replace(version, unknown=str(error))
    if any(one is None for one in (*models, *scalers)):
        return replace(version, unknown="A model of the two is no longer in the registry.")
    if models[0].components_.shape[1] != models[1].components_.shape[1]:
        return replace(version, unknown="The two are for features of different lengths.")
    ours = under_scale(models[0].components_, scalers[0].scale_, scalers[1].scale_)
    degrees = principal_angles(ours, models[1].components_)
    scaler = "the same" if version.scaler == before.scaler else _difference(*scalers)
    return replace(version, angles=Angles(float(degrees[-1]), float(degrees.mean()), scaler))


def _load(registry: Registry, name: str, number: int, loaded: dict[tuple[str, int], Any]) -> Any:
    if (name, number) not in loaded:
        version = registry.version(name, number)
        loaded[name, number] = registry.load(version) if version else None
    return loaded[name, number]


def _difference(ours: Any, theirs: Any) -> str:
    """How two scalers differ, in the older one's deviations."""
    shift = float(np.median(np.abs(ours.mean_ - theirs.mean_) / theirs.scale_))
    scale = float(np.median(np.abs(ours.scale_ / theirs.scale_ - 1)))
    return f"another: means moved by {shift:.1%} of a deviation, deviations changed by {scale:.1%} (medians)"
