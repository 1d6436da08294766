"""Identify a photograph by its nearest neighbours under the champion PCA; needs neither Java nor MLflow."""

from dataclasses import dataclass
from threading import Lock

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bronze.judgement import Limits, Problem
from bronze.photograph import inspect
from fruits.settings import Settings
from gold.calibration import Projector, calibration_of
from gold.nearest import Calibration, Float32, Labelled, chords, directions, ratios
from gold.tables import CALIBRATIONS, MODELS, PCA, PROJECTIONS
from lakehouse.arrow import as_matrix, as_numpy
from lakehouse.errors import DamagedTableError, LakehouseError
from lakehouse.models.registry import Registry
from lakehouse.tables import delta
from lakehouse.tables.damage import reading
from lakehouse.tables.delta import Lake
from silver.encoders import module_of
from silver.encoders.base import Predict
from silver.tables import SCALER

NEIGHBOURS = 8
"""Photographs that are shown beside an answer."""

_COLUMNS = ["path", "label", "pc1", "pc2", "components"]
_ROWS = 10_000  # a batch while the components are read


class NotAPhotographError(LakehouseError):
    """Bytes that are no photograph that can be used.

    Attributes:
        reason: one of `bronze.quarantine`'s.
    """

    def __init__(self, problem: Problem) -> None:
        """Say what `inspect` has found."""
        super().__init__(f"{problem.reason}: {problem.detail}")
        self.reason = problem.reason


class NothingKnownError(LakehouseError):
    """There is nothing in the lake that a photograph could be compared with."""


@dataclass(frozen=True)
class Neighbour:
    """A photograph of the lake, and the chord between its direction and that of the one asked about (0 to 2)."""

    path: str
    label: str | None
    distance: float


@dataclass(frozen=True)
class Answer:
    """What a photograph is.

    Attributes:
        label: None where it is of no known label.
        known: whether it is of a known label.
        confidence: how sure it is that it is of the nearest label, from 0 to 1; below 0.5 where `known` is false.
        neighbours: the nearest photographs, the nearest first.
        components: shape (k,), float32.
    """

    label: str | None
    known: bool
    confidence: float
    neighbours: list[Neighbour]
    components: Float32


@dataclass(frozen=True)
class Projected:
    """Photographs in the order of their labels, those without one last; `places` tells where the path of each is."""

    paths: pa.Array
    places: NDArray[np.int64]
    labels: list[str | None]
    pc1: Float32
    pc2: Float32
    rows: Float32


class Identifier:
    """The champion of a lake, as it is when this is opened."""

    def __init__(
        self,
        snapshot: int,
        pca_version: int,
        feature_version: str,
        lake: Projected,
        projector: Projector,
        calibration: Calibration | None,
        predict: Predict | None,
        limits: Limits,
    ) -> None:
        """See `open`."""
        self.snapshot = snapshot
        """The version of `gold.projections` that answers."""
        self.pca_version = pca_version
        """The version of the PCA that answers."""
        self.feature_version = feature_version
        """The version of the features that it is asked about."""
        self._lake, self._projector, self._calibration = lake, projector, calibration
        self._predict, self._limits = predict, limits
        labelled = [label for label in lake.labels if label is not None]
        self._known = Labelled.of(lake.rows[: len(labelled)], labelled) if labelled else None
        self._lock = Lock()  # neither LiteRT nor Pillow's guards take two at once

    @classmethod
    def open(cls, settings: Settings, *, reads: bool = True) -> "Identifier":
        """Read the champion's projections and arrays, and the model that the lake keeps.

        Takes 4 k bytes a photograph, and reads all components once.

        Args:
            settings: name the lake, and the limits of what is read.
            reads: False where it will be given features alone (`answer`), which another process computes.

        Raises:
            NothingKnownError: there is no lake, or nothing was projected or calibrated yet.
            WeightsNotFoundError: the lake has lost the model that its features were computed with.
        """
        lake = Lake(settings.lake)
        while True:
            if any(delta.open_table(lake, table) is None for table in (PROJECTIONS, MODELS)):
                raise NothingKnownError(
                    f"There is no lake at {settings.lake} that knows photographs: `fruits run` makes one."
                )
            snapshot = delta.existing(lake, PROJECTIONS).version()
            try:
                return cls._opened(settings, lake, snapshot, reads=reads)
            except (FileNotFoundError, DamagedTableError):  # erased while it was read
                if delta.existing(lake, PROJECTIONS).version() == snapshot:
                    raise

    @classmethod
    def _opened(cls, settings: Settings, lake: Lake, snapshot: int, *, reads: bool) -> "Identifier":
        """By one version of `gold.projections`: all else that belongs to its rows was there before them."""
        number = delta.maximum(lake, PROJECTIONS, "pca_version", snapshot)
        if number is None:
            raise NothingKnownError(f"No photograph has been projected in {settings.lake}: `fruits run` does it.")
        registry = Registry(lake)
        pca = registry.version(PCA, number)
        scaler = registry.version(SCALER, int(pca.tags["scaler_version"])) if pca else None
        names = CALIBRATIONS.schema.names
        rows = delta.rows_where(lake, CALIBRATIONS, "pca_version", [number], names)
        if pca is None or scaler is None or not rows:
            raise NothingKnownError(f"Version {number} of the PCA is not calibrated yet: `fruits gold` does it.")
        scaling, reducing = registry.arrays(scaler), registry.arrays(pca)
        projector = Projector(scaling["mean"], scaling["scale"], reducing["mean"], reducing["components"])
        feature_version = pca.tags["feature_version"]
        predict = module_of(feature_version).reopen(feature_version, lake.uri_of("models")) if reads else None
        projected = read_projected(lake, len(projector.pca_components), snapshot)
        calibration, limits = calibration_of(rows[0]), settings.limits
        return cls(snapshot, number, feature_version, projected, projector, calibration, predict, limits)

    @property
    def map_points(self) -> tuple[Float32, Float32, list[str | None]]:
        """The first two components of all photographs, and their labels."""
        return self._lake.pc1, self._lake.pc2, self._lake.labels

    def identify(self, content: bytes) -> Answer:
        """Say what a photograph is; safe for threads.

        Raises:
            NotAPhotographError: the bytes are no photograph that can be used.
            ValueError: it was opened without what reads photographs.
        """
        if self._predict is None:
            raise ValueError("This identifier reads no photographs: give it features.")
        with self._lock:
            found = inspect(content, self._limits)
            if isinstance(found, Problem):
                raise NotAPhotographError(found)
            features = self._predict([memoryview(content)])
        return self.answer(features)

    def answer(self, features: Float32) -> Answer:
        """Say what a photograph of these features is, shape (1, d), of `feature_version`.

        Exact: compared with every photograph. O(n k), by BLAS; safe for threads.
        """
        components = self._projector.project(features)
        asked = directions(components)
        cosines = asked @ self._lake.rows.T
        label, confidence = self._nearest_label(cosines)
        known = confidence >= 0.5
        return Answer(label if known else None, known, confidence, self._neighbours(cosines[0]), components[0])

    def _nearest_label(self, cosines: Float32) -> tuple[str | None, float]:
        if self._known is None or self._calibration is None:
            return None, 0.0
        distances = self._known.nearest(cosines[:, : len(self._known.rows)])
        return self._known.labels[int(distances.argmin())], float(self._calibration.confidence(ratios(distances))[0])

    def _neighbours(self, cosines: Float32) -> list[Neighbour]:
        count = min(NEIGHBOURS, len(cosines))
        least = np.partition(cosines, len(cosines) - count)[len(cosines) - count]
        # With all that are as near as the last, of which the first by their paths are taken.
        ranked = sorted((-cosines[one], self._path(one), one) for one in np.flatnonzero(cosines >= least).tolist())[
            :count
        ]
        nearest = np.array([one for _, _, one in ranked])
        distances = chords(cosines[nearest])
        return [
            Neighbour(self._path(one), self._lake.labels[int(one)], float(distance))
            for one, distance in zip(nearest, distances, strict=True)
        ]

    def _path(self, row: int) -> str:
        path: str = self._lake.paths[int(self._lake.places[row])].as_py()
        return path


def read_projected(lake: Lake, k: int, version: int | None = None) -> Projected:
    """All projections of a version, sorted by label; components go batch by batch into one matrix."""
    rows = np.empty((delta.count(lake, PROJECTIONS, version), k), np.float32)
    small, place = [], 0
    with reading(PROJECTIONS.name):
        projections = delta.dataset(lake, PROJECTIONS, version)
        for batch in projections.to_batches(columns=_COLUMNS, batch_size=_ROWS, batch_readahead=2):
            rows[place : place + batch.num_rows] = directions(as_matrix(batch.column("components")))
            place += batch.num_rows
            small.append(batch.drop_columns(["components"]))
    table = pa.Table.from_batches(small).combine_chunks()
    labels, order = _sorted_labels(table.column("label"))
    return Projected(
        paths=table.column("path").combine_chunks(),
        places=order,
        labels=labels,
        pc1=as_numpy(table.column("pc1"))[order],
        pc2=as_numpy(table.column("pc2").fill_null(0))[order],  # there is none where one component explains enough
        rows=rows[order],
    )


def _sorted_labels(column: pa.ChunkedArray) -> tuple[list[str | None], NDArray[np.int64]]:
    """Labels in their order, null last, and the numbers of their rows; by numbers, which sort as fast as there are few.

    Each label is one Python string, however many rows have it.
    """
    encoded = column.combine_chunks().dictionary_encode()
    names = np.array([*encoded.dictionary.to_pylist(), None], dtype=object)
    ranks = np.empty(len(names), np.int64)
    ranks[[*sorted(range(len(names) - 1), key=lambda one: str(names[one])), len(names) - 1]] = np.arange(len(names))
    codes = as_numpy(encoded.indices.fill_null(len(names) - 1))
    order = np.argsort(ranks[codes], kind="stable")
    return names[codes[order]].tolist(), order
