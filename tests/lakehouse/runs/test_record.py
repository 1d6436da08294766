"""A run is one row of the table `runs`, wherever it was killed; who has no lease writes none."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lakehouse.errors import LeaseLostError
from lakehouse.lease import open_lease
from lakehouse.runs.record import StartedRun, end_killed_runs, end_run, open_runs, start_run
from lakehouse.runs.table import RUNS, Status
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import Row


@pytest.fixture(params=["disk", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """A new lake, on a disk and on a real S3 server."""
    if request.param == "disk":
        return Lake(f"file://{tmp_path}/lake")
    return Lake(f"s3://{request.getfixturevalue('bucket')}/a lake")


def started(lake: Lake, holding: str, command: str = "run") -> StartedRun:
    """A run that has begun."""
    return start_run(lake, holding, command, "local", [RUNS])


def rows(lake: Lake) -> list[Row]:
    """The table's rows, in the order in which they were appended."""
    found = [row for part in delta.read_columns(lake, RUNS, RUNS.schema.names) for row in part.to_pylist()]
    return sorted(found, key=lambda row: (row["started_at"], row["id"]))


def test_run_is_open_until_it_has_its_row(lake: Lake) -> None:
    """The row has what was known at the start and at the end, and versions of tables as they were."""
    for number in range(2):
        run = started(lake, f"run-{number}")
        assert [row["id"] for row in open_runs(lake)] == [run.id]
        end_run(lake, run, Status.DONE, {"seconds": 1.5, "ingested": 3, "summary": "{}"})
        assert open_runs(lake) == []
    first, second = rows(lake)
    assert (first["command"], first["status"], first["seconds"], first["ingested"]) == ("run", "done", 1.5, 3)
    assert first["started_at"] <= first["ended_at"]
    assert first["error"] is None
    assert (json.loads(first["versions_before"]), json.loads(second["versions_before"])) == ({}, {"runs": 1})


def test_history_of_many_runs_lies_in_few_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them is still there, once, as it was."""
    monkeypatch.setattr("lakehouse.runs.record.FILES", 4)
    lake = Lake(f"file://{tmp_path}/lake")
    for number in range(10):
        end_run(lake, started(lake, f"run-{number}"), Status.DONE, {"ingested": number})
        assert len(delta.data_files(lake, RUNS)) <= 4
    assert [(row["id"], row["ingested"]) for row in rows(lake)] == [(f"run-{number}", number) for number in range(10)]


def test_killed_runs_get_a_row_from_the_next_one(lake: Lake) -> None:
    """What was known when they began, and no end; the one that runs is left alone."""
    dead = started(lake, "dead", "rollback")
    running = started(lake, "running")
    assert end_killed_runs(lake, running.id) == 1
    assert [row["id"] for row in open_runs(lake)] == [running.id]
    (row,) = rows(lake)
    assert (row["id"], row["command"], row["status"], row["started_at"]) == (
        dead.id,
        "rollback",
        "killed",
        dead.started_at,
    )
    assert (row["ended_at"], row["seconds"], row["photographs"]) == (None, None, None)
    assert end_killed_runs(lake, running.id) == 0


def test_run_killed_after_its_row_was_written_has_no_second_one(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file is removed, which it did not come to any more."""
    run = started(lake, "done")
    with monkeypatch.context() as patch:
        patch.setattr("lakehouse.runs.record.remove_file", lambda _: None)
        end_run(lake, run, Status.DONE, {})
    assert [row["id"] for row in open_runs(lake)] == [run.id]
    assert end_killed_runs(lake, "next") == 0
    assert open_runs(lake) == []
    assert [row["status"] for row in rows(lake)] == ["done"]


@pytest.mark.parametrize("content", ["", '{"id": "torn", "comm', "[]", '{"started_at": 5}'])
def test_run_whose_file_is_torn_is_killed_too(tmp_path: Path, content: str) -> None:
    """As after the machine stopped: its id is known by the file's name, and about when it began by its time."""
    lake = Lake(f"file://{tmp_path}/lake")
    started(lake, "torn")
    (tmp_path / "lake" / "runs" / "_open" / "torn.json").write_text(content)
    assert end_killed_runs(lake, "next") == 1
    (row,) = rows(lake)
    assert (row["id"], row["command"], row["status"], row["user"]) == ("torn", "unknown", "killed", None)
    assert row["started_at"] is not None


def test_run_without_a_lease_writes_nothing(tmp_path: Path) -> None:
    """Neither its row nor the removal of its file: it is the next run's to write that down."""
    uri = f"file://{tmp_path}/lake"
    with open_lease(uri) as lease:
        lake = Lake(uri, lease.check)
        run = started(lake, lease.holding)
        (tmp_path / "lake" / "lease.json").unlink()
        for write in (
            lambda: end_run(lake, run, Status.DONE, {}),
            lambda: end_killed_runs(lake, "another"),
            lambda: started(lake, "another"),
        ):
            refused(write)
    assert delta.open_table(lake, RUNS) is None
    assert [row["id"] for row in open_runs(lake)] == [run.id]


def refused(write: Callable[[], object]) -> None:
    """The lease's guard does not let it write."""
    with pytest.raises(LeaseLostError, match="Nothing more is written"):
        write()
