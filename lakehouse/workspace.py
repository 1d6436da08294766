"""What a job works with: settings, the lake, Spark, the model registry, and somebody to tell."""

import threading
import time
from collections.abc import Callable
from functools import cached_property
from typing import Generic, TypeVar

from pyspark.sql import SparkSession

from lakehouse.delta import Lake, unguarded
from lakehouse.progress import Progress, Silence
from lakehouse.registry import Registry
from lakehouse.session import spark_session
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
        self.spark_seconds = 0.0
        """What Spark's start took; 0 as long as nothing has needed it."""

    @cached_property
    def spark(self) -> SparkSession:
        """The Spark session, started by the first call: a run without news never needs it."""
        begun = time.perf_counter()
        session = spark_session(self.settings)
        self.spark_seconds = time.perf_counter() - begun
        return session

    def cancel(self) -> None:
        """End Spark's jobs, if any runs; whoever waits for them gets an error."""
        if "spark" in self.__dict__:
            self.spark.sparkContext.cancelAllJobs()

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
