"""Each command that writes is a row of `runs`: what it did, how long it took, how it ended, and with which words."""

import json
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fruits.catalog import TABLES, Layer
from fruits.operations.forget import forget
from fruits.operations.health import repair
from fruits.operations.rollback import roll_back, unpin
from fruits.operations.run import LAYERS, run_layers, run_pipeline
from fruits.operations.writing import exclusive_workspace
from fruits.query.history import list_runs
from fruits.query.sql import answer
from fruits.settings import Settings
from lakehouse.engine.local.engine import FEW
from lakehouse.errors import LakehouseError, LeaseHeldError, LeaseLostError, NotHeldError, StorageError
from lakehouse.failpoint import VARIABLE
from lakehouse.lease import open_lease
from lakehouse.runs.erase import ERASED
from lakehouse.runs.table import RUNS
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.history import newest_versions
from lakehouse.tables.table import Row, Table
from lakehouse.workspace import Workspace
from silver.encoders.base import Encoder
from silver.tables import SCALED
from tests.conftest import add_photographs
from tests.fruits.cli.test_cli import call, fails
from tests.warm_command import run_command

pytestmark = pytest.mark.usefixtures("blank_pictures")

Run = Callable[..., None]
MB = 1 << 20


@pytest.fixture
def run(workspace: Workspace, encoder: Encoder) -> Run:
    """Run layers as `fruits run` does, with the stub for an encoder."""

    def run_them(*layers: Layer, **options: Any) -> None:
        settings = workspace.section(Settings).model_copy(update=options)
        with exclusive_workspace(settings, "run") as held:
            run_pipeline(held, layers or LAYERS, lambda: encoder)

    return run_them


def last(settings: Settings) -> Row:
    """The newest row of the table."""
    columns, rows = answer(Lake(settings.lake), "FROM runs ORDER BY started_at DESC LIMIT 1")
    return dict(zip(columns, rows[0], strict=True))


def test_run_says_what_it_did_and_what_it_took(workspace: Workspace, photographs: Path, run: Run) -> None:
    """Counts, seconds by layer, versions before and after, and the memory of this process and of its workers."""
    add_photographs(photographs, "Apple", range(FEW + 6))
    (photographs / "broken.png").write_bytes(b"no photograph")
    run(processes=2)
    row = last(workspace.section(Settings))
    counts = ("discovered", "ingested", "quarantined", "removed", "featurized", "scaled", "projected", "photographs")
    assert [row[name] for name in counts] == [FEW + 7, FEW + 6, 1, 0, FEW + 6, FEW + 6, FEW + 6, FEW + 6]
    assert (row["status"], row["engine"], row["process"], row["error"]) == ("done", "local", os.getpid(), None)
    layers = row["bronze_seconds"] + row["silver_seconds"] + row["gold_seconds"]
    assert 0 < layers <= row["seconds"]
    assert 50 * MB < row["driver_peak_bytes"] < 4000 * MB
    assert 20 * MB < row["worker_peak_bytes"] < 400 * MB
    assert json.loads(row["versions_before"]) == {}
    assert json.loads(row["versions_after"]) == newest_versions(workspace.lake, TABLES)
    assert json.loads(row["versions_after"]).keys() == {table.name for table in TABLES}
    summary = json.loads(row["summary"])
    assert (summary["gold"]["images"], summary["silver"]["refit"]) == (FEW + 6, "first fit")


def test_run_without_news_is_a_row_too(workspace: Workspace, photographs: Path, run: Run) -> None:
    """Nothing was done, by no worker, and no table has another version."""
    add_photographs(photographs, "Apple", range(6))
    run()
    run()
    row = last(workspace.section(Settings))
    assert (row["status"], row["ingested"], row["projected"], row["photographs"]) == ("done", 0, 0, 6)
    assert row["versions_before"] == row["versions_after"]
    assert row["worker_peak_bytes"] is None
    assert delta.count(workspace.lake, RUNS) == 2


def test_failed_run_has_its_words_and_what_was_done_before(workspace: Workspace, photographs: Path, run: Run) -> None:
    """Bronze's counts stand; what a user is told is told here, too, and there is nothing of the layers that failed."""
    add_photographs(photographs, "Apple", range(5))
    with pytest.raises(LakehouseError, match="refit") as told:
        run(refit="never")
    row = last(workspace.section(Settings))
    assert (row["status"], row["error"]) == ("failed", str(told.value))
    assert row["error_class"] == type(told.value).__name__
    assert (row["ingested"], row["photographs"], row["projected"]) == (5, 5, None)
    assert row["bronze_seconds"] > 0
    assert row["gold_seconds"] is None


def test_missing_folder_is_a_failed_run(settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command says on stderr what the history says; a lake that holds nothing but this can be asked about it."""
    config = ("--images", str(tmp_path / "nowhere"), "--lake", settings.lake)
    status, said = fails(capsys, "bronze", *config)
    assert status == 1
    row = last(settings)
    assert (row["command"], row["status"], row["error_class"]) == ("bronze", "failed", StorageError.__name__)
    assert said == f"Error: {row['error']}\n"
    assert row["photographs"] == 0


def test_killed_run_died_and_is_killed_when_the_next_one_says_so(
    settings: Settings, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGKILL between two commits: its start is known, and the versions of then; it has one row, for good."""
    add_photographs(photographs, "Apple", range(5))
    options = ["--images", str(photographs), "--lake", settings.lake]
    killed = {VARIABLE: "bronze.images-written"}
    assert run_command(["bronze", *options], killed, tmp_path / "log") == -signal.SIGKILL
    (row,) = list_runs(Lake(settings.lake))
    assert (row["status"], row["command"], row["seconds"]) == ("died", "bronze", None)
    assert call("history", "--lake", settings.lake) == 0
    assert "died" in capsys.readouterr().out
    for _ in range(2):
        run_layers(settings, [Layer.BRONZE])
    newest, second, oldest = list_runs(Lake(settings.lake))
    assert [one["status"] for one in (newest, second, oldest)] == ["done", "done", "killed"]
    assert (oldest["id"], oldest["started_at"]) == (row["id"], row["started_at"])
    assert (oldest["versions_before"], oldest["ended_at"]) == ("{}", None)
    assert json.loads(second["versions_before"])["bronze.images"] == 1


@pytest.mark.parametrize("point", ["runs.started", "runs.ended"])
def test_run_killed_while_it_is_recorded_is_one_row(
    settings: Settings, photographs: Path, tmp_path: Path, point: str
) -> None:
    """Killed at its first step or its last one: it is killed, or it was done."""
    add_photographs(photographs, "Apple", range(3))
    options = ["--images", str(photographs), "--lake", settings.lake]
    assert run_command(["bronze", *options], {VARIABLE: point}, tmp_path / "log") == -signal.SIGKILL
    run_layers(settings, [Layer.BRONZE])
    found = {"runs.started": "killed", "runs.ended": "done"}[point]
    assert [row["status"] for row in list_runs(Lake(settings.lake))] == ["done", found]


def test_run_that_holds_the_lease_is_running(settings: Settings) -> None:
    """Whoever asks sees it, and for how long; and a command that is refused meanwhile is no run."""
    with exclusive_workspace(settings, "run"):
        (row,) = list_runs(Lake(settings.lake))
        assert (row["status"], row["command"], row["process"]) == ("running", "run", os.getpid())
        assert row["seconds"] >= 0
        with pytest.raises(LeaseHeldError):
            run_layers(settings, [Layer.BRONZE])
    assert [row["status"] for row in list_runs(Lake(settings.lake))] == ["done"]


def test_run_that_has_lost_its_lease_writes_no_history(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """Another one has the lake by now; what it says of the first is that it was killed."""
    with pytest.raises(LeaseLostError), exclusive_workspace(settings, "run") as held:
        rob(held.lake)
    left = [path for path in Path(held.lake.folder("")).rglob("*") if path.is_file()]
    assert sorted(path.parent.name for path in left) == ["_open", "lake"]  # its start, and the lease
    assert capsys.readouterr().err == ""
    with exclusive_workspace(settings, "run"):
        pass
    assert [row["status"] for row in list_runs(Lake(settings.lake))] == ["done", "killed"]


def rob(lake: Lake) -> None:
    """Take a lake's lease away, as another one, and have its holder look before a commit."""
    Path(lake.folder("lease.json")).unlink()
    with open_lease(lake.uri):
        lake.guard()


def test_run_whose_lease_is_lost_when_its_work_is_done_says_so_in_a_line(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """The work is committed, so it has not failed."""
    with exclusive_workspace(settings, "run") as held:
        (Path(held.lake.folder("lease.json"))).unlink()
    said = capsys.readouterr().err
    assert "This run could not be written to the table `runs`" in " ".join(said.split())
    assert delta.open_table(held.lake, RUNS) is None


def test_history_that_cannot_be_written_fails_no_run(
    workspace: Workspace, photographs: Path, encoder: Encoder, capsys: pytest.CaptureFixture[str]
) -> None:
    """It became another's while the run did its work, which is not lost: a line on stderr says what is missing, why."""
    add_photographs(photographs, "Apple", range(3))
    lake, strange = workspace.lake, Table(RUNS.name, pa.schema([pa.field("id", pa.int64())]), ("id",), ("id",))
    with exclusive_workspace(workspace.section(Settings), "bronze") as held:
        run_pipeline(held, [Layer.BRONZE], lambda: encoder)
        delta.create(lake, [strange])
    said = " ".join(capsys.readouterr().err.split())
    assert "This run could not be written to the table `runs`" in said
    assert "has another layout" in said
    assert delta.count(lake, TABLES[0]) == 3
    assert delta.count(lake, strange) == 0


def test_every_command_that_writes_is_recorded_by_its_name(workspace: Workspace, photographs: Path, run: Run) -> None:
    """With what it did to the photographs' rows, as a run would say it."""
    settings = workspace.section(Settings)
    first, *_ = add_photographs(photographs, "Apple", range(6))
    run()
    add_photographs(photographs, "Kiwi", range(6, 12))
    run(refit="always")
    roll_back(settings, 1)
    assert {name: last(settings)[name] for name in ("command", "scaled", "projected")} == {
        "command": "rollback",
        "scaled": 12,
        "projected": 12,
    }
    unpin(settings)
    assert last(settings)["command"] == "rollback --unpin"
    forget(settings, [str(first)])
    row = last(settings)
    assert (row["command"], row["removed"], row["photographs"]) == ("forget", 1, 11)
    assert json.loads(row["summary"])["forget"]["contents"] == 1
    assert str(first) not in row["summary"]
    lost = pa.table({"path": [f"file://{first.with_name('1.png')}"]})
    workspace.engine.delete(workspace.engine.of(lost), SCALED)
    assert repair(settings) != []
    assert (last(settings)["command"], last(settings)["status"]) == ("doctor --repair", "done")
    assert last(settings)["scaled"] > 0


def test_forget_takes_names_out_of_what_runs_have_said(workspace: Workspace, photographs: Path, run: Run) -> None:
    """Also out of the table's older files; other words stay, and so does the history."""
    settings = workspace.section(Settings)
    secret, other, *_ = add_photographs(photographs, "Apple", range(6))
    run()
    copy = secret.with_name("copy.png")
    copy.write_bytes(secret.read_bytes())
    run()
    with pytest.raises(NotHeldError, match="held under"):
        forget(settings, [str(copy)])
    with pytest.raises(NotHeldError, match="does not hold"):
        forget(settings, [str(other), "/nowhere/1.png"])
    assert str(secret) in errors(settings)[0]
    forget(settings, [str(secret), str(copy)])
    assert errors(settings) == [ERASED, next(said for said in errors(settings) if "/nowhere/1.png" in said)]
    assert delta.count(workspace.lake, RUNS) == 5
    files = [path for path in Path(workspace.lake.folder("runs")).rglob("*") if path.is_file()]
    assert [path for path in files if b"copy.png" in path.read_bytes()] == []


def errors(settings: Settings) -> list[str]:
    """What failed runs have said, the oldest first."""
    _, rows = answer(Lake(settings.lake), "SELECT error FROM runs WHERE error IS NOT NULL ORDER BY started_at")
    return [str(row[0]) for row in rows]


def test_error_of_any_kind_is_recorded_and_raised(settings: Settings) -> None:
    """One of ours that nobody thought of is a failed run as well."""
    with pytest.raises(ZeroDivisionError), exclusive_workspace(settings, "run"):
        1 / 0  # noqa: B018
    assert (last(settings)["status"], last(settings)["error_class"]) == ("failed", "ZeroDivisionError")
    with suppress(KeyboardInterrupt), exclusive_workspace(settings, "run"):
        raise KeyboardInterrupt
    assert (last(settings)["status"], last(settings)["error_class"]) == ("interrupted", None)
