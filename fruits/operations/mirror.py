"""Models in MLflow: shown there after each run, and its alias `champion` obeyed where a person has moved it."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from gold.describe import describe_pca
from gold.tables import PCA
from lakehouse.errors import MirrorError, StorageError
from lakehouse.models.fit import Fit
from lakehouse.models.mirror import Model
from lakehouse.models.registry import Version
from lakehouse.workspace import Workspace
from silver.scaler import describe_scaler
from silver.tables import SCALER

_DESCRIBED: Mapping[str, Callable[[Workspace, Version, Path], Fit]] = {SCALER: describe_scaler, PCA: describe_pca}
_UNREACHED = "The tables of the lake hold the models, and `fruits doctor --repair` shows them in MLflow when it works."


def prepare_mirror(workspace: Workspace) -> None:
    """Begin to open MLflow while other work goes on, if this run is sure to need it."""
    models = _models(workspace)
    if models:
        workspace.mirror.prepare([model.name for model, _ in models])
    else:
        workspace.mirror.open()


def obey_mirror(workspace: Workspace) -> None:
    """Pin the PCA to which a person has moved the alias `champion` in MLflow, as `fruits rollback` does."""
    model = workspace.mirror.model_of(workspace.registry, PCA)
    try:
        moved = workspace.mirror.moved(model) if model is not None else None
    except (MirrorError, StorageError) as error:
        workspace.progress.log(f"{error} It was not asked which version is champion. {_UNREACHED}")
        return
    if moved is not None:
        workspace.progress.log(
            f"{PCA} version {moved.number} is champion in MLflow: it is pinned, as by `fruits rollback {moved.number}`."
        )
        workspace.registry.choose(moved, "the alias champion was moved in MLflow", pin=True)


def update_mirror(workspace: Workspace) -> None:
    """Show new versions and moved aliases in MLflow; where it does not work, that is said, and nothing else is lost."""
    try:
        show_models(workspace)
    except (MirrorError, StorageError) as error:
        workspace.progress.log(f"{error} {_UNREACHED}")


def show_models(workspace: Workspace, *, again: bool = False) -> int:
    """Have MLflow show what it was never told of, and with `again` also what was deleted there; returns how many.

    Raises:
        MirrorError: MLflow does not work.
    """
    mirror = workspace.mirror
    return sum(mirror.show(model, partial(describe, workspace), again=again) for model, describe in _models(workspace))


def lacking_in_mirror(workspace: Workspace) -> list[str]:
    """What MLflow does not show as it should, in words.

    Raises:
        MirrorError: MLflow cannot be asked.
    """
    return [lacking for model, _ in _models(workspace) for lacking in workspace.mirror.lacks(model)]


def _models(workspace: Workspace) -> list[tuple[Model, Callable[[Workspace, Version, Path], Fit]]]:
    found = ((workspace.mirror.model_of(workspace.registry, name), describe) for name, describe in _DESCRIBED.items())
    return [(model, describe) for model, describe in found if model is not None]
