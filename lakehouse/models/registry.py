"""The model registry: versions of the scaler and the PCA, and what they were fitted on.

A version is registered with tags that say what it was fitted on, in one call, so that a run that died after registering
finds its version again instead of registering a second one.

MLflow holds the records, and importing it takes four seconds. What it has recorded in a lake's own database is kept
beside that (`snapshot`), and the arrays of a model stand in its artifact (`artifact`): as long as the
database has not changed, reading takes no MLflow. Another tracking store than the lake's own is always asked.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from lakehouse.background import Background
from lakehouse.failpoint import crash_point
from lakehouse.guard import no_check
from lakehouse.models.artifact import Arrays, arrays_of, digest, read_arrays, read_artifact
from lakehouse.models.records import Fit, Model, Version, check_sha256
from lakehouse.models.snapshot import ABSENT, Snapshot, fingerprint, read_snapshot, write_snapshot
from lakehouse.models.tracking import DATABASE, TrackingStore, open_store
from lakehouse.storage.uri import absolute_uri, on_disk

if TYPE_CHECKING:
    from lakehouse.models.mlflow_records import MlflowRecords

__all__ = ["CHAMPION", "PINNED", "Arrays", "Fit", "Registry", "Version", "check_sha256", "make_database"]

CHAMPION = "champion"
PINNED = "pinned"  # the alias of a version that somebody chose, until it is released


class Registry:
    """The models of one lake in one MLflow tracking store."""

    def __init__(
        self, tracking_uri: str | None, experiment: str, folder: str, guard: Callable[[], None] = no_check
    ) -> None:
        """Name the tracking store; where none is named, the lake's own: SQLite and artifacts in `folder`, path or URI.

        Opens nothing and makes nothing. `guard` is called before each write that others see, and raises where it must
        not be made.
        """
        self._tracking_uri, self._experiment, self._guard = tracking_uri, experiment, guard
        self._folder = absolute_uri(folder)
        self._lock = Lock()
        self._store: TrackingStore | None = None
        self._opening: Background[MlflowRecords] | None = None
        self._seen: str | None = None
        self._known: Snapshot | None = None

    # ---- open -------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to open MLflow while other work goes on, for who is about to register a model."""
        _prepare_environment()
        with self._lock:
            if self._opening is None:
                self._opening = Background(self._open)

    def prepare(self) -> None:
        """Begin to open MLflow while other work goes on, if this run is sure to need it.

        It is where the records have changed since they were read last, and where a writer finds no model at all.
        """
        Background(self._prepare)  # what it raises, the first read raises too

    @property
    def tracking_uri(self) -> str:
        """MLflow's name for the tracking store; of a lake on S3, for this process's copy."""
        return self._opened_store().uri

    @property
    def artifacts(self) -> str | None:
        """The folder or URI for artifacts, None where a server decides."""
        return self._opened_store().artifacts

    # ---- read -------------------------------------------------------------------------------------------------------

    def champion(self, name: str) -> Version | None:
        """The version that carries the alias `champion`, None where no version does."""
        return self._with_alias(name, CHAMPION)

    def pinned(self, name: str) -> Version | None:
        """The version that somebody chose to stay with, None where nobody did."""
        return self._with_alias(name, PINNED)

    def versions(self, name: str) -> list[Version]:
        """All versions of a model, the oldest first."""
        return list(self._model(name).versions)

    def version(self, name: str, number: int) -> Version | None:
        """One version of a model, None where there is no such version."""
        return self._model(name).version(number)

    def find(self, name: str, tags: Mapping[str, str]) -> Version | None:
        """The newest version with all these tags, None where there is none."""
        found = [version for version in self.versions(name) if tags.items() <= version.tags.items()]
        return found[-1] if found else None

    def arrays(self, version: Version) -> Arrays:
        """What a version has learned, float64: `mean` and `scale` of a scaler, `mean` and `components` of a PCA.

        Read from its artifact without MLflow, where that stands beside the lake's own records; else from the object
        that `load` returns.

        Raises:
            TamperedModelError: the artifact is another one than was registered; nothing of it was used.
            StorageError: it cannot be read.
        """
        location = self._model(version.name).locations.get(version.number)
        if location is not None:
            files = read_artifact(location)
            check_sha256(version, digest(files), version.sha256)
            found = read_arrays(files)
            if found is not None:
                return found
        return arrays_of(self.load(version))

    def load(self, version: Version) -> Any:
        """Load a version's scikit-learn object, if its artifact is still the one that was registered.

        Raises:
            TamperedModelError: the artifact is another one; it was not deserialised.
        """
        return self._mlflow().load(version)

    # ---- write ------------------------------------------------------------------------------------------------------

    def register(self, name: str, fit: Fit) -> Version:
        """Log a fit in a run of its own and register its model; a fit that stands in the registry is returned as is."""
        found = self.find(name, fit.tags)
        if found is not None:
            return found
        logged = self._mlflow().log(name, fit)
        crash_point("registry.logged")
        self._guard()
        version = self._mlflow().register(logged)
        self._publish(lambda: crash_point("registry.registered"))
        return version

    def set_champion(self, version: Version) -> None:
        """Move the alias `champion` to this version."""
        self._set_alias(version, CHAMPION)

    def pin(self, version: Version) -> None:
        """Stay with this version until it is released."""
        self._set_alias(version, PINNED)

    def release(self, name: str) -> None:
        """Take the pin of a model away, if there is one."""
        if self.pinned(name) is not None:
            self._guard()
            self._mlflow().delete_alias(name, PINNED)
            self._publish()

    def log_metrics(self, version: Version, metrics: Mapping[str, float]) -> None:
        """Add metrics to a version's run; logged again, they are what they were."""
        self._guard()
        self._mlflow().log_metrics(version.run_id, metrics)
        self._publish()

    def log_figures(self, version: Version, figures: Sequence[Path]) -> None:
        """Keep more files with a version's run, in place of those of the same names; the database does not change."""
        self._guard()
        self._mlflow().log_figures(version.run_id, figures)

    def _set_alias(self, version: Version, alias: str) -> None:
        self._guard()
        self._mlflow().set_alias(version, alias)
        self._publish()

    def _publish(self, seen: Callable[[], None] = no_check) -> None:
        """Let others see a change, and keep what is recorded now. Who dies in between leaves a stale snapshot."""
        self._opened_store().publish()
        seen()
        if self._tracking_uri is None:
            self._ask(keep=True)

    # ---- what is recorded -------------------------------------------------------------------------------------------

    def _with_alias(self, name: str, alias: str) -> Version | None:
        model = self._model(name)
        return model.version(model.aliases.get(alias))

    def _model(self, name: str) -> Model:
        if self._tracking_uri is not None:
            return self._mlflow().model(name)
        # Only a writer mends what is stale: who reads changes nothing in a lake.
        snapshot = self._fresh() or self._ask(keep=self._guard is not no_check)
        return snapshot.models.get(name, Model())

    def _fresh(self) -> Snapshot | None:
        """What is recorded, None where it takes MLflow to tell."""
        found = self._fingerprint()
        if found is None:
            return None
        with self._lock:
            if self._known is None or self._known.fingerprint != found:
                self._known = read_snapshot(self._folder, found)
            return self._known

    def _ask(self, *, keep: bool) -> Snapshot:
        """What MLflow has recorded; kept in the lake where `keep`, unless the database changed meanwhile."""
        mlflow, before, known = self._mlflow(), self._fingerprint(), self._known
        snapshot = Snapshot(before or "", mlflow.models(known.models if known else {}))
        if before is not None and before == self._fingerprint():
            self._known = snapshot
            if keep:
                write_snapshot(self._folder, snapshot)
        return snapshot

    def _fingerprint(self) -> str | None:
        """The state of the database; of one on S3 as this registry has seen it first, fetched it or put it back."""
        if on_disk(self._folder):
            return fingerprint(f"{self._folder}/{DATABASE}")
        if self._store is not None:
            return self._store.etag or ABSENT
        self._seen = self._seen or fingerprint(f"{self._folder}/{DATABASE}")
        return self._seen

    # ---- MLflow -----------------------------------------------------------------------------------------------------

    def _mlflow(self) -> "MlflowRecords":
        self.open()
        assert self._opening is not None
        return self._opening.get()

    def _open(self) -> "MlflowRecords":
        from lakehouse.models.mlflow_records import MlflowRecords

        return MlflowRecords(self._opened_store(), self._experiment)

    def _prepare(self) -> None:
        known = None if self._tracking_uri is not None else self._fresh()
        if known is None or (not known.models and self._guard is not no_check):
            self.open()

    def _opened_store(self) -> TrackingStore:
        with self._lock:
            if self._store is None:
                self._store = open_store(self._tracking_uri, self._folder, make_database)
            return self._store


def make_database(path: Path) -> None:
    """Make MLflow's empty database, a file that is not there yet; no connection to it is left."""
    _prepare_environment()
    from lakehouse.models import mlflow_records

    mlflow_records.make_database(path)


def _prepare_environment() -> None:
    # MLflow reports its use over the network unless told not to: not with somebody else's photographs.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # for files of a few kilobytes
