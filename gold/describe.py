"""What MLflow shows of a version of the PCA, told from the lake's tables."""

from pathlib import Path

from gold.pca import fit_pca
from gold.publish import sample_bound, spectrum_of
from gold.report import write_label_plots, write_scree_plots
from gold.tables import CALIBRATIONS, PROJECTIONS
from lakehouse.arrow import pc
from lakehouse.models.fit import Fit
from lakehouse.models.registry import Version
from lakehouse.tables import delta
from lakehouse.tables.damage import reading
from lakehouse.tables.delta import Lake
from lakehouse.workspace import Workspace
from silver.tables import FEATURES, MOMENTS, SCALED

_TAGS = ("fitted_on", "scaler_version", "threshold", "components", "explained_variance", "feature_version", "reason")


def describe_pca(workspace: Workspace, version: Version, folder: Path) -> Fit:
    """A version with its parameters, metrics, curve, scikit-learn model and figures.

    How photographs lie under a version can be drawn while `gold.projections` is of that version, and not later.

    Args:
        workspace: where.
        version: which.
        folder: where the figures go.
    """
    lake, tags, spectrum = workspace.lake, version.tags, spectrum_of(workspace.registry, version)
    k, threshold = int(tags["components"]), float(tags["threshold"])
    named = {table: tags.get(f"{table.name} version") for table in (FEATURES, MOMENTS, SCALED)}
    tables = {table: int(number) for table, number in named.items() if number is not None}
    return Fit(
        model=fit_pca(spectrum, k),
        shape=(len(spectrum.mean), k),
        tags={name: tags[name] for name in _TAGS if name in tags},
        params={
            "threshold": threshold,
            "components": k,
            "images": spectrum.count,
            "feature_version": tags["feature_version"],
            "scaler_version": int(tags["scaler_version"]),
            **{f"{table.name} version": number for table, number in tables.items()},
            "reason": tags["reason"],
        },
        metrics={
            "explained_variance": float(tags["explained_variance"]),
            "components": k,
            "images": spectrum.count,
            **_measured(lake, version),
        },
        curve={"cumulative_explained_variance": spectrum.cumulative.tolist()},
        figures=[*write_scree_plots(spectrum, k, threshold, folder), *_label_plots(lake, version, folder)],
        inputs={table.name: (lake.path(table), number) for table, number in tables.items()},
    )


def _measured(lake: Lake, version: Version) -> dict[str, float]:
    """How well photographs are identified under a version, by metric."""
    rows = delta.rows_where(lake, CALIBRATIONS, "pca_version", [version.number], ["metrics"])
    return dict(rows[0]["metrics"] or ()) if rows else {}


def _label_plots(lake: Lake, version: Version, folder: Path) -> list[Path]:
    projections = delta.existing(lake, PROJECTIONS)
    if delta.versions(lake, PROJECTIONS, "pca_version") != {version.number}:
        return []
    count = delta.count(lake, PROJECTIONS)
    bound = sample_bound(count)
    some = pc.field("sha256") < bound if bound else None
    columns = ["path", "label", "split", "pc1", "pc2", "components"]
    with reading(PROJECTIONS.name):
        rows = delta.dataset(lake, PROJECTIONS, projections.version()).to_table(columns, filter=some)
    return write_label_plots(rows.sort_by("path"), count, folder)
