"""How long work says how far it is: what a job tells, whoever shows it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from pyspark.sql import SparkSession


class Progress(Protocol):
    """Shows stages of work."""

    def stage(self, name: str, total: int) -> Callable[[int], None]:
        """Begin to show a stage of `total` images; the returned function is told how many are done so far."""

    def say(self, message: str) -> None:
        """Show one line that should be read."""


class Silence:
    """Shows nothing."""

    def stage(self, name: str, total: int) -> Callable[[int], None]:  # noqa: ARG002 - the protocol's
        """Begin nothing."""
        return lambda done: None  # noqa: ARG005 - the protocol's

    def say(self, message: str) -> None:
        """Say nothing."""


@contextmanager
def counted(spark: SparkSession, progress: Progress, name: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a Spark job's progress: yields the function by which tasks count their images.

    For the eye only: a task that runs twice counts twice.
    """
    done = spark.sparkContext.accumulator(0)
    show = progress.stage(name, total)
    over = threading.Event()

    def follow() -> None:
        while not over.wait(0.2):
            show(min(done.value, total))

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield done.add
        show(total)
    finally:
        over.set()
        thread.join()
