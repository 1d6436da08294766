"""The silver job: compute missing features, update their moments, and scale all of them by one scaler."""

from typing import TypedDict

from bronze.tables import TABLES as BRONZE_TABLES
from lakehouse.background import Background
from lakehouse.failpoint import crash_point
from lakehouse.workspace import Workspace
from silver import encoders
from silver.encoders.base import Encoder
from silver.features import follow_images
from silver.scaler import rescale
from silver.settings import SilverSettings
from silver.statistics import update_moments
from silver.tables import TABLES


class Summary(TypedDict):
    """What a run did, in images; `refit` is why the scaler was fitted anew, or null."""

    featurized: int
    copied: int
    relabelled: int
    scaled: int
    removed: int
    feature_version: str
    scaler_version: int | None
    refit: str | None


def prepare_encoder(workspace: Workspace) -> Background[Encoder]:
    """Begin to make the encoder, which may take seconds where the lake has none yet, while other work goes on."""
    settings, folder = workspace.section(SilverSettings), workspace.lake.uri_of("models")
    return Background(lambda: encoders.prepare_encoder(settings.encoder, settings.weights, folder))


def run(workspace: Workspace, encoder: Encoder, pinned: int | None = None) -> Summary:
    """Bring the silver tables up to date with `bronze.images`.

    Args:
        workspace: where.
        encoder: what computes features.
        pinned: the scaler version to stay with, whatever the features have become.

    Raises:
        SettingsError: the settings forbid the fit that is needed, or the pinned scaler is not for these features.
        ForeignTableError: a table has another layout.
        TamperedModelError: the converted model is not the one that its name tells.
    """
    workspace.create_tables((*BRONZE_TABLES, *TABLES))
    followed = follow_images(workspace, encoder)
    crash_point("silver.features-written")
    moments = update_moments(workspace, encoder.feature_version, encoder.dimension)
    crash_point("silver.moments-written")
    scaled, scaler, reason = rescale(workspace, moments, pinned)
    return Summary(
        featurized=followed.computed,
        copied=followed.copied,
        relabelled=followed.relabelled,
        scaled=scaled,
        removed=followed.removed,
        feature_version=encoder.feature_version,
        scaler_version=scaler,
        refit=reason,
    )
