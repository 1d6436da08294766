"""What is said where Spark fails: the cause, and what to do; and what a killed Python worker costs."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from fruits.settings import load_settings
from lakehouse.engine import open_engine
from lakehouse.engine.port import CancelledError, Engine, FunctionError, HistoryLostError, Rows, Work, WorkerKilledError
from lakehouse.engine.spark.failure import explained
from lakehouse.errors import LakehouseError
from lakehouse.progress import NullProgress
from lakehouse.tables.delta import Lake
from tests.conftest import SMALL_SESSION
from tests.lakehouse.engine.fruit import DOUBLED, Doubling, by_path, many

COUNT = 20
ATTEMPTS = 4
GOES_ON = "What has been written is whole, and the next run goes on from there."


class Reports:
    """The files that all of Spark's words are kept in; they are removed afterwards."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def split(self, error: Exception) -> tuple[str, str]:
        """The message without where the report is, and the report."""
        said, _, report = str(error).partition(" All that Spark said: ")
        assert Path(report).parent == self._folder
        return said, Path(report).read_text()


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reports:
    """A folder for reports."""
    folder = tmp_path / "reports"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return Reports(folder)


@pytest.fixture
def engine(tmp_path: Path, spark: SparkSession) -> Iterator[Engine]:
    """A Spark engine; it needs no table here."""
    settings = load_settings(lake=str(tmp_path / "lake"), engine="spark", spark_local=SMALL_SESSION)
    engine = open_engine(settings, Lake(settings.lake), NullProgress())
    yield engine
    engine.close()


def doubled(engine: Engine, function: Doubling) -> Rows:
    """What a function makes of some rows, in several tasks."""
    return engine.map(engine.of(many(COUNT)), function, DOUBLED, Work("fruit doubled", COUNT, 0))


# ---- Spark itself ---------------------------------------------------------------------------------------------------


def test_killed_worker_costs_its_task_and_nothing_else(engine: Engine, tmp_path: Path) -> None:
    """Its rows are computed again by another, and the result is that of an undisturbed run."""
    function = Doubling(tmp_path, dies_once="fruit 000007")
    found = by_path(engine.arrow(doubled(engine, function)))
    assert found == [{"path": f"fruit {n:06}", "twice": 2 * n} for n in range(COUNT)]
    assert (tmp_path / "died").exists()
    seen = Counter(function.seen())
    assert (len(seen), seen["fruit 000007"], max(seen.values())) == (COUNT, 2, 2)
    assert function.processes() >= 2


@pytest.mark.parametrize("how", ["raises", "dies"])
def test_function_that_always_fails_ends_the_work_after_a_few_attempts_and_says_why(
    engine: Engine, tmp_path: Path, reports: Reports, how: str
) -> None:
    """Two lines with the cause, and a file with all that Spark said."""
    path = "fruit 000007"
    function = Doubling(tmp_path, raises=path) if how == "raises" else Doubling(tmp_path, dies=(path,))
    kind = FunctionError if how == "raises" else WorkerKilledError
    with pytest.raises(kind) as caught:
        engine.arrow(doubled(engine, function))
    said, report = reports.split(caught.value)
    first, second = said.split("\n")
    if how == "raises":
        assert first == f"A task failed: ValueError: it is sour The fruit is {path}."
    else:
        assert first.startswith("A Python worker was killed or crashed, each time it was tried")
        assert "`spark_local: {spark.master:" in first
    assert second == GOES_ON
    assert "Traceback (most recent call last)" in report
    assert Counter(function.seen())[path] == ATTEMPTS


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("x"), OSError(28, "No space left on device")])
def test_other_errors_are_not_explained_away(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception
) -> None:
    """A traceback is what a bug should leave."""

    def fail(self: NullProgress, name: str, total: int) -> Callable[[int], None]:
        raise error

    monkeypatch.setattr(NullProgress, "stage", fail)
    with pytest.raises(type(error)) as caught:
        engine.arrow(doubled(engine, Doubling(tmp_path)))
    assert caught.value is error


# ---- its words ------------------------------------------------------------------------------------------------------

DISK = (
    "An error occurred while calling o1.save.\n: org.apache.spark.SparkException: Job aborted.\n\tat a.B(C:1)\n"
    "Caused by: java.io.IOException: No space left on device\n\tat a.B.c(D:2)\n"
)
HEAP = (
    "An error occurred while calling o1.save.\n: org.apache.spark.SparkException: Job aborted.\n"
    "Caused by: java.lang.OutOfMemoryError: Java heap space\n"
)
TASK = (
    "An error occurred while calling o1.save.\n: org.apache.spark.SparkException: Job aborted.\n"
    "Caused by: org.apache.spark.api.python.PythonException: Traceback (most recent call last):\n"
    '  File "a.py", line 1, in b\n    raise ValueError("x")\n'
    "ValueError: it is\nsour\nThe fruit is a.\n\n\tat a.B(C:1)\n"
)
KILLED = (
    "Job aborted due to stage failure: org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)"
)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (DISK, LakehouseError, "Spark failed: java.io.IOException: No space left on device"),
        (HEAP, LakehouseError, "Java has run out of memory. Raise `spark.driver.memory` in the settings"),
        (TASK, FunctionError, "A task failed: ValueError: it is sour The fruit is a."),
        (KILLED, WorkerKilledError, "A Python worker was killed or crashed, each time it was tried"),
        ("no cause at all", LakehouseError, "Spark failed: no cause at all"),
    ],
    ids=["disk", "heap", "task", "killed", "unknown"],
)
def test_cause_of_an_error_of_javas_is_named(
    reports: Reports, text: str, kind: type[LakehouseError], said: str
) -> None:
    """The innermost one, and what to do where that is known."""
    error = explained(Exception(text), None)
    assert type(error) is kind
    shown, report = reports.split(error)
    assert shown.startswith(said)
    assert shown.endswith(f"\n{GOES_ON}")
    assert text in report


@pytest.mark.parametrize(("text", "key"), [(HEAP, "spark.driver.memory"), (KILLED, "spark.executor.memoryOverhead")])
def test_advice_on_a_cluster_is_for_a_cluster(
    reports: Reports, monkeypatch: pytest.MonkeyPatch, text: str, key: str
) -> None:
    """`spark_local` counts for nothing there."""
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    shown, _ = reports.split(explained(Exception(text), None))
    assert key in shown
    assert "conf/emr.yaml" in shown
    assert "spark_local" not in shown


def test_error_that_pyspark_has_translated_is_said_in_its_words(reports: Reports) -> None:
    """Java's causes stand behind them."""
    error = AnalysisException("The column `x` is not there.\nCandidates: y.\nCaused by: java.lang.Error: deep inside")
    shown, _ = reports.split(explained(error, None))
    assert shown.startswith("Spark failed: ")
    assert re.search(r"The column `x` is not there\. Candidates: y\.", shown)
    assert "deep inside" not in shown


@pytest.mark.parametrize("text", ["Job 3 cancelled because SparkContext was shut down", "[SPARK_JOB_CANCELLED] Job 3"])
def test_cancelled_work_is_told_as_that(reports: Reports, text: str) -> None:
    """No failure, and no report."""
    error = explained(Exception(text), "garden.fruit")
    assert (type(error), str(error)) == (CancelledError, "The work was cancelled.")


@pytest.mark.parametrize("word", ["DELTA_FILE_NOT_FOUND", "VersionNotFoundException", "java.io.FileNotFoundException"])
def test_lost_history_is_told_as_that_where_history_was_read(reports: Reports, word: str) -> None:
    """Elsewhere the same words are a failure."""
    error = explained(Exception(f"{word}: gone\nand more"), "garden.fruit")
    assert type(error) is HistoryLostError
    assert str(error) == f"The change feed of garden.fruit cannot be read: {word}: gone"
    assert type(explained(Exception(f"{word}: gone"), None)) is LakehouseError
