"""A Spark executor that dies while features are computed: the job finishes, and nothing is lost or there twice."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fruits.operations.run import LAYERS, Summary, run_pipeline
from fruits.settings import load_settings
from lakehouse.engine.spark.java import find_java
from lakehouse.workspace import Workspace
from tests.comparing import assert_same, rows_of_layers
from tests.conftest import NO_JAVA, add_photographs
from tests.processes import command, descendants
from tests.silver import executor_killed

pytestmark = pytest.mark.slow
PHOTOGRAPHS = 60
EXECUTOR = "CoarseGrainedExecutorBackend"


def tables(lake: Path) -> Mapping[str, Any]:
    """The rows of the layers' tables."""
    return rows_of_layers(Workspace(load_settings(lake=str(lake))).lake)


class Driver:
    """The driver of a cluster, a process of its own."""

    def __init__(self, folder: Path, photographs: Path, lake: Path) -> None:
        self._log, self._out, self._err = folder / "calls", folder / "out", folder / "err"
        command = [sys.executable, executor_killed.__file__, photographs, lake, self._log, folder / "home"]
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen([*map(str, command)], stdout=out, stderr=err, cwd=folder)

    @property
    def calls(self) -> int:
        """How many photographs have been computed so far, some of them twice."""
        return len(self._log.read_text().split()) if self._log.exists() else 0

    @property
    def executors(self) -> list[int]:
        """The executors, which are Java processes below the driver."""
        below = [(pid, command(pid)) for pid in descendants(self.process.pid)]
        return [pid for pid, line in below if EXECUTOR in line and line.partition(" ")[0].endswith("java")]

    def wait_for(self, photographs: int) -> None:
        """Wait until so many photographs have been computed."""
        end = time.monotonic() + 300
        while self.calls < photographs:
            assert self.process.poll() is None, self._err.read_text()[-3000:]
            assert time.monotonic() < end
            time.sleep(0.05)

    def summary(self) -> Summary:
        """Wait for the end; returns what the run said."""
        assert self.process.wait(300) == 0, self._err.read_text()[-3000:]
        found: Summary = json.loads(self._out.read_text())
        return found


@pytest.fixture
def driver(tmp_path: Path, photographs: Path, disturbed: Path) -> Iterator[Driver]:
    """A driver that has begun to take photographs through all layers."""
    if not find_java().works:
        pytest.skip(NO_JAVA)
    add_photographs(photographs, "Apple", range(PHOTOGRAPHS // 2))
    add_photographs(photographs, "Kiwi", range(PHOTOGRAPHS // 2, PHOTOGRAPHS))
    driver = Driver(tmp_path, photographs, disturbed)
    yield driver
    driver.process.kill()  # nothing, where it has ended; its Java process ends with it


@pytest.fixture
def disturbed(tmp_path: Path, tracking_store: Path) -> Path:
    """The driver's lake, with an empty tracking store."""
    (tmp_path / "disturbed" / "mlflow").mkdir(parents=True)
    shutil.copy(tracking_store, tmp_path / "disturbed" / "mlflow")
    return tmp_path / "disturbed"


def test_killed_executor_costs_its_tasks_and_nothing_else(
    driver: Driver, disturbed: Path, workspace: Workspace, tmp_path: Path
) -> None:
    """Its tasks and its cached rows are made anew by others; all tables are those of a run of the local engine."""
    driver.wait_for(PHOTOGRAPHS // 6)
    executor, _ = driver.executors
    os.kill(executor, signal.SIGKILL)
    assert driver.calls < PHOTOGRAPHS

    run_pipeline(workspace, LAYERS, lambda: executor_killed.encoder(str(tmp_path / "undisturbed"), 0))
    undisturbed = tables(Path(workspace.settings.lake.removeprefix("file://")))
    assert len(undisturbed["gold.projections"]) == PHOTOGRAPHS

    summary = driver.summary()
    counts = (summary["bronze"]["ingested"], summary["silver"]["featurized"], summary["gold"]["projected"])
    assert counts == (PHOTOGRAPHS,) * 3
    assert driver.calls > PHOTOGRAPHS
    assert_same(tables(disturbed), undisturbed)
