"""Publication of a version of the PCA: all that is known of it first, then every image's projection in one commit."""

import pyarrow as pa

from gold.calibration import calibration_row, find_calibration
from gold.pca import Spectrum
from gold.project import PROJECTED, SCALED_VECTOR, Projecting
from gold.records import model_row, spectrum_rows
from gold.tables import CALIBRATIONS, EXPLAINED_VARIANCE, MODELS, PCA, PROJECTIONS
from lakehouse.engine.port import Rows
from lakehouse.failpoint import crash_point
from lakehouse.models.registry import Registry, Version
from lakehouse.sync import LABELS, Synced, notes_of, snapshot_id, sync_table
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import Table
from lakehouse.workspace import Workspace
from silver.tables import FEATURES, SCALED

CALIBRATED = 8000
"""Photographs that a version is calibrated on, at the most: comparing each with each takes a second."""

_COLUMNS = PROJECTIONS.schema.names

_REVISION = 2
"""Of the rules by which rows follow silver.scaled; see `bronze.job`."""

_EXPLAINED = "fruits.explained_variance"
"""Where a commit's entry in the history says what share of the variance the PCA captures."""


def spectrum_of(registry: Registry, version: Version) -> Spectrum:
    """What a registered version found, with the components that it kept."""
    arrays = registry.arrays(version)
    return Spectrum(arrays["variance"], arrays["components"], arrays["mean"], int(version.tags["images"]))


def sample_bound(count: int) -> str | None:
    """The SHA-256 below which some CALIBRATED of so many photographs are, always the same; None: all are taken."""
    return f"{CALIBRATED * 2**32 // count:08x}" if count > CALIBRATED else None


def prepare_version(workspace: Workspace, version: Version) -> None:
    """Write the rows of a version that are not there yet, so that nothing is missing once it is published.

    The calibration comes last: where that is, everything is.
    """
    lake = workspace.lake
    if _has(workspace, CALIBRATIONS, version):
        return
    spectrum = spectrum_of(workspace.registry, version)
    if not _has(workspace, EXPLAINED_VARIANCE, version):
        delta.write_small(spectrum_rows(version, spectrum), lake, EXPLAINED_VARIANCE, mode="append")
    crash_point("gold.explained-variance-written")
    if not _has(workspace, MODELS, version):
        delta.write_small(model_row(version), lake, MODELS, mode="append")
    crash_point("gold.models-written")
    sample = _sample(workspace, version, spectrum)
    calibration, metrics = find_calibration(sample)
    row = calibration_row(version.number, calibration, metrics, sample.num_rows)
    delta.write_small(row, lake, CALIBRATIONS, mode="append")
    crash_point("gold.calibrations-written")


def upstream_of_projections(lake: Lake, version: Version) -> str:
    """What `gold.projections` follows under a version: `silver.scaled` as it is, and the labels."""
    return f"r{_REVISION} {snapshot_id(lake, SCALED, FEATURES)} by {PCA} {version.number}"


def known_explained(lake: Lake, upstream: str) -> float | None:
    """The share of variance that `write_projections` has noted; None where the table follows something else."""
    noted = (notes_of(lake, PROJECTIONS, upstream) or {}).get(_EXPLAINED)
    return None if noted is None else float(str(noted))


def write_projections(workspace: Workspace, version: Version, upstream: str, explained: float) -> Synced:
    """Bring `gold.projections` to a PCA and to `silver.scaled`.

    Args:
        workspace: where.
        version: the PCA.
        upstream: `upstream_of_projections` of now.
        explained: the share of all rows' variance that the PCA captures, noted for the runs that find nothing new.
    """
    lake, engine = workspace.lake, workspace.engine
    if known_explained(lake, upstream) == explained:
        return Synced(0, 0, 0)
    spectrum = spectrum_of(workspace.registry, version)

    def projected(among: Rows | None) -> Rows:
        if among is None:
            return _projected(workspace, version, spectrum, engine.rows(SCALED, SCALED_VECTOR))
        named = engine.sql("SELECT path, batch FROM among", among=among)
        return _projected(workspace, version, spectrum, engine.rows(SCALED, SCALED_VECTOR, among=named), among)

    made = sync_table(
        engine,
        lake,
        PROJECTIONS,
        SCALED,
        projected,
        same=["sha256", "scaler_version"],
        version=("pca_version", version.number),
        follows=upstream,
        rules=f"r{_REVISION}",
        notes={_EXPLAINED: repr(explained)},
        labels=FEATURES,
    )
    crash_point("gold.projections-written")
    return made


def _projected(
    workspace: Workspace, version: Version, spectrum: Spectrum, scaled: Rows, labels: Rows | None = None
) -> Rows:
    """Rows of `gold.projections` from rows of `silver.scaled`, with these labels; None: those of `silver.features`."""
    engine = workspace.engine
    projecting = Projecting(spectrum.mean, spectrum.components, version.number)
    columns = ", ".join(f"{'features' if name in LABELS else 'projected'}.{name}" for name in _COLUMNS)
    return engine.sql(
        f"SELECT {columns} FROM projected JOIN features ON projected.path = features.path",
        projected=engine.map(scaled, projecting, PROJECTED),
        features=labels or engine.rows(FEATURES, ["path", *LABELS]),
    )


def _sample(workspace: Workspace, version: Version, spectrum: Spectrum) -> pa.Table:
    """The projections of all photographs, or of some CALIBRATED: always the same ones, by their content."""
    engine, scaled = workspace.engine, workspace.engine.rows(SCALED, SCALED_VECTOR)
    if bound := sample_bound(delta.count(workspace.lake, SCALED)):
        columns = ", ".join(SCALED_VECTOR)
        scaled = engine.sql(f"SELECT {columns} FROM scaled WHERE sha256 < :bound", {"bound": bound}, scaled=scaled)
    return engine.arrow(_projected(workspace, version, spectrum, scaled)).sort_by("path")


def _has(workspace: Workspace, table: Table, version: Version) -> bool:
    return any(row["pca_version"] == version.number for row in delta.read_rows(workspace.lake, table, ["pca_version"]))
