"""A run that is interrupted (Ctrl-C) or told to end (SIGTERM) while it infers: it ends whole, and the next goes on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bronze.tables import IMAGES
from fruits.catalog import ALL_TABLES
from fruits.query.history import list_runs
from gold.tables import PROJECTIONS
from lakehouse.engine.port import SHARE_ROWS
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from silver.tables import FEATURES, SCALED
from tests.conftest import add_photographs
from tests.fruits.cli.test_cli import call
from tests.processes import WORKER, command, local_workers

PHOTOGRAPHS = 4 * SHARE_ROWS
PATIENCE = 120.0  # seconds for what is waited for; a test that waits so long has failed


@dataclass
class Run:
    """A real `fruits run` of two worker processes, in the middle of its inference.

    Attributes:
        process: the command.
        workers: its worker processes.
        folder: where its photographs and its lake are.
    """

    process: subprocess.Popen[str]
    workers: list[int]
    folder: Path

    @property
    def config(self) -> Path:
        """Its settings."""
        return self.folder / "settings.yaml"

    @property
    def lake(self) -> Lake:
        """Its lake."""
        return Lake(str(self.folder / "lake"))

    def ended(self) -> tuple[int, str, str]:
        """Its exit status, and what it said."""
        said = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, *said


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """A run whose first share of features has come back from a worker, while others are being computed."""
    add_photographs(tmp_path / "photographs", "Apple", range(PHOTOGRAPHS))
    (tmp_path / "settings.yaml").write_text(
        f"images: {tmp_path}/photographs\nlake: {tmp_path}/lake\nweights: untrained\nprocesses: 2\nengine: local\n"
    )
    arguments = [sys.executable, "-m", "fruits", "run", "--config", str(tmp_path / "settings.yaml")]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0)
    try:
        features = tmp_path / "lake" / "silver" / "features"
        wait_for(lambda: [*features.glob("*.parquet")] or process.poll() is not None)
        yield Run(process, local_workers(process.pid), tmp_path)
    finally:
        process.kill()
        process.communicate()


def wait_for(happens: Any) -> None:
    """Wait until something happens."""
    end = time.monotonic() + PATIENCE
    while not happens():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


def committed(lake: Lake) -> set[Path]:
    """The data files of all tables, each of which can be read."""
    found = set()
    for table in ALL_TABLES:
        if delta.open_table(lake, table) is not None:
            delta.existing(lake, table).to_pyarrow_table()
            found |= {Path(name) for name in delta.data_files(lake, table)}
    return found


def statuses(lake: Lake) -> list[str]:
    """How the history says that the runs ended, the newest first."""
    return [row["status"] for row in list_runs(lake)]


def assert_whole(run: Run) -> None:
    """Bronze is committed, silver is not, and no worker is left."""
    wait_for(lambda: not [pid for pid in run.workers if WORKER in command(pid)])
    committed(run.lake)
    assert delta.count(run.lake, IMAGES) == PHOTOGRAPHS
    assert delta.count(run.lake, FEATURES) == 0


def assert_next_run_goes_on(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """It finds bronze done, does the rest, and nothing is left to mend."""
    assert call("run", "--config", run.config) == 0
    for table in (IMAGES, FEATURES, SCALED, PROJECTIONS):
        assert delta.count(run.lake, table) == PHOTOGRAPHS, table.name
    assert delta.maximum(run.lake, IMAGES, "batch") == 1
    assert call("doctor", "--config", run.config) == 0, capsys.readouterr().out


def test_interrupted_run_ends_quietly_and_whole(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 130 and not a word; no worker and no file is left that is no part of a table.

    Ctrl-C at a terminal reaches all processes of the command's group.
    """
    assert len(run.workers) == 2
    assert statuses(run.lake) == ["running"]
    os.killpg(run.process.pid, signal.SIGINT)
    assert run.ended() == (130, "", "")
    assert_whole(run)
    assert {*(run.folder / "lake").rglob("*.parquet")} == committed(run.lake)
    assert statuses(run.lake) == ["interrupted"]
    assert_next_run_goes_on(run, capsys)
    assert statuses(run.lake) == ["done", "interrupted"]


def test_run_that_is_told_to_end_leaves_no_worker(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """SIGTERM, as from an operating system that shuts down: nothing half is committed, and the lease is free."""
    assert len(run.workers) == 2
    run.process.terminate()
    status, out, said = run.ended()
    assert (status, out) == (-signal.SIGTERM, "")
    assert "Traceback" not in said
    assert_whole(run)
    assert statuses(run.lake) == ["died"]
    assert_next_run_goes_on(run, capsys)
    assert statuses(run.lake) == ["done", "killed"]
