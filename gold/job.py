"""The gold job: fit the PCA where needed, and publish every image's projection."""

from importlib import import_module
from typing import TypedDict

import numpy as np

from gold.pca import captured, components_needed, fit_spectrum
from gold.publish import known_explained, prepare_version, upstream_of_projections, write_projections
from gold.settings import GoldSettings
from gold.tables import MODELS, PCA, PROJECTIONS, TABLES
from lakehouse.background import Background
from lakehouse.errors import SettingsError
from lakehouse.failpoint import crash_point
from lakehouse.models.registry import Version
from lakehouse.tables import delta
from lakehouse.workspace import Workspace
from silver.moments import Moments
from silver.scaler import Scaler
from silver.statistics import FeatureStatistics, read_moments
from silver.tables import FEATURES, MOMENTS, SCALED, SCALER
from silver.tables import TABLES as SILVER_TABLES

_LIBRARIES = ("sklearn.preprocessing", "sklearn.decomposition", "skops.io", "matplotlib.figure", "plotly.io")
"""What a fit and its pictures need, and nothing else: three seconds of imports."""


class Summary(TypedDict):
    """What a run did; `images` and `explained_variance` are of all images under the champion, `refit` why it is new."""

    projected: int
    relabelled: int
    removed: int
    images: int
    components: int | None
    explained_variance: float | None
    pca_version: int | None
    refit: str | None


def run(workspace: Workspace) -> Summary:
    """Bring the gold tables up to date with `silver.scaled`.

    A new version is made known row by row before the one commit that replaces `gold.projections` publishes it: who
    reads meanwhile sees the old version whole.

    Raises:
        SettingsError: the settings forbid the fit that is needed.
        ForeignTableError: a table has another layout.
    """
    lake, registry = workspace.lake, workspace.registry
    workspace.create_tables((*SILVER_TABLES, *TABLES))
    covered, scaler = read_moments(lake), _scaler_of_scaled(workspace)
    if covered is None or scaler is None:
        return _nothing(workspace)
    champion, pinned = registry.champion(PCA), registry.pinned(PCA)
    version = pinned or champion
    explained = _explained(workspace, version, scaler, covered) if version else 0.0
    reason = _why_refit(workspace, version, scaler, explained)
    if pinned is not None:
        _stay(workspace, pinned, scaler, reason)
        reason = None
    if reason and _can_be_fitted(covered, scaler):
        workspace.mirror.open()
        version = _fit(workspace, scaler, covered, reason)
        explained = float(version.tags["explained_variance"])
    elif version is None or version.tags["scaler_version"] != str(scaler.version.number):
        workspace.progress.log("A PCA needs at least two photographs that differ; gold waits until there are more.")
        return _nothing(workspace)
    assert version is not None
    prepare_version(workspace, version)
    if version != champion:
        registry.choose(version, reason or "pinned")
        crash_point("gold.champion-chosen")
    upstream = upstream_of_projections(lake, version)
    done = write_projections(workspace, version, upstream, explained)
    return Summary(
        projected=done.made,
        relabelled=done.relabelled,
        removed=done.removed,
        images=delta.count(lake, PROJECTIONS),
        components=int(version.tags["components"]),
        explained_variance=explained,
        pca_version=version.number,
        refit=reason if version != champion else None,
    )


def _nothing(workspace: Workspace) -> Summary:
    """Nothing to project, or to fit on: rows that were projected before are gone with their upstream."""
    lake, champion = workspace.lake, workspace.registry.champion(PCA)
    removed = 0 if delta.count(lake, SCALED) else delta.count(lake, PROJECTIONS)
    if removed:
        workspace.engine.replace(workspace.engine.of(PROJECTIONS.schema.empty_table()), PROJECTIONS)
    return Summary(
        projected=0,
        relabelled=0,
        removed=removed,
        images=delta.count(lake, PROJECTIONS),
        components=int(champion.tags["components"]) if champion else None,
        explained_variance=float(champion.tags["explained_variance"]) if champion else None,
        pca_version=champion.number if champion else None,
        refit=None,
    )


def prepare_fit() -> None:
    """Begin to import what a fit needs while other work goes on; what fails here fails again where it is needed."""
    Background(lambda: [import_module(name) for name in _LIBRARIES])


# ---- whether to fit -------------------------------------------------------------------------------------------------


def _scaler_of_scaled(workspace: Workspace) -> Scaler | None:
    """The scaler that `silver.scaled` is of, None where it is empty."""
    version = workspace.registry.version(SCALER, delta.maximum(workspace.lake, SCALED, "scaler_version"))
    return Scaler(version, workspace.registry) if version else None


def _fitted_on(scaler: Scaler, covered: FeatureStatistics) -> dict[str, str]:
    return {"fitted_on": covered.fitted_on, "scaler_version": str(scaler.version.number)}


def _explained(workspace: Workspace, champion: Version, scaler: Scaler, covered: FeatureStatistics) -> float:
    """The share of all images' variance that the champion captures under the scaler."""
    if _fitted_on(scaler, covered).items() <= champion.tags.items():
        return float(champion.tags["explained_variance"])  # by construction: there is nothing to load
    known = known_explained(workspace.lake, upstream_of_projections(workspace.lake, champion))
    if known is not None:
        return known
    return captured(covered.moments.under(*scaler.arrays), workspace.registry.arrays(champion)["components"])


def _why_refit(workspace: Workspace, champion: Version | None, scaler: Scaler, explained: float) -> str | None:
    settings = workspace.section(GoldSettings)
    needed = None
    if champion is None:
        needed = "first fit"
    elif champion.tags["scaler_version"] != str(scaler.version.number):
        needed = "the scaler changed"
    if needed and settings.refit == "never":
        raise SettingsError(f"A PCA must be fitted ({needed}), but `refit` is never. Run with `--refit auto`.")
    if needed or settings.refit == "never":
        return needed
    if settings.refit == "always":
        return "asked for"
    floor = settings.threshold - settings.threshold_slack
    if explained < floor:
        return f"the champion explains {explained:.4f} of the variance, less than {floor:.4f}"
    return None


def _stay(workspace: Workspace, pinned: Version, scaler: Scaler, reason: str | None) -> None:
    """Stay with the pinned version, and only report why another would be fitted."""
    needed = pinned.tags["scaler_version"]
    if needed != str(scaler.version.number):
        raise SettingsError(
            f"{PCA} version {pinned.number} is pinned and needs scaler version {needed}, but silver.scaled is of "
            f"{scaler.version.number}. Run `fruits rollback {pinned.number}` again, or `fruits rollback --unpin`."
        )
    if reason is not None:
        workspace.progress.log(f"{PCA} version {pinned.number} is pinned; else another would be fitted: {reason}.")


# ---- fit ------------------------------------------------------------------------------------------------------------


def _can_be_fitted(covered: FeatureStatistics, scaler: Scaler) -> bool:
    """Whether there are two photographs that differ."""
    moments: Moments = covered.moments
    return moments.count >= 2 and bool(np.trace(moments.under(*scaler.arrays).scatter) > 0)


def _fit(workspace: Workspace, scaler: Scaler, covered: FeatureStatistics, reason: str) -> Version:
    """Fit a PCA to all images and register it; the version of the same fit, where there is one."""
    threshold = workspace.section(GoldSettings).threshold
    same = {**_fitted_on(scaler, covered), "threshold": str(threshold)}
    found = workspace.registry.find(PCA, same)
    if found is not None:
        return found
    spectrum = fit_spectrum(covered.moments.under(*scaler.arrays))
    crash_point("gold.fitted")
    k = components_needed(spectrum, threshold)
    tables = {FEATURES: covered.features_version}
    tables |= {table: delta.existing(workspace.lake, table).version() for table in (MOMENTS, SCALED)}
    tags = {
        **same,
        "components": str(k),
        "explained_variance": repr(float(spectrum.cumulative[k - 1])),
        "feature_version": covered.feature_version,
        "images": str(spectrum.count),
        **{f"{table.name} version": str(number) for table, number in tables.items()},
        "reason": reason,
    }
    arrays = {"mean": spectrum.mean, "components": spectrum.components[:k], "variance": spectrum.variance}
    in_use = max(delta.maximum(workspace.lake, table, "pca_version") or 0 for table in (PROJECTIONS, MODELS))
    return workspace.registry.register(PCA, tags, arrays, above=in_use)
