"""A file that kills each process that reads it costs itself: it is held back, and all others are taken."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

import bronze.job
from bronze.ingest import CANDIDATE
from bronze.ingest import killing as rows_of_killing
from bronze.tables import IMAGES, QUARANTINE
from lakehouse.engine.local.engine import FEW
from lakehouse.storage.uri import local_path
from lakehouse.tables import delta
from lakehouse.tables.table import Table
from lakehouse.workspace import Workspace
from tests.bronze import killing
from tests.conftest import add_photographs, photograph

ROOT = Path(__file__).parents[2]


def names(workspace: Workspace, table: Table) -> list[str]:
    """The names of the files that a table holds."""
    rows = delta.existing(workspace.lake, table).to_pyarrow_table()
    return sorted(path.rpartition("/")[2] for path in rows["path"].to_pylist())


def versions(workspace: Workspace) -> list[int]:
    """The version of each bronze table."""
    return [delta.existing(workspace.lake, table).version() for table in (IMAGES, QUARANTINE)]


def add_killing(photographs: Path, others: int) -> Path:
    """Write so many photographs, a page, and among them the file that kills; returns its path."""
    add_photographs(photographs, "Apple", range(others))
    (photographs / "Apple" / "page.png").write_bytes(b"<html>")
    path = photographs / "Apple" / killing.KILLS
    path.write_bytes(photograph(1000))
    return path


def assert_alone_held_back(workspace: Workspace, others: int, summary: bronze.job.Summary) -> None:
    """The file is in quarantine for its reason, and every other one is where it belongs."""
    assert (summary["ingested"], summary["quarantined"], summary["skipped"], summary["unchanged"]) == (others, 2, 0, 0)
    assert names(workspace, IMAGES) == sorted(f"{seed}.png" for seed in range(others))
    held = delta.existing(workspace.lake, QUARANTINE).to_pyarrow_table().to_pylist()
    assert {row["path"].rpartition("/")[2]: row["reason"] for row in held} == {
        "page.png": "not_an_image",
        killing.KILLS: "kills_the_reader",
    }
    (row,) = (row for row in held if row["reason"] == "kills_the_reader")
    assert (row["label"], row["batch"], row["length"]) == ("Apple", 1, len(photograph(1000)))
    assert row["detail"].startswith("Each process that read it ended:")


def test_file_that_kills_its_reader_is_held_back_and_the_run_goes_on(
    workspace: Workspace, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not tried again as it is, and taken when it has changed, as any other in quarantine."""
    killing.have_readers_killed(monkeypatch)
    path = add_killing(photographs, 2 * FEW)
    assert_alone_held_back(workspace, 2 * FEW, bronze.job.run(workspace))

    before = versions(workspace)
    summary = bronze.job.run(workspace)
    assert (summary["unchanged"], summary["quarantined"], versions(workspace)) == (2 * FEW + 2, 0, before)

    path.write_bytes(killing.MENDED)
    summary = bronze.job.run(workspace)
    assert (summary["quarantined"], names(workspace, QUARANTINE)) == (1, [killing.KILLS, "page.png"])
    monkeypatch.undo()
    path.write_bytes(photograph(1001))
    assert bronze.job.run(workspace)["ingested"] == 1
    assert (killing.KILLS in names(workspace, IMAGES), names(workspace, QUARANTINE)) == (True, ["page.png"])


def test_run_that_a_file_killed_is_made_up_for_by_the_next(
    workspace: Workspace, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of few files this process reads each itself, until one has killed it: the next run leaves them to workers."""
    add_killing(photographs, 3)
    lake = local_path(workspace.settings.lake)
    command = [sys.executable, killing.__file__, str(photographs), str(lake)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    died = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert (lake / "computing").exists()
    assert names(workspace, IMAGES) == []

    killing.have_readers_killed(monkeypatch)
    assert_alone_held_back(workspace, 3, bronze.job.run(workspace))
    assert not (lake / "computing").exists()


def test_no_files_have_killed_anybody() -> None:
    """As in almost every run."""
    files = IMAGES.schema.empty_table().select(list(CANDIDATE))
    none = rows_of_killing(files, 1, datetime.now(UTC))
    assert (none.schema, none.num_rows) == (QUARANTINE.schema, 0)
