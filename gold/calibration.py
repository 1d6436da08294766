"""Calibrate the identification of photographs under a version of the PCA, and measure it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from gold.nearest import Calibration, Float32, Float64, Labelled, calibrate, directions, measure, measure_among_others
from gold.tables import CALIBRATIONS
from lakehouse.arrow import as_matrix, pc
from lakehouse.tables.table import Row


@dataclass(frozen=True)
class Projector:
    """From features to components, as scaler and PCA together do it.

    Attributes:
        scaler_mean: of the features, shape (d,), float64.
        scaler_scale: their deviation, shape (d,), float64.
        pca_mean: of the scaled features, shape (d,), float64.
        pca_components: shape (k, d), float64.
    """

    scaler_mean: Float64
    scaler_scale: Float64
    pca_mean: Float64
    pca_components: Float64

    def project(self, features: Float32) -> Float32:
        """Components, shape (n, k), of features, shape (n, d)."""
        scaled = (features.astype(np.float64) - self.scaler_mean) / self.scaler_scale
        components: Float32 = ((scaled - self.pca_mean) @ self.pca_components.T).astype(np.float32)
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


def calibration_row(
    version: int, calibration: Calibration | None, metrics: Mapping[str, float], sampled: int
) -> pa.Table:
    """The row of a version for `gold.calibrations`."""
    row: dict[str, object] = {
        "pca_version": version,
        "photographs": sampled,
        "known_ratio_p98": calibration and calibration.known_ratio_p98,
        "unknown_threshold": calibration and calibration.threshold,
        "metrics": dict(metrics),
    }
    return pa.Table.from_pylist([row], schema=CALIBRATIONS.schema)


def calibration_of(row: Row) -> Calibration | None:
    """What `calibration_row` has put into a row."""
    known = row["unknown_threshold"] is not None
    return Calibration(row["known_ratio_p98"], row["unknown_threshold"]) if known else None


def _named(split: str, measured: Mapping[str, float]) -> dict[str, float]:
    return {f"{name}_{split}": value for name, value in measured.items()}
