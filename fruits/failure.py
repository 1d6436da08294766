"""What a user reads where Spark has failed: the cause, and what to do, in place of two hundred lines of Java."""

import tempfile
import traceback

from pyspark.errors import PySparkException

from lakehouse.delta import READ_ERRORS

_GOES_ON = "What has been written is whole, and the next run goes on from there."
_CRASHED = "Python worker exited unexpectedly"
_NO_HEAP = "java.lang.OutOfMemoryError"


def explain(error: Exception) -> str | None:
    """A sentence or two on an error of Spark's, with the file that holds all of it; None for any other error."""
    if not isinstance(error, READ_ERRORS):
        return None
    with tempfile.NamedTemporaryFile("w", prefix="fruits-", suffix=".log", delete=False, encoding="utf-8") as report:
        report.writelines(traceback.format_exception(error))
    return f"{_cause(error)}\n{_GOES_ON} All that Spark said: {report.name}"


def _cause(error: Exception) -> str:
    text = str(error)
    if _CRASHED in text:
        return (
            "A Python worker was killed or crashed, each time it was tried: most likely there was not enough memory. "
            'Let fewer tasks run at once (`spark.master: "local[1,4]"`), or lower `max_pixels`.'
        )
    if _NO_HEAP in text:
        return "Java has run out of memory. Raise `spark.driver.memory` in the settings, under `spark`."
    if "Traceback (most recent call last):" in text:
        return f"A task failed: {_raised(text)}"
    return f"Spark failed: {_root(text, isinstance(error, PySparkException))}"


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
