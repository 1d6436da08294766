"""Rows of the Spark engine: a DataFrame with the stages whose progress is reported."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pyspark.accumulators import Accumulator
from pyspark.sql import DataFrame

from lakehouse.engine.port import Batches, BatchFunction, Given, Work
from lakehouse.progress import Progress


@dataclass(frozen=True)
class Stage:
    """A costly function among what rows are made by: what the progress shows of it."""

    work: Work
    done: Accumulator[int]


@dataclass(frozen=True)
class SparkRows:
    """A data frame, with the stages that computing it goes through.

    `stored` says that its partitions are pieces of files, which may hold photographs: these are not shuffled.
    """

    frame: DataFrame
    stages: tuple[Stage, ...] = ()
    stored: bool = False
    history: str | None = field(default=None, compare=False)

    @property
    def columns(self) -> list[str]:
        """See `Rows`."""
        return list(self.frame.columns)


class Counting:
    """A function that counts the rows it was given, for the eye only: a task that runs twice counts twice."""

    def __init__(self, function: BatchFunction, done: Accumulator[int]) -> None:
        """Take the function, and where the count goes."""
        self._function, self._done = function, done

    def __call__(self, batches: Given) -> Batches:
        """Call the function."""
        return self._function(self._counted(batches))

    def _counted(self, batches: Given) -> Batches:
        for batch in batches:
            yield batch
            self._done.add(batch.num_rows)


@contextmanager
def followed(progress: Progress, stage: Stage) -> Iterator[None]:
    """Show how far a stage is while the block runs."""
    work = stage.work
    show = progress.stage(work.stage, work.stage_rows)
    over = threading.Event()

    def follow() -> None:
        while not over.wait(0.2):
            show(work.shown(stage.done.value))

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
        show(work.shown(work.rows))
    finally:
        over.set()
        thread.join()
