"""`fruits models` and `fruits ui`: the versions of the models."""

import subprocess
import sys
from typing import Any

from fruits.console import ERR
from fruits.sql import answer
from gold.job import PCA
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from lakehouse.storage import is_s3
from lakehouse.workspace import Workspace

_QUERY = """
    SELECT pca_version, scaler_version, components, explained_variance, threshold, images, fitted_at, reason,
           feature_version, run_id
    FROM gold.models ORDER BY pca_version
"""


def list_models(settings: Settings) -> list[dict[str, Any]]:
    """The versions in `gold.models`, the oldest first, each with whether it is champion, and pinned."""
    workspace = Workspace(settings)
    workspace.open_registry()
    columns, rows = answer(workspace.lake, _QUERY)
    marked = {"champion": workspace.registry.champion(PCA), "pinned": workspace.registry.pinned(PCA)}
    numbers = {mark: version.number if version else None for mark, version in marked.items()}
    return [
        {**dict(zip(columns, row, strict=True)), **{mark: row[0] == number for mark, number in numbers.items()}}
        for row in rows
    ]


def serve_ui(settings: Settings, port: int) -> int:
    """Run MLflow's own UI over this lake's tracking store until it is ended; returns its exit status."""
    if settings.tracking_uri and settings.tracking_uri.startswith("http"):
        raise LakehouseError(f"The tracking store is a server with a UI of its own: {settings.tracking_uri}")
    registry = Workspace(settings).registry
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", registry.tracking_uri]
    if registry.artifacts is not None:
        command += ["--default-artifact-root", registry.artifacts]
    if is_s3(settings.lake):
        ERR.print("This is the registry as it is now: start `fruits ui` again to see later runs.")
    return subprocess.call([*command, "--host", "127.0.0.1", "--port", str(port)])
