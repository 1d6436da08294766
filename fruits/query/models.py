"""`fruits models`: the versions of the models."""

from fruits.query.sql import answer
from fruits.settings import Settings
from gold.tables import PCA
from lakehouse.errors import MirrorError, StorageError
from lakehouse.tables.table import Row
from lakehouse.workspace import Workspace

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


def _runs(workspace: Workspace) -> dict[int, str]:
    """MLflow's run of each version, as far as MLflow tells."""
    model = workspace.mirror.model_of(workspace.registry, PCA)
    try:
        return workspace.mirror.run_ids(model) if model is not None else {}
    except (MirrorError, StorageError) as error:
        workspace.progress.log(f"{error} Runs are not shown.")
        return {}
