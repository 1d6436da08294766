"""Execution context of a job: settings, lake, engine, models, progress."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TypeVar

from lakehouse.engine import open_engine
from lakehouse.engine.port import Engine
from lakehouse.guard import no_check
from lakehouse.models.mirror import Mirror
from lakehouse.models.registry import Registry
from lakehouse.progress import NullProgress, Progress
from lakehouse.settings import LakeSettings
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import Table

Section = TypeVar("Section", bound=LakeSettings)


class Workspace:
    """One run's view of the platform; what takes long to open is opened when it is first asked for.

    Attributes:
        summary: what each layer, or the command, has done so far; the history of runs keeps it, however the run ends.
        seconds: how long each layer took, or took until it failed, and, as `start`, the engine until it had started.
    """

    def __init__(
        self, settings: LakeSettings, progress: Progress | None = None, guard: Callable[[], None] = no_check
    ) -> None:
        """Take the settings; opens nothing yet. `guard` is called before each commit, and may forbid it."""
        self.settings = settings
        self.progress = progress or NullProgress()
        self.lake = Lake(settings.lake, guard)
        self.created: set[str] = set()
        """The tables that are known to be there as this release has them."""
        self.opened: dict[str, int] = {}
        """The version of each table, by its name, when the lake was opened for writing."""
        self.summary: dict[str, Mapping[str, object]] = {}
        self.seconds: dict[str, float] = {}

    @cached_property
    def engine(self) -> Engine:
        """What computes rows and commits them; it starts nothing before it is used."""
        return open_engine(self.settings, self.lake, self.progress)

    def create_tables(self, tables: Sequence[Table]) -> None:
        """Create the tables that do not exist; each is looked for once, however many jobs need it.

        Raises:
            ForeignTableError: one exists with another layout; nothing was changed.
        """
        delta.create(self.lake, [table for table in tables if table.name not in self.created])
        self.created |= {table.name for table in tables}

    def section(self, kind: type[Section]) -> Section:
        """The settings of a layer: those of a run hold every layer's."""
        assert isinstance(self.settings, kind), f"these settings are no {kind.__name__}"
        return self.settings

    def cancel(self) -> None:
        """End what is being computed; whoever waits for it gets an error."""
        if "engine" in self.__dict__:
            self.engine.cancel()

    @property
    def worker_peak(self) -> int | None:
        """Bytes in memory of the largest worker process so far; None where there was none, or nobody can say."""
        return self.engine.worker_peak if "engine" in self.__dict__ else None

    def close(self) -> None:
        """End the processes that were started."""
        if "engine" in self.__dict__:
            self.engine.close()

    @cached_property
    def registry(self) -> Registry:
        """The models of the lake; they are read when first asked for."""
        return Registry(self.lake)

    @cached_property
    def mirror(self) -> Mirror:
        """What MLflow shows of the models; it opens MLflow when something is shown, or has changed since."""
        settings = self.settings
        return Mirror(settings.tracking_uri, settings.experiment, self.lake.uri_of("mlflow"), self.lake.guard)
