"""From release 0.1.0: its models, which MLflow kept, become rows of the lake's own tables.

Their arrays stand in that release's `gold.calibrations`, their description in its `gold.models` and in MLflow. MLflow
is asked and nothing of it is deserialised; where it does not answer, the tables are enough to go on with.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from gold.tables import CALIBRATIONS, EXPLAINED_VARIANCE, MODELS, PCA, PROJECTIONS
from lakehouse.errors import MirrorError, StorageError
from lakehouse.migration import Migration
from lakehouse.models.records import Version, to_row
from lakehouse.models.registry import CHAMPION, PINNED
from lakehouse.models.shown import ShownModel
from lakehouse.models.tables import CHOICES
from lakehouse.models.tables import MODELS as REGISTERED
from lakehouse.tables import delta
from lakehouse.tables.layout import layout_of
from lakehouse.tables.table import INSTANT, Row, Table
from lakehouse.workspace import Workspace
from silver.tables import SCALER

_MODELS_1 = Table(
    name=MODELS.name,
    schema=pa.schema(
        [
            pa.field("pca_version", pa.int64()),
            pa.field("scaler_version", pa.int64()),
            pa.field("run_id", pa.string()),
            pa.field("scaler_sha256", pa.string()),
            pa.field("pca_sha256", pa.string()),
            pa.field("feature_version", pa.string()),
            pa.field("images", pa.int64()),
            pa.field("components", pa.int32()),
            pa.field("explained_variance", pa.float64()),
            pa.field("threshold", pa.float64()),
            pa.field("fitted_at", INSTANT),
            pa.field("reason", pa.string()),
        ]
    ),
    key=MODELS.key,
    statistics=MODELS.statistics,
)
_CALIBRATIONS_1 = Table(
    name=CALIBRATIONS.name,
    schema=pa.schema(
        [
            pa.field("pca_version", pa.int64()),
            pa.field("photographs", pa.int64()),
            pa.field("kept", pa.float64()),
            pa.field("threshold", pa.float64()),
            pa.field("mean", pa.binary()),
            pa.field("scale", pa.binary()),
            pa.field("center", pa.binary()),
            pa.field("axes", pa.binary()),
        ]
    ),
    key=CALIBRATIONS.key,
    statistics=CALIBRATIONS.statistics,
)
_BYTES = np.dtype("<f8")


@dataclass(frozen=True)
class _Kept:
    """What the lake's tables say of the PCA versions that can be carried over: those whose arrays are there."""

    models: list[Row]
    calibrations: Mapping[int, Row]


def _kept(workspace: Workspace) -> _Kept:
    lake = workspace.lake
    found = delta.find_table(lake, MODELS)
    if found is None or layout_of(found) != _MODELS_1.layout:
        return _Kept([], {})  # a lake that this release has made
    arrays = {row["pca_version"]: row for row in delta.read_rows(lake, _CALIBRATIONS_1, _CALIBRATIONS_1.schema.names)}
    models = delta.read_rows(lake, _MODELS_1, _MODELS_1.schema.names)
    known = [row for row in models if row["pca_version"] in arrays]
    return _Kept(sorted(known, key=lambda row: int(row["pca_version"])), arrays)


def _shown(workspace: Workspace) -> Mapping[str, ShownModel]:
    """What MLflow says of the models under the names that 0.1.0 gave them; nothing where it does not answer."""
    try:
        return workspace.mirror.models([SCALER, PCA])
    except (MirrorError, StorageError) as error:
        workspace.progress.log(f"{error} The models are taken from the lake's tables alone.")
        return {SCALER: ShownModel(), PCA: ShownModel()}


def _register_models(workspace: Workspace) -> None:
    """`registry.models`: each scaler and PCA with its arrays, and with MLflow's tags where these are of this lake."""
    kept = _kept(workspace)
    if not kept.models:
        return
    shown = _shown(workspace)
    rows: dict[tuple[str, int], Row] = {}
    for model in kept.models:
        arrays = {name: np.frombuffer(kept.calibrations[model["pca_version"]][name], _BYTES) for name in
                  ("mean", "scale", "center", "axes")}  # fmt: skip
        variance = _variance(workspace, model["pca_version"])
        scaler = {"mean": arrays["mean"], "scale": arrays["scale"]}
        components = arrays["axes"].reshape(-1, len(arrays["mean"]))
        pca = {"mean": arrays["center"], "components": components, "variance": variance}
        for name, number, sha256, found in (
            (SCALER, model["scaler_version"], model["scaler_sha256"], scaler),
            (PCA, model["pca_version"], model["pca_sha256"], pca),
        ):
            if (name, number) not in rows:
                tags = {**_tags(name, model), **_tags_shown(shown[name], number, sha256)}
                version = Version(name, number, uuid.uuid4().hex, model["fitted_at"], tags)
                rows[name, number] = to_row(version, found)
    made = pa.Table.from_pylist([*rows.values()], schema=REGISTERED.schema)
    delta.create_filled(workspace.lake, REGISTERED, made.to_batches())


def _choose_models(workspace: Workspace) -> None:
    """`registry.choices`: the aliases that MLflow shows, or the version that the projections are of."""
    by_number = {row["pca_version"]: row for row in _kept(workspace).models}
    if not by_number:
        return
    shown = _shown(workspace)
    projected = delta.maximum(workspace.lake, PROJECTIONS, "pca_version")
    champion = _alias(shown[PCA], CHAMPION, by_number) or by_number.get(projected)
    pinned = _alias(shown[PCA], PINNED, by_number)
    if champion is None:
        return
    chosen = [(SCALER, CHAMPION, champion["scaler_version"]), (PCA, CHAMPION, champion["pca_version"])]
    if pinned is not None:
        chosen.append((PCA, PINNED, pinned["pca_version"]))
    rows = [
        {"choice": choice, "model": name, "alias": alias, "version": version, "chosen_at": champion["fitted_at"],
         "reason": "release 0.1.0"}
        for choice, (name, alias, version) in enumerate(chosen, 1)
    ]  # fmt: skip
    made = pa.Table.from_pylist(rows, schema=CHOICES.schema)
    delta.create_filled(workspace.lake, CHOICES, made.to_batches())


def _tags(name: str, model: Row) -> dict[str, str]:
    tags = {"feature_version": model["feature_version"], "images": str(model["images"]), "reason": model["reason"]}
    if name == SCALER:
        return tags
    return {
        **tags,
        "scaler_version": str(model["scaler_version"]),
        "threshold": str(model["threshold"]),
        "components": str(model["components"]),
        "explained_variance": repr(model["explained_variance"]),
    }


def _tags_shown(shown: ShownModel, number: int, sha256: str) -> dict[str, str]:
    """MLflow's tags of a version, if it is this lake's: another lake may have used the same server."""
    version = shown.version(number)
    if version is None or version.tags.get("sha256") != sha256:
        return {}
    return {name: value for name, value in version.tags.items() if name != "sha256"}


def _alias(shown: ShownModel, alias: str, models: Mapping[int, Row]) -> Row | None:
    number = shown.aliases.get(alias)
    model = models.get(number) if number is not None else None
    known = model is not None and _tags_shown(shown, model["pca_version"], model["pca_sha256"])
    return model if known else None


def _variance(workspace: Workspace, number: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    columns = ["component", "variance"]
    rows = delta.rows_where(workspace.lake, EXPLAINED_VARIANCE, "pca_version", [number], columns)
    return np.array([row["variance"] for row in sorted(rows, key=lambda row: int(row["component"]))], np.float64)


def _leave_out_artifacts(workspace: Workspace) -> None:
    """`gold.models` names no artifacts of MLflow's any more."""
    found = delta.existing(workspace.lake, _MODELS_1)
    rows = delta.read_rows(workspace.lake, _MODELS_1, MODELS.schema.names)
    delta.rewrite(workspace.lake, MODELS, found, pa.Table.from_pylist(rows, schema=MODELS.schema).to_batches())


def _leave_out_arrays(workspace: Workspace) -> None:
    """`gold.calibrations` keeps the numbers that are its own, under names that say what they are."""
    found = delta.existing(workspace.lake, _CALIBRATIONS_1)
    rows = [
        {
            "pca_version": row["pca_version"],
            "photographs": row["photographs"],
            "known_ratio_p98": row["kept"],
            "unknown_threshold": row["threshold"],
            "metrics": {},
        }
        for row in delta.read_rows(workspace.lake, _CALIBRATIONS_1, ["pca_version", "photographs", "kept", "threshold"])
    ]
    made = pa.Table.from_pylist(rows, schema=CALIBRATIONS.schema)
    delta.rewrite(workspace.lake, CALIBRATIONS, found, made.to_batches())


MIGRATIONS = (
    Migration(REGISTERED, 0, _register_models),
    Migration(CHOICES, 0, _choose_models),
    Migration(MODELS, 1, _leave_out_artifacts),
    Migration(CALIBRATIONS, 1, _leave_out_arrays),
)
"""In this order: the first two read what the others then leave out."""
