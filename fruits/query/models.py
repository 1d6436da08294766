"""`fruits models`: the versions of the models."""

from fruits.query.sql import answer
from fruits.settings import Settings
from gold.job import PCA
from lakehouse.tables.table import Row
from lakehouse.workspace import Workspace

_QUERY = """
    SELECT pca_version, scaler_version, components, explained_variance, threshold, images, fitted_at, reason,
           feature_version, run_id
    FROM gold.models ORDER BY pca_version
"""


def list_models(settings: Settings) -> list[Row]:
    """The versions in `gold.models`, the oldest first, each with whether it is champion, and pinned."""
    return models_of(Workspace(settings))


def models_of(workspace: Workspace) -> list[Row]:
    """The same, of an open workspace."""
    workspace.open_registry()
    columns, rows = answer(workspace.lake, _QUERY)
    marked = {"champion": workspace.registry.champion(PCA), "pinned": workspace.registry.pinned(PCA)}
    numbers = {mark: version.number if version else None for mark, version in marked.items()}
    return [
        {**dict(zip(columns, row, strict=True)), **{mark: row[0] == number for mark, number in numbers.items()}}
        for row in rows
    ]
