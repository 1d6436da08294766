"""What a job works with: settings, the lake, the engine, the model registry, and somebody to tell."""

import threading
from collections.abc import Callable
from functools import cached_property
from typing import Generic, TypeVar

from lakehouse.delta import Lake, unguarded
from lakehouse.engine import open_engine
from lakehouse.engine.port import Engine
from lakehouse.progress import Progress, Silence
from lakehouse.registry import Registry
from lakehouse.settings import Settings

T = TypeVar("T")


class Background(Generic[T]):
    """A value that is made while other work goes on; its error, if any, is raised to whoever asks for it."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def get(self) -> T:
        """Wait for the value."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._value

    def _run(self) -> None:
        try:
            self._value = self._make()
        except BaseException as error:  # noqa: BLE001 - handed to the asker, who raises it
            self._error = error


class Workspace:
    """One run's view of the platform; what takes long to open is opened when it is first asked for."""

    def __init__(
        self, settings: Settings, progress: Progress | None = None, guard: Callable[[], None] = unguarded
    ) -> None:
        """Take the settings; opens nothing yet. `guard` is called before each commit, and may forbid it."""
        self.settings = settings
        self.progress = progress or Silence()
        self.lake = Lake(settings.lake, guard)

    @cached_property
    def engine(self) -> Engine:
        """What computes rows and commits them; it starts nothing before it is used."""
        return open_engine(self.settings, self.lake, self.progress)

    def cancel(self) -> None:
        """End what is being computed; whoever waits for it gets an error."""
        if "engine" in self.__dict__:
            self.engine.cancel()

    def close(self) -> None:
        """End the processes that were started."""
        if "engine" in self.__dict__:
            self.engine.close()

    @property
    def registry(self) -> Registry:
        """The model registry, opened by the first call."""
        return self._registry.get()

    @cached_property
    def _registry(self) -> Background[Registry]:
        settings, folder = self.settings, self.lake.uri_of("mlflow")
        return Background(lambda: Registry(settings.tracking_uri, settings.experiment, folder, self.lake.guard))

    def open_registry(self) -> None:
        """Begin to open the registry while other work goes on: importing MLflow takes seconds."""
        self._registry  # noqa: B018 - the first look starts it
