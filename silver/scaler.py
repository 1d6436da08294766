"""The scaler: chosen or fitted anew, registered, and applied to all features."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lakehouse.engine.port import Rows
from lakehouse.errors import SettingsError
from lakehouse.failpoint import crash_point
from lakehouse.models.fit import Fit
from lakehouse.models.registry import Registry, Version
from lakehouse.sync import is_in_sync_with, snapshot_id, sync_table
from lakehouse.tables import delta
from lakehouse.workspace import Workspace
from silver.moments import Float64
from silver.scale import FEATURE, Scaling, fit_scaler, standard_scaler, standardness
from silver.settings import SilverSettings
from silver.statistics import FeatureStatistics, recompute_exact
from silver.tables import FEATURES, MOMENTS, SCALED, SCALER

_REVISION = 2
"""Of the rules by which rows follow silver.features; see `bronze.job`."""


@dataclass(frozen=True)
class Scaler:
    """A registered scaler; its arrays are read when they are first needed."""

    version: Version
    registry: Registry

    @cached_property
    def arrays(self) -> tuple[Float64, Float64]:
        """Mean and standard deviation, shape (d,) each."""
        arrays = self.registry.arrays(self.version)
        return arrays["mean"], arrays["scale"]


def rescale(workspace: Workspace, covered: FeatureStatistics, pinned: int | None) -> tuple[int, int | None, str | None]:
    """Choose the scaler and bring `silver.scaled` to it: the second half of a run, and of a rollback.

    Returns:
        How many rows were scaled, the scaler's version (None where there are too few images for one), why it is new.
    """
    champion = workspace.registry.champion(SCALER)
    if pinned is None and champion is not None and _is_known_to_fit(workspace, champion):
        return 0, champion.number, None
    scaler, reason = _choose_scaler(workspace, covered, pinned)
    if scaler is None:
        return 0, None, None
    if scaler.version != workspace.registry.champion(SCALER):
        workspace.registry.choose(scaler.version, reason or "the pinned PCA needs it")
        crash_point("silver.scaler-chosen")
    upstream = _upstream_of_scaled(workspace, scaler.version, judged=pinned is None)
    return _write_scaled(workspace, scaler, upstream), scaler.version.number, reason


def _is_known_to_fit(workspace: Workspace, champion: Version) -> bool:
    """Whether an earlier run has found that the scaler still fits these very features, and that all are scaled."""
    judging = workspace.section(SilverSettings).refit == "auto"
    return judging and is_in_sync_with(workspace.lake, SCALED, _upstream_of_scaled(workspace, champion, judged=True))


def _upstream_of_scaled(workspace: Workspace, version: Version, *, judged: bool) -> str:
    """What `silver.scaled` follows: the features as they are, the scaler, and what it was `judged` by to still fit."""
    upstream = f"r{_REVISION} {snapshot_id(workspace.lake, FEATURES)} by {SCALER} {version.number}"
    settings = workspace.section(SilverSettings)
    if not judged or settings.refit == "never":
        return upstream
    low, high = settings.scaler_variance_range
    return f"{upstream}, mean to {settings.scaler_mean_limit}, variance {low} to {high}"


def _choose_scaler(
    workspace: Workspace, covered: FeatureStatistics, pinned: int | None
) -> tuple[Scaler | None, str | None]:
    """The scaler to use, and why it was fitted if it is new."""
    if pinned is not None:
        return _pinned_scaler(workspace, covered, pinned), None
    version = workspace.registry.champion(SCALER)
    champion = Scaler(version, workspace.registry) if version else None
    reason = _why_refit(workspace, champion, covered)
    if reason is None:
        return champion, None
    if covered.moments.count < 2:
        if champion is not None and champion.version.tags["feature_version"] == covered.feature_version:
            return champion, None
        workspace.progress.log("A scaler needs at least two photographs; the features wait until there are more.")
        return None, None
    workspace.mirror.open()
    found = workspace.registry.find(SCALER, _tags(covered))
    fitted = found or _register_scaler(workspace, recompute_exact(workspace, covered), reason)
    again = champion is not None and fitted.number == champion.version.number
    return Scaler(fitted, workspace.registry), None if again else reason


def _pinned_scaler(workspace: Workspace, covered: FeatureStatistics, number: int) -> Scaler:
    version = workspace.registry.version(SCALER, number)
    if version is None or version.tags["feature_version"] != covered.feature_version:
        raise SettingsError(
            f"The pinned PCA needs {SCALER} version {number}, "
            + (f"of the features {version.tags['feature_version']}" if version else "which is not in the registry")
            + f"; the lake has the features {covered.feature_version}. Unpin it: `fruits rollback --unpin`."
        )
    scaler = Scaler(version, workspace.registry)
    if reason := _why_not_standard(workspace, scaler, covered):
        workspace.progress.log(f"{SCALER} version {number} is pinned; else it would be fitted anew: {reason}.")
    return scaler


def _why_refit(workspace: Workspace, champion: Scaler | None, covered: FeatureStatistics) -> str | None:
    settings = workspace.section(SilverSettings)
    needed = None
    if champion is None:
        needed = "first fit"
    elif champion.version.tags["feature_version"] != covered.feature_version:
        needed = "the feature version changed"
    if needed and settings.refit == "never" and covered.moments.count:
        raise SettingsError(f"A scaler must be fitted ({needed}), but `refit` is never. Run with `--refit auto`.")
    if champion is None or needed or settings.refit == "never":
        return needed
    if settings.refit == "always":
        return "asked for"
    return _why_not_standard(workspace, champion, covered)


def _why_not_standard(workspace: Workspace, champion: Scaler, covered: FeatureStatistics) -> str | None:
    if champion.version.tags.get("fitted_on") == covered.fitted_on or covered.moments.count < 2:
        return None  # standard by construction: there is nothing to load
    settings = workspace.section(SilverSettings)
    mean, variance = standardness(covered.moments.under(*champion.arrays))
    low, high = settings.scaler_variance_range
    if mean > settings.scaler_mean_limit:
        return f"the scaled features' average squared mean is {mean:.3f}, above {settings.scaler_mean_limit}"
    if not low <= variance <= high:
        return f"the scaled features' average variance is {variance:.3f}, outside {low} to {high}"
    return None


def _tags(covered: FeatureStatistics) -> dict[str, str]:
    return {"feature_version": covered.feature_version, "fitted_on": covered.fitted_on}


def _register_scaler(workspace: Workspace, covered: FeatureStatistics, reason: str) -> Version:
    mean, scale = fit_scaler(covered.moments)
    tags = {
        **_tags(covered),
        "images": str(covered.moments.count),
        f"{FEATURES.name} version": str(covered.features_version),
        f"{MOMENTS.name} version": str(delta.existing(workspace.lake, MOMENTS).version()),
        "reason": reason,
    }
    in_use = delta.maximum(workspace.lake, SCALED, "scaler_version") or 0
    return workspace.registry.register(SCALER, tags, {"mean": mean, "scale": scale}, above=in_use)


def describe_scaler(workspace: Workspace, version: Version, folder: Path) -> Fit:  # noqa: ARG001 - it has no pictures
    """What MLflow shows of a version of the scaler."""
    tags, (mean, scale) = version.tags, Scaler(version, workspace.registry).arrays
    images = int(tags["images"])
    versions = {table: tags.get(f"{table.name} version") for table in (FEATURES, MOMENTS)}
    known = {table: int(number) for table, number in versions.items() if number is not None}
    return Fit(
        model=standard_scaler(mean, scale, images),
        shape=(len(mean), len(mean)),
        tags={name: tags[name] for name in ("feature_version", "fitted_on") if name in tags},
        params={
            "images": images,
            "feature_version": tags["feature_version"],
            **{f"{table.name} version": number for table, number in known.items()},
            "reason": tags["reason"],
        },
        metrics={"images": images},
        inputs={table.name: (workspace.lake.path(table), number) for table, number in known.items()},
    )


def _write_scaled(workspace: Workspace, scaler: Scaler, upstream: str) -> int:
    """Bring `silver.scaled` to this scaler and to the features; returns how many rows were scaled."""
    lake, number = workspace.lake, scaler.version.number
    if is_in_sync_with(lake, SCALED, upstream):
        return 0
    engine = workspace.engine

    def scaled(among: Rows | None) -> Rows:
        scaling = Scaling(*scaler.arrays, number)
        return engine.map(engine.rows(FEATURES, FEATURE, among=among), scaling, SCALED.schema)

    version = ("scaler_version", number)
    rules = f"r{_REVISION}"
    done = sync_table(
        engine, lake, SCALED, FEATURES, scaled, same=["sha256"], version=version, follows=upstream, rules=rules
    )
    crash_point("silver.scaled-written")
    return done.made
