"""Parameters that identify photographs under a PCA version: its arrays and the calibrated distances, as a table row.

The arrays stand in the registry too, as scikit-learn's objects. Here they are numbers alone, so that whoever identifies
a photograph needs neither MLflow nor scikit-learn, whose imports take longer than the answer.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from gold.nearest import Calibration, Float32, Float64, Labelled, calibrate, directions, measure, measure_among_others
from gold.tables import CALIBRATIONS
from lakehouse.arrow import as_matrix, pc
from lakehouse.tables.table import Row

_BYTES = np.dtype("<f8")


@dataclass(frozen=True)
class Projector:
    """From features to components, as scaler and PCA together do it.

    Attributes:
        mean: of the features, shape (d,), float64.
        scale: their deviation, shape (d,), float64.
        center: of the scaled features, shape (d,), float64.
        axes: the components, shape (k, d), float64.
    """

    mean: Float64
    scale: Float64
    center: Float64
    axes: Float64

    def project(self, features: Float32) -> Float32:
        """Components, shape (n, k), of features, shape (n, d)."""
        scaled = (features.astype(np.float64) - self.mean) / self.scale
        components: Float32 = ((scaled - self.center) @ self.axes.T).astype(np.float32)
        return components


def find_calibration(rows: pa.Table) -> tuple[Calibration | None, dict[str, float]]:
    """Calibrate on the training photographs, and ask about the others.

    Args:
        rows: `label`, `split` and `components` of photographs, or of a sample of them.

    Returns:
        The calibration, None where fewer than two labels are known; and metrics by their names for MLflow: accuracy
        and the share answered as unknown, for the training photographs (each asked about among the others) and for
        each other split. Where there is no training split, all photographs are the former.
    """
    rows = rows.filter(pc.is_valid(rows.column("label")))
    if not rows.num_rows:
        return None, {}
    found = directions(as_matrix(rows.column("components").combine_chunks()))
    labels = np.array(rows.column("label").to_pylist(), dtype=object)
    splits = np.array([split or "" for split in rows.column("split").to_pylist()], dtype=object)
    training = np.array([split.lower().startswith("train") for split in splits])
    if not training.any():
        training[:] = True
    known = Labelled.of(found[training], labels[training])
    calibration = calibrate(known)
    metrics = _named("training", measure_among_others(known, calibration))
    for split in np.unique(splits[~training]):
        asked = ~training & (splits == split)
        name = re.sub(r"\W+", "_", split.lower()) or "no_split"
        metrics |= _named(name, measure(known, found[asked], labels[asked], calibration))
    if calibration is not None:
        metrics["unknown_threshold"] = calibration.threshold
    return calibration, metrics


def to_row(version: int, projector: Projector, calibration: Calibration | None, sampled: int) -> pa.Table:
    """The row of a version for `gold.calibrations`."""
    row: dict[str, object] = {
        "pca_version": version,
        "photographs": sampled,
        "kept": calibration and calibration.known_ratio_p98,
        "threshold": calibration and calibration.threshold,
        "mean": _packed(projector.mean),
        "scale": _packed(projector.scale),
        "center": _packed(projector.center),
        "axes": _packed(projector.axes),
    }
    return pa.Table.from_pylist([row], schema=CALIBRATIONS.schema)


def from_row(row: Row) -> tuple[Projector, Calibration | None]:
    """What `to_row` has put into a row."""
    mean, scale, center, axes = (np.frombuffer(row[name], _BYTES) for name in ("mean", "scale", "center", "axes"))
    projector = Projector(mean, scale, center, axes.reshape(-1, len(mean)))
    return projector, None if row["threshold"] is None else Calibration(row["kept"], row["threshold"])


def _named(split: str, measured: Mapping[str, float]) -> dict[str, float]:
    return {f"{name}_{split}": value for name, value in measured.items()}


def _packed(array: Float64) -> bytes:
    return np.ascontiguousarray(array, _BYTES).tobytes()
