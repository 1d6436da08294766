"""Translate Spark's errors into one sentence with the cause and what to do."""

import tempfile
import traceback

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from lakehouse.engine.port import CancelledError, FunctionError, HistoryLostError, WorkerKilledError
from lakehouse.engine.spark.environment import under_spark_submit
from lakehouse.errors import LakehouseError

SPARK_ERRORS = (PySparkException, Py4JJavaError)
"""Spark's own error, or what py4j could not translate."""

_GOES_ON = "What has been written is whole, and the next run goes on from there."
_FEWER_TASKS_HERE = 'Let fewer tasks run at once (`spark_local: {spark.master: "local[1,4]"}`)'
_FEWER_TASKS = (
    "Give Python more of an executor's memory (`spark: {spark.executor.memoryOverhead: …}` in `conf/emr.yaml`, or "
    "spark-submit's `--conf`)"
)
_MORE_HEAP_HERE = "Raise `spark.driver.memory` in the settings, under `spark_local`."
_MORE_HEAP = (
    "Raise `spark.driver.memory` or `spark.executor.memory` where the cluster is told: under `spark` in "
    "`conf/emr.yaml`, or by spark-submit's `--conf`."
)
_CRASHED = "Python worker exited unexpectedly"
_NO_HEAP = "java.lang.OutOfMemoryError"
_CANCELLED = ("cancelled because", "cancelled as part of", "SPARK_JOB_CANCELLED")
_LOST = (
    "CHANGE_DATA_FILE_NOT_FOUND",
    "DELTA_CHANGE_TABLE_FEED",
    "DELTA_FILE_NOT_FOUND",
    "DELTA_LOG_FILE_NOT_FOUND",
    "DELTA_MISSING_CHANGE_DATA",
    "DELTA_STATE_RECOVER_ERROR",
    "DELTA_TRUNCATED_TRANSACTION_LOG",
    "DELTA_VERSIONS_NOT_CONTIGUOUS",
    "FAILED_READ_FILE",
    "FileNotFoundException",
    "VersionNotFoundException",
    "initialSnapshotVersionNotFound",
)
"""By what Spark and Delta call them: the log, or a file, of a version is gone."""


def explained(error: Exception, history: str | None) -> LakehouseError:
    """The error to raise for one of Spark's; a file of our own has all that Spark said.

    Args:
        error: one of SPARK_ERRORS.
        history: the table whose change feed was read, if one was.
    """
    text = str(error)
    if any(word in text for word in _CANCELLED):
        return CancelledError("The work was cancelled.")
    if history is not None and any(word in text for word in _LOST):
        reason = text.strip().partition("\n")[0]
        return HistoryLostError(f"The change feed of {history} cannot be read: {reason}")
    with tempfile.NamedTemporaryFile("w", prefix="fruits-", suffix=".log", delete=False, encoding="utf-8") as report:
        report.writelines(traceback.format_exception(error))
    kind, cause = _cause(error)
    return kind(f"{cause}\n{_GOES_ON} All that Spark said: {report.name}")


def _cause(error: Exception) -> tuple[type[LakehouseError], str]:
    text = str(error)
    if _CRASHED in text:
        return WorkerKilledError, (
            "A Python worker was killed or crashed, each time it was tried: most likely there was not enough memory. "
            f"{_FEWER_TASKS if under_spark_submit() else _FEWER_TASKS_HERE}, or lower `max_pixels`."
        )
    if _NO_HEAP in text:
        return LakehouseError, f"Java has run out of memory. {_MORE_HEAP if under_spark_submit() else _MORE_HEAP_HERE}"
    if "Traceback (most recent call last):" in text:
        return FunctionError, f"A task failed: {_raised(text)}"
    return LakehouseError, f"Spark failed: {_root(text, isinstance(error, PySparkException))}"


def _raised(text: str) -> str:
    """What a Python traceback ends with: the exception, its message and its notes."""
    lines = text.rpartition("Traceback (most recent call last):")[2].split("\n\tat ")[0].strip("\n").split("\n")
    last = max((number for number, line in enumerate(lines) if line.startswith("  ")), default=-1)
    return " ".join(line.strip() for line in lines[last + 1 :])


def _root(text: str, translated: bool) -> str:
    """The innermost of Java's causes, or what PySpark made of them."""
    lines = text.strip().split("\n")
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    return causes[-1] if causes and not translated else " ".join(lines[:2])
