"""`fruits models`: the versions of the models."""

from collections.abc import Iterable

from fruits.query.sql import answer
from fruits.settings import Settings
from gold.tables import CALIBRATIONS, EXPLAINED_VARIANCE, PCA
from lakehouse.errors import MirrorError, StorageError
from lakehouse.models.tables import CHOICES
from lakehouse.tables import delta
from lakehouse.tables.table import Row
from lakehouse.workspace import Workspace
from silver.encoders import encoder_of
from silver.tables import SCALER

_QUERY = """
    SELECT pca_version, scaler_version, components, explained_variance, threshold, images, fitted_at, reason,
           feature_version
    FROM gold.models ORDER BY pca_version
"""


def list_models(settings: Settings) -> list[Row]:
    """The versions in `gold.models`, the oldest first, each with whether it is champion, and pinned."""
    return models_of(Workspace(settings))


def models_of(workspace: Workspace) -> list[Row]:
    """The same, of an open workspace."""
    columns, rows = answer(workspace.lake, _QUERY)
    runs = _runs(workspace)
    marked = {"champion": workspace.registry.champion(PCA), "pinned": workspace.registry.pinned(PCA)}
    models: list[Row] = [dict(zip(columns, row, strict=True)) for row in rows]
    for model in models:
        number = model["pca_version"]
        model["run_id"] = runs.get(number)
        model |= {mark: version is not None and version.number == number for mark, version in marked.items()}
    return models


def describe_models(settings: Settings) -> list[Row]:
    """The same, each with all that the lake knows of it.

    Returns:
        Rows of `list_models` with: `encoder`; `explained`, of each kept component its variance, ratio and cumulative
        ratio; `fit` and `tags` of the registry, which name the versions of the tables that it was fitted on; `scaler`,
        likewise; `calibration`, None where the version is not calibrated; `choices`, when and why it became champion,
        or was pinned; `tracking_uri`, where MLflow has `run_id`.
    """
    workspace = Workspace(settings)
    models = models_of(workspace)
    lake, registry = workspace.lake, workspace.registry
    explained = _by_version(delta.read_rows(lake, EXPLAINED_VARIANCE, EXPLAINED_VARIANCE.schema.names))
    calibrations = _by_version(delta.read_rows(lake, CALIBRATIONS, CALIBRATIONS.schema.names))
    choices = sorted(delta.read_rows(lake, CHOICES, CHOICES.schema.names), key=lambda choice: choice["choice"])
    for model in models:
        number, components = model["pca_version"], explained.get(model["pca_version"], [])
        kept = sorted(components, key=lambda row: row["component"])[: model["components"]]
        pca, scaler = registry.version(PCA, number), registry.version(SCALER, model["scaler_version"])
        (calibration,) = calibrations.get(number, [None])
        model["encoder"] = encoder_of(model["feature_version"])
        model["explained"] = kept
        model["fit"], model["tags"] = (pca.fit, dict(pca.tags)) if pca else (None, {})
        model["scaler"] = {**vars(scaler), "tags": dict(scaler.tags)} if scaler else None
        model["calibration"] = calibration and {**calibration, "metrics": dict(calibration["metrics"] or {})}
        model["choices"] = [
            {name: choice[name] for name in ("alias", "chosen_at", "reason")}
            for choice in choices
            if (choice["model"], choice["version"]) == (PCA, number)
        ]
        model["tracking_uri"] = settings.tracking_uri or lake.uri_of("mlflow")
    return models


def _by_version(rows: Iterable[Row]) -> dict[int, list[Row]]:
    """Rows by the PCA that they are of, without its number."""
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(row["pca_version"], []).append({k: v for k, v in row.items() if k != "pca_version"})
    return found


def _runs(workspace: Workspace) -> dict[int, str]:
    """MLflow's run of each version, as far as MLflow tells."""
    model = workspace.mirror.model_of(workspace.registry, PCA)
    try:
        return workspace.mirror.run_ids(model) if model is not None else {}
    except (MirrorError, StorageError) as error:
        workspace.progress.log(f"{error} Runs are not shown.")
        return {}
