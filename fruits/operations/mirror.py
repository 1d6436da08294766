"""Models in MLflow: shown there after each run, and its alias `champion` obeyed where a person has moved it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from gold.describe import describe_pca
from gold.tables import PCA
from lakehouse.background import Background
from lakehouse.errors import MirrorError, StorageError
from lakehouse.models.fit import Fit
from lakehouse.models.mirror import Model
from lakehouse.models.registry import Version
from lakehouse.workspace import Workspace
from silver.scaler import describe_scaler
from silver.tables import SCALER

_Describe = Callable[[Workspace, Version, Path], Fit]
_Described = tuple[Model, _Describe]

_DESCRIBED: Mapping[str, _Describe] = {SCALER: describe_scaler, PCA: describe_pca}
_UNREACHED = "The tables of the lake hold the models, and `fruits doctor --repair` shows them in MLflow when it works."


def prepare_mirror(workspace: Workspace) -> None:
    """Begin to open MLflow while other work goes on, if this run is sure to need it."""
    models = _models(workspace, _DESCRIBED)
    if models:
        workspace.mirror.prepare([model.name for model, _ in models])
    else:
        workspace.mirror.open()


class MirrorUpdate:
    """Bring a lake and MLflow to each other; where MLflow does not work, it is said once, and nothing else is lost."""

    def __init__(self, workspace: Workspace) -> None:
        """Take the workspace; nothing is asked or shown yet."""
        self._workspace, self._works = workspace, True

    def obey(self) -> None:
        """Pin the PCA to which a person has moved the alias `champion` in MLflow, as `fruits rollback` does."""
        workspace = self._workspace
        model = workspace.mirror.model_of(workspace.registry, PCA)
        try:
            moved = workspace.mirror.moved(model) if model is not None else None
        except (MirrorError, StorageError) as error:
            self._failed(error, "It was not asked which version is champion.")
            return
        if moved is not None:
            workspace.progress.log(
                f"{PCA} version {moved.number} is champion in MLflow: it is pinned, as by `fruits rollback "
                f"{moved.number}`."
            )
            workspace.registry.choose(moved, "the alias champion was moved in MLflow", pin=True)

    @contextmanager
    def scaler_meanwhile(self) -> Iterator[None]:
        """Show the scaler while the block works with it.

        Raises:
            LeaseLostError: the lease was lost meanwhile.
        """
        models = _models(self._workspace, [SCALER])  # here: the registry is this thread's, and the block writes to it
        showing = Background(partial(self._show, models))
        try:
            yield
        finally:
            showing.wait()  # whatever comes of the block: the lease is held until then
        showing.get()

    def finish(self) -> None:
        """Show all new versions and moved aliases; where MLflow has failed before, it is not tried again."""
        self._show(_models(self._workspace, _DESCRIBED))

    def _show(self, models: Sequence[_Described]) -> None:
        if not self._works:
            return
        try:
            _show(self._workspace, models)
        except (MirrorError, StorageError) as error:
            self._failed(error)

    def _failed(self, error: Exception, besides: str = "") -> None:
        self._works = False
        self._workspace.progress.log(" ".join(filter(None, (str(error), besides, _UNREACHED))))


def show_models(workspace: Workspace, *, again: bool = False) -> int:
    """Have MLflow show what it was never told of, and with `again` also what was deleted there; returns how many.

    Raises:
        MirrorError: MLflow does not work.
    """
    return _show(workspace, _models(workspace, _DESCRIBED), again=again)


def lacking_in_mirror(workspace: Workspace) -> list[str]:
    """What MLflow does not show as it should, in words.

    Raises:
        MirrorError: MLflow cannot be asked.
    """
    return [lacking for model, _ in _models(workspace, _DESCRIBED) for lacking in workspace.mirror.lacks(model)]


def _models(workspace: Workspace, names: Iterable[str]) -> list[_Described]:
    found = ((workspace.mirror.model_of(workspace.registry, name), _DESCRIBED[name]) for name in names)
    return [(model, describe) for model, describe in found if model is not None]


def _show(workspace: Workspace, models: Sequence[_Described], *, again: bool = False) -> int:
    return sum(workspace.mirror.show(model, partial(describe, workspace), again=again) for model, describe in models)
