"""The models of a lake in MLflow, where people look at them: runs, curves, registered versions, aliases.

The lake's tables are what counts (`lakehouse.models.registry`), and MLflow repeats them: whatever is lost here can be
told again from there. One word goes the other way: a person who moves the alias `champion` in MLflow's UI.

MLflow's import takes four seconds. What it shows of a lake in the lake's own database is kept beside that (`shown`):
as long as the database has not changed, asking takes no MLflow. Another tracking store than the lake's own is always
asked.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from lakehouse.background import Background
from lakehouse.errors import LakehouseError, MirrorError
from lakehouse.failpoint import crash_point
from lakehouse.failures import refusal, why
from lakehouse.guard import no_check
from lakehouse.models.addresses import artifacts_folder, move_artifacts
from lakehouse.models.database import upgrade
from lakehouse.models.fit import Fit
from lakehouse.models.records import Version
from lakehouse.models.registry import CHAMPION, PINNED, Registry
from lakehouse.models.shown import ABSENT, Shown, ShownModel, ShownVersion, fingerprint, read_shown, write_shown
from lakehouse.models.tracking import DATABASE, TrackingStore, open_store
from lakehouse.storage import write_file
from lakehouse.storage.uri import absolute_uri, on_disk
from lakehouse.tables.damage import first_line

if TYPE_CHECKING:
    from lakehouse.models.mlflow_records import MlflowRecords

Result = TypeVar("Result")

LAKE, VERSION, FIT = "fruits.lake", "fruits.version", "fruits.fit"
"""Tags of a version in MLflow: the lake's ID, the version's number in the lake, and the fit's ID."""
_MOVED_TO = f"fruits.{CHAMPION}"
"""The tag of a model that says to which of its versions we have moved the alias `champion` last."""


Describe = Callable[[Version, Path], Fit]
"""Makes what MLflow is told of a version, with figures in the folder that is given."""


@dataclass(frozen=True)
class Model:
    """A model as MLflow is to show it.

    Attributes:
        name: its name in MLflow.
        lake_id: of the lake.
        versions: the lake's, the oldest first.
        aliases: alias → the version that carries it, None where none does.
    """

    name: str
    lake_id: str
    versions: Sequence[Version]
    aliases: Mapping[str, Version | None]


class Mirror:
    """What one MLflow tracking store shows of one lake's models."""

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

    # ---- open -------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to open MLflow while other work goes on, for who is about to show a model."""
        _prepare_environment()
        with self._lock:
            if self._opening is None:
                self._opening = Background(self._open)

    def prepare(self, names: Sequence[str]) -> None:
        """Begin to open MLflow while other work goes on, if it takes MLflow to tell what is shown of these models."""
        if self._fresh(names) is None:
            self.open()

    @property
    def tracking_uri(self) -> str:
        """MLflow's name for the tracking store; of a lake on S3, for this process's copy."""
        return self._opened_store().uri

    @property
    def artifacts(self) -> str | None:
        """The folder or URI for artifacts, None where a server decides."""
        return self._opened_store().artifacts

    def model_of(self, registry: Registry, name: str) -> Model | None:
        """What MLflow is to show of a model; None where the lake has no version of it.

        In a store that several lakes may share, its name there is one of this lake's alone.
        """
        lake_id, versions = registry.lake_id, registry.versions(name)
        if lake_id is None or not versions:
            return None
        alone = name if self._tracking_uri is None else f"{name}-{lake_id[:8]}"
        aliases = {CHAMPION: registry.champion(name), PINNED: registry.pinned(name)}
        return Model(alone, lake_id, versions, aliases)

    # ---- ask --------------------------------------------------------------------------------------------------------

    def models(self, names: Sequence[str]) -> Mapping[str, ShownModel]:
        """What MLflow shows under these names of its own.

        Raises:
            MirrorError: MLflow cannot be asked.
        """
        return (self._fresh(names) or self._ask(names)).models

    def moved(self, model: Model) -> Version | None:
        """The version to which a person has moved the alias `champion`, None where nobody has.

        The alias is a person's where it is neither where we have put it last, nor where it belongs. One that is moved
        to what is no version of this lake is left alone.

        Raises:
            MirrorError: MLflow cannot be asked.
        """
        shown = self.models([model.name])[model.name]
        number = shown.aliases.get(CHAMPION)
        at = next((one for one in model.versions if _is_of(shown.version(number), one)), None)
        unmoved = at == model.aliases[CHAMPION] or str(number) == shown.tags.get(_MOVED_TO)
        return None if unmoved else at

    def run_ids(self, model: Model) -> dict[int, str]:
        """By number of a version, the run that MLflow shows it with; those that it does not show are left out.

        Raises:
            MirrorError: MLflow cannot be asked.
        """
        shown = self.models([model.name])[model.name]
        found = {one.number: _find(shown, one) for one in model.versions}
        return {number: version.run_id for number, version in found.items() if version is not None}

    def lacks(self, model: Model) -> list[str]:
        """What MLflow does not show as it should, in words; nothing where all is well.

        Raises:
            MirrorError: MLflow cannot be asked.
        """
        shown = self.models([model.name])[model.name]
        numbers = [str(one.number) for one in model.versions if _find(shown, one) is None]
        if numbers:
            return [f"{model.name} version {', '.join(numbers)}"]
        return [f"{model.name}'s alias {alias}" for alias in _misplaced(shown, model)]

    # ---- show -------------------------------------------------------------------------------------------------------

    def show(self, model: Model, describe: Describe, *, again: bool = False) -> int:
        """Have MLflow show the versions that it was never told of, and the aliases.

        Args:
            model: what it is to show.
            describe: makes what MLflow is told of a version, with figures in the folder that is given.
            again: show also versions of which MLflow was told, and which somebody has deleted there since.

        Returns:
            How many versions it lacked.

        Raises:
            MirrorError: MLflow does not work.
            LeaseLostError: from the guard; nothing more was shown.
        """
        kept = self._fresh([model.name]) or self._ask([model.name])
        told, shown = kept.newest.get(model.name, 0), kept.models[model.name]
        missing = [one for one in model.versions if (again or one.number > told) and _find(shown, one) is None]
        for version in missing:
            self._register(model, version, describe)
        if missing:
            shown = self._call(lambda mlflow: mlflow.model(model.name))
        if self._move_aliases(shown, model) or missing:
            self._publish(model)
        return len(missing)

    def _register(self, model: Model, version: Version, describe: Describe) -> None:
        ours = {LAKE: model.lake_id, VERSION: str(version.number), FIT: version.fit}
        with self._temporary_folder() as folder:
            described = describe(version, folder)
            fit = replace(described, tags={**described.tags, **ours})
            logged = self._call(lambda mlflow: mlflow.log(model.name, fit))
        crash_point("mirror.logged")
        self._guard()
        self._call(lambda mlflow: mlflow.register(logged))
        crash_point("mirror.registered")

    @contextmanager
    def _temporary_folder(self) -> Iterator[Path]:
        """A folder for figures; MLflow cannot show a version where there is no place for them."""
        try:
            with TemporaryDirectory() as folder:
                yield Path(folder)
        except OSError as error:
            where = f"the temporary folder {gettempdir()} (TMPDIR names another)"
            raise MirrorError(f"MLflow cannot be shown a version: {where} cannot be used: {why(error)}") from error

    def _move_aliases(self, shown: ShownModel, model: Model) -> bool:
        """Move the aliases that stand elsewhere; returns whether any did."""
        if not shown.versions:
            return False
        misplaced = _misplaced(shown, model)
        for alias, number in misplaced.items():
            self._guard()
            self._call(partial(_set_alias, name=model.name, alias=alias, number=number))
        champion = _number(shown, model.aliases[CHAMPION])
        if champion is None or shown.tags.get(_MOVED_TO) == str(champion):
            return bool(misplaced)
        # After the alias: who dies in between has moved it to where the lake is, which is no person's wish.
        self._guard()
        self._call(lambda mlflow: mlflow.set_tag(model.name, _MOVED_TO, str(champion)))
        return True

    def _publish(self, model: Model) -> None:
        """Let others see what was shown, and keep it. Who dies in between leaves a stale file."""
        self._opened_store().publish()
        crash_point("mirror.published")
        self._ask([model.name], newest={model.name: max(one.number for one in model.versions)})

    # ---- what is shown ----------------------------------------------------------------------------------------------

    def _fresh(self, names: Sequence[str]) -> Shown | None:
        """What is kept, None where it takes MLflow to tell."""
        if self._tracking_uri is not None:
            return None
        now = self._fingerprint()
        kept = read_shown(self._folder) or Shown()
        if now == ABSENT:
            return Shown(ABSENT, self._folder, dict.fromkeys(names, ShownModel()), kept.newest)
        same = now is not None and (kept.database, kept.folder) == (now, self._folder)
        return kept if same and {*names} <= {*kept.models} else None

    def _ask(self, names: Sequence[str], newest: Mapping[str, int] | None = None) -> Shown:
        """What MLflow shows; kept by a writer, unless the database changed meanwhile."""
        self._call(lambda _: None)  # it may have to be upgraded first
        self._put_addresses_right()
        before, kept = self._fingerprint(), read_shown(self._folder) or Shown()
        models = {name: self._call(partial(_model, name=name)) for name in dict.fromkeys([*kept.models, *names])}
        shown = Shown(before, self._folder, models, {**kept.newest, **(newest or {})})
        # Who only reads changes nothing in a lake.
        if self._guard is not no_check and before == self._fingerprint():
            self._guard()
            write_shown(self._folder, shown)
        return shown

    def _put_addresses_right(self) -> None:
        """Of a lake that has been moved or copied, before anything is read or written by them; by a writer alone."""
        if self._tracking_uri is not None or self._guard is no_check:
            return
        store = self._opened_store()
        assert store.database is not None
        assert store.artifacts is not None
        try:
            there = artifacts_folder(store.database, self._experiment)
            if there is not None and there != store.artifacts:
                self._guard()
                move_artifacts(store.database, there, store.artifacts)
                store.publish()
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _fingerprint(self) -> str | None:
        """The state of the lake's database; of one on S3 as it was first seen here, fetched or put back."""
        if self._tracking_uri is not None:
            return None
        if on_disk(self._folder):
            return fingerprint(f"{self._folder}/{DATABASE}")
        if self._store is not None:
            return self._store.etag or ABSENT
        self._seen = self._seen or fingerprint(f"{self._folder}/{DATABASE}")
        return self._seen

    # ---- MLflow -----------------------------------------------------------------------------------------------------

    def _call(self, ask: "Callable[[MlflowRecords], Result]") -> Result:
        """What MLflow answers, whatever it raises as a MirrorError; opens it first."""
        self.open()
        assert self._opening is not None
        try:
            return ask(self._opening.get())
        except LakehouseError:
            raise
        except Exception as error:  # what its stores, clients and their libraries raise has nothing in common
            raise self._error(error) from error

    def _error(self, error: Exception) -> MirrorError:
        where = self._tracking_uri or f"{self._folder}/{DATABASE}"
        said = refusal(error) or f"{type(error).__name__}: {first_line(error)}."
        return MirrorError(f"MLflow's store {where} does not work: {said}")

    def _open(self) -> "MlflowRecords":
        from lakehouse.models import mlflow_records

        store = self._opened_store()
        if store.database is not None and (revision := mlflow_records.older_revision(store.database)):
            self._upgrade(store, store.database, revision)
        return mlflow_records.MlflowRecords(store, self._experiment)

    def _upgrade(self, store: TrackingStore, database: Path, revision: str) -> None:
        """Bring the database to the installed MLflow's schema, and keep a copy of it as it was; by a writer alone."""
        from lakehouse.models.mlflow_records import upgrade_database

        if self._guard is no_check:
            raise MirrorError(
                f"MLflow's database {self._folder}/{DATABASE} is of an older MLflow. `fruits doctor --repair` upgrades "
                "it, and keeps a copy."
            )
        self._guard()
        write_file(f"{self._folder}/{DATABASE}.{revision}", database.read_bytes())
        upgrade(database, upgrade_database)
        self._guard()
        store.publish()

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
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # seven take four minutes, for what is repeated later


def _set_alias(mlflow: "MlflowRecords", name: str, alias: str, number: int | None) -> None:
    mlflow.set_alias(name, alias, number)


def _model(mlflow: "MlflowRecords", name: str) -> ShownModel:
    return mlflow.model(name)


def _is_of(shown: ShownVersion | None, version: Version) -> bool:
    """Whether it is this version of the lake's that MLflow shows."""
    if shown is None:
        return False
    # Release 0.1.0 wrote no such tags; it was MLflow that numbered its versions.
    return shown.tags[FIT] == version.fit if FIT in shown.tags else shown.number == version.number


def _find(shown: ShownModel, version: Version) -> ShownVersion | None:
    """What MLflow shows of a version of the lake's, None where it shows nothing."""
    return next((one for one in reversed(shown.versions) if _is_of(one, version)), None)


def _number(shown: ShownModel, version: Version | None) -> int | None:
    """MLflow's own number of a version of the lake's."""
    found = _find(shown, version) if version is not None else None
    return None if found is None else found.number


def _misplaced(shown: ShownModel, model: Model) -> dict[str, int | None]:
    """The aliases that stand elsewhere than they should, with MLflow's number of where they belong."""
    wanted = {alias: _number(shown, version) for alias, version in model.aliases.items()}
    return {alias: number for alias, number in wanted.items() if number != shown.aliases.get(alias)}
