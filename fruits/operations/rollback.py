"""`fruits rollback`: an older PCA, with the scaler that it was fitted under, made champion again, and kept so."""

import gold.job
from fruits.operations.mirror import MirrorUpdate
from fruits.operations.run import pinned_scaler
from fruits.operations.writing import exclusive_workspace
from fruits.settings import Settings
from gold.tables import PCA
from lakehouse.errors import SettingsError
from lakehouse.models.registry import Version
from lakehouse.workspace import Workspace
from silver.scaler import rescale
from silver.statistics import FeatureStatistics, read_moments
from silver.tables import SCALER


class RolledBack(gold.job.Summary):
    """What gold did, and how many images were scaled anew, by which scaler."""

    scaler_version: int | None
    scaled: int


def roll_back(settings: Settings, number: int) -> RolledBack:
    """Make a version champion, rescale and reproject every image, and stay with it until it is released.

    A run that dies on the way is finished by the same call, or by the next `fruits run`: the pin comes first.

    Raises:
        SettingsError: there is no such version, or it is for features that the lake no longer holds.
    """
    # A rollback names its version: what the settings say about fitting is for runs.
    with exclusive_workspace(settings.model_copy(update={"refit": "auto"}), "rollback") as workspace:
        covered, version = _checked(workspace, number)
        workspace.registry.choose(version, "rollback", pin=True)
        scaled, scaler, _ = rescale(workspace, covered, pinned_scaler(workspace))
        workspace.summary["silver"] = {"scaled": scaled, "scaler_version": scaler}
        workspace.summary["gold"] = projected = gold.job.run(workspace)
        MirrorUpdate(workspace).finish()
    return {"scaler_version": scaler, "scaled": scaled, **projected}


def unpin(settings: Settings) -> int | None:
    """Let the next run decide again; returns the version that was pinned, None where none was."""
    with exclusive_workspace(settings, "rollback --unpin") as workspace:
        pinned = workspace.registry.pinned(PCA)
        workspace.registry.release(PCA, "unpinned")
        MirrorUpdate(workspace).finish()
    return pinned.number if pinned else None


def _checked(workspace: Workspace, number: int) -> tuple[FeatureStatistics, Version]:
    """What the lake holds and the version, if the two go together."""
    registry = workspace.registry
    version = registry.version(PCA, number)
    if version is None:
        known = ", ".join(str(one.number) for one in registry.versions(PCA)) or "none yet"
        raise SettingsError(f"There is no {PCA} version {number}. Versions: {known}. `fruits models` tells of each.")
    covered = read_moments(workspace.lake)
    if covered is None or covered.feature_version != version.tags["feature_version"]:
        raise SettingsError(
            f"{PCA} version {number} was fitted on the features {version.tags['feature_version']}; the lake holds "
            f"{covered.feature_version if covered else 'none'}. Use the weights of then (`weights:`) and run first."
        )
    scaler = registry.version(SCALER, int(version.tags["scaler_version"]))
    if scaler is None:
        needed = version.tags["scaler_version"]
        raise SettingsError(f"{PCA} version {number} needs {SCALER} version {needed}, which the lake has lost.")
    return covered, version
