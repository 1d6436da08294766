"""The model registry: versions of the scaler and the PCA, and what they were fitted on.

The only importer of mlflow. A version is registered with tags that say what it was fitted on, in one call, so that a
run that died after registering finds its version again instead of registering a second one.
"""

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.delta import unguarded
from lakehouse.errors import TamperedModelError
from lakehouse.failpoint import reach
from lakehouse.tracking import open_store

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION = "champion"
PINNED = "pinned"  # the alias of a version that somebody chose, until it is released
_METRICS_A_CALL = 1000  # MLflow's limit for one log_batch


@dataclass(frozen=True)
class Version:
    """A registered model version; `tags` say what it was fitted on and the SHA-256 of its artifact."""

    name: str
    number: int
    run_id: str
    tags: Mapping[str, str]

    @property
    def sha256(self) -> str:
        """The SHA-256 of the artifact as it was registered."""
        return self.tags["sha256"]


@dataclass(frozen=True)
class Fit:
    """A fitted model with all that MLflow shall keep of it.

    Attributes:
        model: a fitted scikit-learn transformer.
        shape: the numbers of input and of output columns.
        tags: what it was fitted on; two fits with equal tags are the same fit.
        params: single values to compare runs by.
        metrics: single numbers to compare runs by.
        curve: a metric with many steps, name → values for the steps 1, 2, …
        figures: files to keep with the run.
        inputs: the Delta tables it was fitted on: name → (folder, version).
    """

    model: Any
    shape: tuple[int, int]
    tags: Mapping[str, str]
    params: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    curve: Mapping[str, Sequence[float]] = field(default_factory=dict)
    figures: Sequence[Path] = ()
    inputs: Mapping[str, tuple[str, int]] = field(default_factory=dict)


class Registry:
    """The models of one lake in one MLflow tracking store."""

    def __init__(
        self, tracking_uri: str | None, experiment: str, folder: str, guard: Callable[[], None] = unguarded
    ) -> None:
        """Open the tracking store; where none is named, the lake's own: SQLite and artifacts in `folder`, path or URI.

        `guard` is called before each write that others see, and raises where it must not be made.
        """
        self._guard = guard
        self._store = open_store(tracking_uri, folder, make_database)
        self.tracking_uri, self.artifacts = self._store.uri, self._store.artifacts
        self._experiment = experiment
        self._client = _open_client(self.tracking_uri)

    def champion(self, name: str) -> Version | None:
        """The version that carries the alias `champion`, None where no version does."""
        return self._with_alias(name, CHAMPION)

    def pinned(self, name: str) -> Version | None:
        """The version that somebody chose to stay with, None where nobody did."""
        return self._with_alias(name, PINNED)

    def versions(self, name: str) -> list[Version]:
        """All versions of a model, the oldest first."""
        found = self._client.search_model_versions(f"name = '{name}'")
        versions = [Version(name, int(one.version), str(one.run_id), dict(one.tags)) for one in found]
        return sorted(versions, key=lambda version: version.number)

    def version(self, name: str, number: int) -> Version | None:
        """One version of a model, None where there is no such version."""
        return next((version for version in self.versions(name) if version.number == number), None)

    def find(self, name: str, tags: Mapping[str, str]) -> Version | None:
        """The newest version with all these tags, None where there is none."""
        found = [version for version in self.versions(name) if tags.items() <= version.tags.items()]
        return found[-1] if found else None

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
            self._client.delete_registered_model_alias(name, PINNED)
            self._store.publish()

    def register(self, name: str, fit: Fit) -> Version:
        """Log a fit in a run of its own and register its model; a fit that stands in the registry is returned as is."""
        found = self.find(name, fit.tags)
        if found is not None:
            return found
        import mlflow

        _use(self.tracking_uri)
        with mlflow.start_run(
            experiment_id=self._experiment_id(), run_name=f"{name} {fit.params['images']} images"
        ) as run:
            run_id = run.info.run_id
            self._log(run_id, fit)
            uri = _log_model(name, fit)
            with tempfile.TemporaryDirectory() as folder:
                sha256 = _sha256(Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder)))
            reach("registry.logged")
            self._guard()
            registered = self._register(name, uri, run_id, {**fit.tags, "sha256": sha256})
        self._store.publish()
        reach("registry.registered")
        return Version(name, int(registered.version), run_id, {**fit.tags, "sha256": sha256})

    def log_metrics(self, version: Version, metrics: Mapping[str, float]) -> None:
        """Add metrics to a version's run; logged again, they are what they were."""
        from mlflow.entities import Metric

        self._guard()
        self._client.log_batch(version.run_id, [Metric(key, value, 0, 0) for key, value in metrics.items()])
        self._store.publish()

    def log_figures(self, version: Version, figures: Sequence[Path]) -> None:
        """Keep more files with a version's run, in place of those of the same names."""
        self._guard()
        for figure in figures:
            self._client.log_artifact(version.run_id, str(figure), "figures")

    def load(self, version: Version) -> Any:
        """Load a version's scikit-learn object, if its artifact is still the one that was registered.

        Raises:
            TamperedModelError: the artifact is another one; it was not deserialised.
        """
        import mlflow

        _use(self.tracking_uri)
        with tempfile.TemporaryDirectory() as work:
            uri = f"models:/{version.name}/{version.number}"
            folder = Path(mlflow.artifacts.download_artifacts(uri, dst_path=work))
            check_sha256(version, _sha256(folder), version.sha256)
            return mlflow.sklearn.load_model(str(folder))

    def arrays(self, version: Version) -> Any:
        """The numbers of a model."""
        model = self.load(version)
        if hasattr(model, "components_"):
            return {"mean": model.mean_, "components": model.components_}
        return {"mean": model.mean_, "scale": model.scale_}

    def _register(self, name: str, uri: str, run_id: str, tags: Mapping[str, str]) -> Any:
        if not self._client.search_registered_models(f"name = '{name}'"):
            self._client.create_registered_model(name)
        model_id = uri.removeprefix("models:/")
        return self._client.create_model_version(name, uri, run_id, tags=dict(tags), model_id=model_id)

    def _with_alias(self, name: str, alias: str) -> Version | None:
        found = [version for version in self.versions(name) if alias in self._aliases(version)]
        return found[0] if found else None

    def _set_alias(self, version: Version, alias: str) -> None:
        self._guard()
        self._client.set_registered_model_alias(version.name, alias, str(version.number))
        self._store.publish()

    def _aliases(self, version: Version) -> list[str]:
        return list(self._client.get_model_version(version.name, str(version.number)).aliases)

    def _experiment_id(self) -> str:
        found = self._client.get_experiment_by_name(self._experiment)
        if found is not None:
            return str(found.experiment_id)
        return str(self._client.create_experiment(self._experiment, artifact_location=self.artifacts))

    def _log(self, run_id: str, fit: Fit) -> None:
        from mlflow.entities import Metric, Param, RunTag

        params = [Param(key, str(value)) for key, value in fit.params.items()]
        tags = [RunTag(key, value) for key, value in fit.tags.items()]
        metrics = [Metric(key, value, 0, 0) for key, value in fit.metrics.items()]
        metrics += [Metric(key, y, 0, step) for key, ys in fit.curve.items() for step, y in enumerate(ys, start=1)]
        self._client.log_batch(run_id, metrics[:_METRICS_A_CALL], params, tags)
        for first in range(_METRICS_A_CALL, len(metrics), _METRICS_A_CALL):
            self._client.log_batch(run_id, metrics[first : first + _METRICS_A_CALL])
        for figure in fit.figures:
            self._client.log_artifact(run_id, str(figure), "figures")
        self._client.log_inputs(run_id, [_dataset(name, *table) for name, table in fit.inputs.items()])


def check_sha256(version: Version, actual: str, recorded: str) -> None:
    """Raise a TamperedModelError where a version's SHA-256 is not what was recorded when it was fitted."""
    if actual != recorded:
        raise TamperedModelError(
            f"{version.name} version {version.number} has the SHA-256 {actual}, but {recorded} was recorded when it "
            "was fitted. It was not loaded. Go back to another version (`fruits rollback VERSION`), or fit anew "
            "(`fruits run --refit always`)."
        )


def make_database(path: Path) -> None:
    """Make MLflow's empty database, a file that is not there yet; no connection to it is left."""
    _prepare_mlflow()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    # The place of artifacts is MLflow's word for "a server's": it would make a local folder at once.
    SqlAlchemyStore(f"sqlite:///{path}", "mlflow-artifacts:/").engine.dispose()


def _open_client(tracking_uri: str) -> "MlflowClient":
    _prepare_mlflow()
    import mlflow

    _use(tracking_uri)
    return mlflow.MlflowClient(tracking_uri=tracking_uri)


def _prepare_mlflow() -> None:
    # MLflow reports its use over the network unless told not to: not with somebody else's photographs.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # for files of a few kilobytes
    import mlflow.sklearn  # noqa: F401 - here, where others wait for it, and not at its first use

    # That tables are made, and that a scaler does not predict, is no news; MLflow's errors are exceptions.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _use(tracking_uri: str) -> None:
    """Make a store the one that MLflow's own functions use, which is one for the whole process."""
    import mlflow

    outside = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(tracking_uri)
    # It also sets the variable, which would name this store to whoever reads settings next.
    if outside is None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    else:
        os.environ["MLFLOW_TRACKING_URI"] = outside


def _log_model(name: str, fit: Fit) -> str:
    import mlflow
    import numpy
    import sklearn
    import skops
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    columns, outputs = fit.shape
    logged = mlflow.sklearn.log_model(
        fit.model,
        name=name,
        serialization_format="skops",
        signature=ModelSignature(
            Schema([TensorSpec(numpy.dtype("float64"), (-1, columns))]),
            Schema([TensorSpec(numpy.dtype("float64"), (-1, outputs))]),
        ),
        # Named here, because letting MLflow infer them takes six seconds a model.
        pip_requirements=[f"{library.__name__}=={library.__version__}" for library in (numpy, skops)]
        + [f"scikit-learn=={sklearn.__version__}"],
    )
    return str(logged.model_uri)


def _dataset(name: str, folder: str, version: int) -> Any:
    from mlflow.data.delta_dataset_source import DeltaDatasetSource
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import DatasetInput, InputTag

    source = DeltaDatasetSource(path=folder, delta_table_version=version)
    entity = MetaDataset(source, name=name, digest=str(version))._to_mlflow_entity()
    return DatasetInput(entity, [InputTag("mlflow.data.context", "training")])


def _sha256(folder: Path) -> str:
    """The SHA-256 over all files of a model's folder, names and contents, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "registered_model_meta"):
        name = str(path.relative_to(folder)).encode()
        content = path.read_bytes()
        digest.update(b"%d %s %d " % (len(name), name, len(content)) + content)
    return digest.hexdigest()
