"""The models as MLflow records them. The only importer of MLflow, which takes seconds: so it is imported when needed.

Everything goes through a client of its own, for one tracking store. MLflow's own functions would need the store to be
set for the whole process, in an environment variable too, under the feet of other threads.
"""

import logging
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import mlflow.sklearn
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from lakehouse.errors import MirrorError
from lakehouse.models.database import sqlite_uri
from lakehouse.models.fit import Fit
from lakehouse.models.shown import ShownModel, ShownVersion
from lakehouse.models.tracking import TrackingStore

_METRICS_A_CALL = 1000  # MLflow's limit for one log_batch

# That tables are made, and that a scaler does not predict, is no news; MLflow's errors are exceptions.
for _name in ("mlflow", "alembic"):
    logging.getLogger(_name).setLevel(logging.ERROR)
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it writes SQLite's trace before it raises it


@dataclass(frozen=True)
class Logged:
    """A model that is logged, and not registered yet."""

    name: str
    run_id: str
    model_id: str
    location: str
    tags: Mapping[str, str]


class MlflowRecords:
    """The models of one tracking store; nothing is kept here, each answer is MLflow's of now."""

    def __init__(self, store: TrackingStore, experiment: str) -> None:
        """Open the store; of a lake's own, MLflow makes the tables where there are none."""
        self._store, self._experiment = store, experiment
        self._client = mlflow.MlflowClient(tracking_uri=store.uri, registry_uri=store.uri)

    # ---- read -------------------------------------------------------------------------------------------------------

    def model(self, name: str) -> ShownModel:
        """One model; without versions where it is not registered."""
        try:
            found = self._client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return ShownModel()
        aliases = {str(alias): int(number) for alias, number in found.aliases.items()}
        return ShownModel(self._versions(name), aliases, dict(found.tags))

    # ---- write ------------------------------------------------------------------------------------------------------

    def log(self, name: str, fit: Fit) -> Logged:
        """Log a fit in a run of its own: the model, and all that it is compared by."""
        experiment = self._experiment_id()
        with self._run(experiment, f"{name} {fit.params['images']} images") as run_id:
            params = {key: str(value) for key, value in fit.params.items()}
            made = self._client.create_logged_model(experiment, name, run_id, params=params)
            model_id = str(made.model_id)
            self._log_run(run_id, model_id, fit)
            with tempfile.TemporaryDirectory() as work:
                folder = Path(work, "model")
                _save(fit, folder, run_id, model_id)
                self._client.log_model_artifacts(model_id, str(folder))
            self._client.finalize_logged_model(model_id, "READY")
        return Logged(name, run_id, model_id, str(made.artifact_location), fit.tags)

    def register(self, logged: Logged) -> None:
        """Make a logged model the next version of its name, with all its tags in one call."""
        if not self._client.search_registered_models(f"name = '{logged.name}'"):
            self._client.create_registered_model(logged.name)
        # Named by its location: `models:/<id>` MLflow would look up in the store that is set for the whole process.
        self._client.create_model_version(
            logged.name, logged.location, logged.run_id, tags=dict(logged.tags), model_id=logged.model_id
        )

    def set_alias(self, name: str, alias: str, number: int | None) -> None:
        """Move an alias to a version, by MLflow's number; take it away where that is None."""
        if number is None:
            self._client.delete_registered_model_alias(name, alias)
        else:
            self._client.set_registered_model_alias(name, alias, str(number))

    def set_tag(self, name: str, key: str, value: str) -> None:
        """Set a tag of a model."""
        self._client.set_registered_model_tag(name, key, value)

    def _versions(self, name: str) -> list[ShownVersion]:
        found = _all(self._client.search_model_versions, f"name = '{name}'")
        versions = [ShownVersion(int(one.version), str(one.run_id), dict(one.tags)) for one in found]
        return sorted(versions, key=lambda version: version.number)

    def _experiment_id(self) -> str:
        found = self._client.get_experiment_by_name(self._experiment)
        if found is None:
            return str(self._client.create_experiment(self._experiment, artifact_location=self._store.artifacts))
        if found.lifecycle_stage == "deleted":  # its name stays taken, and nothing can be logged to it
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    @contextmanager
    def _run(self, experiment: str, name: str) -> Iterator[str]:
        from mlflow.tracking.context.registry import resolve_tags  # who runs what, as MLflow's own functions tell it

        run_id = str(self._client.create_run(experiment, tags=resolve_tags(), run_name=name).info.run_id)
        status = "FAILED"
        try:
            yield run_id
            status = "FINISHED"
        finally:
            self._client.set_terminated(run_id, status)

    def _log_run(self, run_id: str, model_id: str, fit: Fit) -> None:
        from mlflow.entities import LoggedModelOutput

        params = [Param(key, str(value)) for key, value in fit.params.items()]
        tags = [RunTag(key, value) for key, value in fit.tags.items()]
        metrics = [Metric(key, value, 0, 0, model_id=model_id, run_id=run_id) for key, value in fit.metrics.items()]
        metrics += [Metric(key, y, 0, step) for key, ys in fit.curve.items() for step, y in enumerate(ys, start=1)]
        self._client.log_outputs(run_id, [LoggedModelOutput(model_id, 0)])
        self._client.log_batch(run_id, metrics[:_METRICS_A_CALL], params, tags)
        for first in range(_METRICS_A_CALL, len(metrics), _METRICS_A_CALL):
            self._client.log_batch(run_id, metrics[first : first + _METRICS_A_CALL])
        for figure in fit.figures:
            self._client.log_artifact(run_id, str(figure), "figures")
        self._client.log_inputs(run_id, [_dataset(name, *table) for name, table in fit.inputs.items()])


def make_database(path: Path) -> None:
    """Make an empty database, a file that is not there yet; no connection to it is left."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    # The place of artifacts is MLflow's word for "a server's": it would make a local folder at once.
    SqlAlchemyStore(sqlite_uri(path), "mlflow-artifacts:/").engine.dispose()


def older_revision(path: Path) -> str | None:
    """The revision of a database's schema, if an older MLflow has made it; None if it is this MLflow's own.

    Raises:
        MirrorError: a newer MLflow has made it.
    """
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config

    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    revision = str(found[0]) if found else ""
    known = ScriptDirectory.from_config(_get_alembic_config(""))
    if revision in known.get_heads():
        return None
    if revision not in {one.revision for one in known.walk_revisions()}:
        raise MirrorError(
            f"MLflow's database {path} has the schema {revision!r}, which MLflow {mlflow.__version__} does not know: a "
            "newer MLflow has written it. It was not touched. Install that one."
        )
    return revision


def upgrade_database(path: Path) -> None:
    """Bring a database's schema to this MLflow's own, in many transactions: to be called on a copy."""
    from mlflow.store.db.utils import _upgrade_db, create_sqlalchemy_engine

    engine = create_sqlalchemy_engine(sqlite_uri(path))
    try:
        _upgrade_db(engine)
    finally:
        engine.dispose()


def _all(search: Any, *arguments: str) -> Iterator[Any]:
    """What a search finds, page by page."""
    page = search(*arguments)
    yield from page
    while page.token:
        page = search(*arguments, page_token=page.token)
        yield from page


def _save(fit: Fit, folder: Path, run_id: str, model_id: str) -> None:
    """Write the artifact: the model as MLflow loads it."""
    import numpy
    import sklearn
    import skops
    from mlflow.models import Model as Description
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    columns, outputs = fit.shape
    mlflow.sklearn.save_model(
        fit.model,
        str(folder),
        mlflow_model=Description(run_id=run_id, model_uuid=model_id, model_id=model_id),
        serialization_format="skops",
        signature=ModelSignature(
            Schema([TensorSpec(numpy.dtype("float64"), (-1, columns))]),
            Schema([TensorSpec(numpy.dtype("float64"), (-1, outputs))]),
        ),
        # Named here, because letting MLflow infer them takes six seconds a model.
        pip_requirements=[f"{library.__name__}=={library.__version__}" for library in (numpy, skops)]
        + [f"scikit-learn=={sklearn.__version__}"],
    )


def _dataset(name: str, folder: str, version: int) -> Any:
    from mlflow.data.delta_dataset_source import DeltaDatasetSource
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import DatasetInput, InputTag

    source = DeltaDatasetSource(path=folder, delta_table_version=version)
    entity = MetaDataset(source, name=name, digest=str(version))._to_mlflow_entity()
    return DatasetInput(entity, [InputTag("mlflow.data.context", "training")])
