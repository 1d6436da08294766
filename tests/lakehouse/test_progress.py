"""Progress: what tasks count reaches whoever shows it, and the work's own errors come through."""

import threading
from collections.abc import Callable

import pytest
from pyspark.sql import SparkSession

from lakehouse.progress import Silence, counted


class Notes:
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int]] = []
        self.shown: list[int] = []

    def stage(self, name: str, total: int) -> Callable[[int], None]:
        self.stages.append((name, total))
        return self.shown.append

    def say(self, message: str) -> None:
        raise AssertionError(message)


def test_what_tasks_count_is_shown_growing_to_the_total_and_never_beyond(spark: SparkSession) -> None:
    """A task that runs twice counts twice; the eye sees the total."""
    notes = Notes()
    with counted(spark, notes, "photographs read", 5) as count:
        spark.sparkContext.parallelize([4, 3], 2).foreach(count)
    assert notes.stages == [("photographs read", 5)]
    assert notes.shown == sorted(notes.shown)
    assert notes.shown[-1] == 5


def test_work_that_fails_shows_no_completion_and_leaves_no_thread(spark: SparkSession) -> None:
    """The error comes through as it is."""
    notes, before = Notes(), threading.active_count()
    with pytest.raises(RuntimeError, match="the disk is full"), counted(spark, notes, "photographs read", 5):
        raise RuntimeError("the disk is full")
    assert 5 not in notes.shown
    assert threading.active_count() == before


def test_silence_shows_nothing(spark: SparkSession, capfd: pytest.CaptureFixture[str]) -> None:
    """What is used where nobody looks."""
    with counted(spark, Silence(), "photographs read", 1) as count:
        count(1)
    Silence().say("hello")
    assert capfd.readouterr() == ("", "")
