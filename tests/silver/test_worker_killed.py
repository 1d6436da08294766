"""A Python worker that dies in mid-task costs its task's time and nothing else; one that always fails says why."""

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import bronze.job
import silver.job
from fruits.failure import explain
from lakehouse import delta
from lakehouse.workspace import Workspace
from silver.featurize import Encoder, Predict
from silver.fitted import read_moments
from silver.tables import FEATURES
from tests.conftest import add_photographs, load_stub, photograph

PHOTOGRAPHS = 20 + 2 * (os.cpu_count() or 1)  # more than there are tasks: one has two
ATTEMPTS = 4


def log(calls: Path) -> None:
    """Note a call of an encoder, with the worker that made it."""
    with calls.open("a") as lines:
        lines.write(f"{os.getpid()}\n")


def dying_once(calls: Path, after: int) -> Encoder:
    """The stub encoder, whose first worker that has computed that many kills itself."""
    flag = calls.with_suffix(".died")

    def load() -> Predict:
        predict, done = load_stub(), iter(range(after))

        def computed(content: memoryview) -> NDArray[np.float32]:
            if next(done, None) is None:
                with contextlib.suppress(FileExistsError):
                    flag.touch(exist_ok=False)
                    os.kill(os.getpid(), signal.SIGKILL)
            log(calls)
            return predict(content)

        return computed

    return Encoder(f"stub-{calls}", 8, load)


def failing(calls: Path, how: str) -> Encoder:
    """An encoder that raises an error, or kills its worker, at each photograph."""

    def load() -> Predict:
        def computed(_: memoryview) -> NDArray[np.float32]:
            log(calls)
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ValueError("the features are\nnot to be had")

        return computed

    return Encoder(f"stub-{calls}", 8, load)


def features(workspace: Workspace) -> dict[str, list[float]]:
    """The features by path; each photograph has one row."""
    rows = delta.existing(workspace.lake, FEATURES).to_pyarrow_table().to_pylist()
    found = {row["path"]: row["features"] for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.fixture
def filled(workspace: Workspace, photographs: Path) -> Workspace:
    """A workspace with photographs in bronze."""
    add_photographs(photographs, "Apple", range(PHOTOGRAPHS))
    bronze.job.run(workspace)
    return workspace


def test_killed_worker_costs_its_task_and_nothing_else(filled: Workspace, tmp_path: Path) -> None:
    """Its photographs are computed again by another, and the tables hold what an undisturbed run gives."""
    summary = silver.job.run(filled, dying_once(tmp_path / "calls", after=1))
    assert (tmp_path / "calls.died").exists()
    calls = (tmp_path / "calls").read_text().split()
    assert len(calls) == PHOTOGRAPHS + 1
    assert len(set(calls)) >= 2
    assert (summary["featurized"], summary["scaled"]) == (PHOTOGRAPHS, PHOTOGRAPHS)

    predict = load_stub()
    expected = {
        f"{filled.settings.source}/Apple/{seed}.png": predict(memoryview(photograph(seed)))
        for seed in range(PHOTOGRAPHS)
    }
    found = features(filled)
    assert found.keys() == expected.keys()
    np.testing.assert_array_equal([found[path] for path in found], [expected[path] for path in found])
    covered = read_moments(filled.lake)
    assert covered is not None
    assert covered.moments.count == PHOTOGRAPHS


def failure(workspace: Workspace, encoder: Encoder) -> tuple[Exception, str]:
    """The error that ends the job, and what the command says of it, but for where it keeps all of it."""
    begun = time.perf_counter()
    with pytest.raises(delta.READ_ERRORS) as caught:
        silver.job.run(workspace, encoder)
    assert time.perf_counter() - begun < 30
    said = explain(caught.value)
    assert said is not None
    said, _, report = said.partition(" All that Spark said: ")
    kept = Path(report)
    assert type(caught.value).__name__ in kept.read_text()
    kept.unlink()
    return caught.value, said


@pytest.mark.parametrize("how", ["raises", "killed"])
def test_encoder_that_always_fails_ends_the_job_soon_and_says_why(filled: Workspace, tmp_path: Path, how: str) -> None:
    """A few attempts, two lines with the cause, no half-written table; and the next run goes on from there."""
    _, said = failure(filled, failing(tmp_path / "calls", how))
    first, second = said.split("\n")
    if how == "raises":
        assert first.startswith("A task failed: ValueError: the features are not to be had The photograph is file:///")
    else:
        assert first.startswith("A Python worker was killed or crashed, each time it was tried")
    assert second == "What has been written is whole, and the next run goes on from there."
    assert ATTEMPTS <= len((tmp_path / "calls").read_text().split()) <= ATTEMPTS * PHOTOGRAPHS
    assert features(filled) == {}
    assert silver.job.run(filled, Encoder(f"stub-{tmp_path}", 8, load_stub))["featurized"] == PHOTOGRAPHS


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("x"), OSError(28, "No space left on device")])
def test_other_errors_are_not_explained_away(error: Exception) -> None:
    """A traceback is what a bug should leave."""
    assert explain(error) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "An error occurred while calling o1.save.\n: org.apache.spark.SparkException: Job aborted.\n\tat a.B(C:1)\n"
            "Caused by: java.io.IOException: No space left on device\n\tat a.B.c(D:2)\n",
            "Spark failed: java.io.IOException: No space left on device",
        ),
        (
            "An error occurred while calling o1.save.\n: org.apache.spark.SparkException: Job aborted.\n"
            "Caused by: java.lang.OutOfMemoryError: Java heap space\n",
            "Java has run out of memory. Raise `spark.driver.memory`",
        ),
    ],
    ids=["disk", "heap"],
)
def test_cause_of_an_error_of_javas_is_named(monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    """The innermost one, and what to do where that is known."""

    class JavaError(Exception):
        pass

    monkeypatch.setattr("fruits.failure.READ_ERRORS", (JavaError,))
    found: Any = explain(JavaError(text))
    assert found.startswith(said)
    Path(found.rpartition(" ")[2]).unlink()
