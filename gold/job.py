"""The gold job: fit the PCA where needed, project every image, and record each version."""

import tempfile
from importlib import import_module
from pathlib import Path
from typing import TypedDict

import numpy as np
import pyarrow as pa

from gold.calibration import Projector, find_calibration, to_row
from gold.pca import Spectrum, captured, components_needed, fit_pca, fit_spectrum
from gold.project import PROJECTED, SCALED_VECTOR, Projecting
from gold.records import model_row, spectrum_rows
from gold.report import write_label_plots, write_scree_plots
from gold.settings import GoldSettings
from gold.tables import CALIBRATIONS, EXPLAINED_VARIANCE, MODELS, PROJECTIONS, TABLES
from lakehouse.arrow import pc
from lakehouse.background import Background
from lakehouse.engine.port import Rows
from lakehouse.errors import SettingsError
from lakehouse.failpoint import crash_point
from lakehouse.models.registry import Fit, Version, check_sha256
from lakehouse.sync import is_in_sync_with, snapshot_id, sync_table
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.workspace import Workspace
from silver.moments import Moments
from silver.scaler import SCALER, Scaler, registered_scaler
from silver.statistics import FeatureStatistics, read_moments
from silver.tables import FEATURES, MOMENTS, SCALED
from silver.tables import TABLES as SILVER_TABLES

PCA = "fruits-pca"
"""The PCA's name in the model registry."""

CALIBRATED = 8000
"""Photographs that a version is calibrated on, at the most: comparing each with each takes a second."""


_COLUMNS = PROJECTIONS.schema.names


_LIBRARIES = ("sklearn.preprocessing", "sklearn.decomposition", "skops.io", "matplotlib.figure", "plotly.io")
"""What a fit and its pictures need, and nothing else: three seconds of imports."""


class Summary(TypedDict):
    """What a run did; `images` and `explained_variance` are of all images under the champion, `refit` why it is new."""

    projected: int
    removed: int
    images: int
    components: int | None
    explained_variance: float | None
    pca_version: int | None
    refit: str | None


def run(workspace: Workspace) -> Summary:
    """Bring the gold tables up to date with `silver.scaled`.

    Raises:
        SettingsError: the settings forbid the fit that is needed.
        ForeignTableError: a table has another layout.
        TamperedModelError: an artifact is not the one that was registered.
    """
    lake = workspace.lake
    delta.create(lake, (*SILVER_TABLES, *TABLES))
    covered, scaler = read_moments(lake), _scaler_of_scaled(workspace)
    if covered is None or scaler is None:
        return _nothing(workspace)
    champion, pinned = workspace.registry.champion(PCA), workspace.registry.pinned(PCA)
    version, spectrum = pinned or champion, None
    if version is not None:
        _check_recorded(workspace, version)
    explained = _explained(workspace, version, scaler, covered) if version else 0.0
    reason = _why_refit(workspace, version, scaler, explained)
    if pinned is not None:
        _stay(workspace, pinned, scaler, reason)
        reason = None
    if reason and _can_be_fitted(covered, scaler):
        workspace.registry.open()
        spectrum = fit_spectrum(covered.moments.under(*scaler.arrays))
        crash_point("gold.fitted")
        version = _register(workspace, spectrum, scaler, covered, reason)
        crash_point("gold.registered")
    elif version is None or version.tags["scaler_version"] != str(scaler.version.number):
        workspace.progress.log("A PCA needs at least two photographs that differ; gold waits until there are more.")
        return _nothing(workspace)
    assert version is not None
    projected, removed = _write_projections(workspace, version)
    if spectrum is not None:
        _record(workspace, version, spectrum, scaler)
        explained = float(version.tags["explained_variance"])
    _calibrate(workspace, version, scaler)
    if version != champion:
        workspace.registry.set_champion(version)
        crash_point("gold.champion-moved")
    return Summary(
        projected=projected,
        removed=removed,
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
    number = delta.maximum(workspace.lake, SCALED, "scaler_version")
    version = workspace.registry.version(SCALER, number) if number is not None else None
    return registered_scaler(workspace.registry, version) if version else None


def _check_recorded(workspace: Workspace, version: Version) -> None:
    """Hold the registry against `gold.models`: who changes an artifact might change the registry's tag with it."""
    recorded = ("pca_version", "pca_sha256", "scaler_version", "scaler_sha256")
    rows = [row for models in delta.read_columns(workspace.lake, MODELS, recorded) for row in models.to_pylist()]
    for row in rows:
        if row["pca_version"] != version.number:
            continue
        check_sha256(version, version.sha256, row["pca_sha256"])
        scaler = workspace.registry.version(SCALER, row["scaler_version"])
        if scaler is not None:
            check_sha256(scaler, scaler.sha256, row["scaler_sha256"])


def _fitted_on(scaler: Scaler, covered: FeatureStatistics) -> dict[str, str]:
    return {"fitted_on": covered.fitted_on, "scaler_version": str(scaler.version.number)}


def _explained(workspace: Workspace, champion: Version, scaler: Scaler, covered: FeatureStatistics) -> float:
    """The share of all images' variance that the champion captures under the scaler."""
    if _fitted_on(scaler, covered).items() <= champion.tags.items():
        return float(champion.tags["explained_variance"])  # by construction: there is nothing to load
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


def _register(
    workspace: Workspace, spectrum: Spectrum, scaler: Scaler, covered: FeatureStatistics, reason: str
) -> Version:
    settings, lake = workspace.section(GoldSettings), workspace.lake
    same = {**_fitted_on(scaler, covered), "threshold": str(settings.threshold)}
    found = workspace.registry.find(PCA, same)
    if found is not None:
        return found
    k = components_needed(spectrum, settings.threshold)
    explained = float(spectrum.cumulative[k - 1])
    tables = {FEATURES: covered.features_version}
    tables |= {table: delta.existing(lake, table).version() for table in (MOMENTS, SCALED)}
    with tempfile.TemporaryDirectory() as folder:
        fit = Fit(
            model=fit_pca(spectrum, k),
            shape=(len(spectrum.mean), k),
            tags={
                **same,
                "components": str(k),
                "explained_variance": repr(explained),
                "feature_version": covered.feature_version,
                "reason": reason,
            },
            params={
                "threshold": settings.threshold,
                "components": k,
                "images": covered.moments.count,
                "feature_version": covered.feature_version,
                "scaler_version": scaler.version.number,
                **{f"{table.name} version": version for table, version in tables.items()},
                "reason": reason,
            },
            metrics={"explained_variance": explained, "components": k, "images": covered.moments.count},
            curve={"cumulative_explained_variance": spectrum.cumulative.tolist()},
            figures=write_scree_plots(spectrum, k, settings.threshold, Path(folder)),
            inputs={table.name: (lake.path(table), version) for table, version in tables.items()},
        )
        return workspace.registry.register(PCA, fit)


def _record(workspace: Workspace, version: Version, spectrum: Spectrum, scaler: Scaler) -> None:
    """Append what a version explains, and the version, unless a run that died here has done so."""
    lake = workspace.lake
    if version.number > (delta.maximum(lake, EXPLAINED_VARIANCE, "pca_version") or 0):
        delta.write_small(spectrum_rows(version, spectrum), lake, EXPLAINED_VARIANCE, mode="append")
    crash_point("gold.explained-variance-written")
    if version.number > (delta.maximum(lake, MODELS, "pca_version") or 0):
        delta.write_small(model_row(version, spectrum, scaler), lake, MODELS, mode="append")
    crash_point("gold.models-written")


def _calibrate(workspace: Workspace, version: Version, scaler: Scaler) -> None:
    """Log how photographs lie under a version and how well they are identified, and keep what that takes.

    Nothing is done where it is kept: that is the last step, so a run that died before it does all of them again.
    """
    lake, registry = workspace.lake, workspace.registry
    if version.number in delta.versions(lake, CALIBRATIONS, "pca_version"):
        return
    rows = _sample(lake)
    calibration, metrics = find_calibration(rows)
    registry.log_metrics(version, metrics)
    with tempfile.TemporaryDirectory() as folder:
        registry.log_figures(version, write_label_plots(rows, delta.count(lake, PROJECTIONS), Path(folder)))
    crash_point("gold.accuracy-logged")
    pca = registry.arrays(version)
    projector = Projector(*scaler.arrays, pca["mean"], pca["components"])
    delta.write_small(to_row(version.number, projector, calibration, rows.num_rows), lake, CALIBRATIONS, mode="append")
    crash_point("gold.calibrations-written")


def _sample(lake: Lake) -> pa.Table:
    """The projections of all photographs, or of some CALIBRATED: always the same ones, by their content."""
    share = CALIBRATED / max(delta.count(lake, PROJECTIONS), 1)
    some = pc.field("sha256") < f"{int(share * 2**32):08x}" if share < 1 else None
    rows = delta.dataset(lake, PROJECTIONS).to_table(
        ["path", "label", "split", "pc1", "pc2", "components"], filter=some
    )
    return rows.sort_by("path")


# ---- project --------------------------------------------------------------------------------------------------------


def _write_projections(workspace: Workspace, version: Version) -> tuple[int, int]:
    """Bring `gold.projections` to this PCA and to `silver.scaled`; returns how many were projected, and removed."""
    lake, engine = workspace.lake, workspace.engine
    upstream = f"{snapshot_id(lake, SCALED, FEATURES)} by {PCA} {version.number}"
    if is_in_sync_with(lake, PROJECTIONS, upstream):
        return 0, 0
    pca = workspace.registry.arrays(version)

    def projected(among: Rows | None) -> Rows:
        projecting = Projecting(pca["mean"], pca["components"], version.number)
        rows = engine.map(engine.rows(SCALED, SCALED_VECTOR, among=among), projecting, PROJECTED)
        columns = ", ".join(f"{'features' if name in ('label', 'split') else 'projected'}.{name}" for name in _COLUMNS)
        return engine.sql(
            f"SELECT {columns} FROM projected JOIN features ON projected.path = features.path",
            projected=rows,
            features=engine.rows(FEATURES, ["path", "label", "split"]),
        )

    same, number = ["sha256", "scaler_version"], ("pca_version", version.number)
    made = sync_table(engine, lake, PROJECTIONS, SCALED, projected, same=same, version=number, follows=upstream)
    crash_point("gold.projections-written")
    return made
