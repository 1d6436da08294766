"""`fruits history` and `SELECT … FROM runs`: the runs of a lake, for people and for programs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import bronze.tables
from fruits.query.history import SHOWN, list_runs
from fruits.query.sql import answer
from lakehouse.lease import open_lease
from lakehouse.runs.record import end_run, start_run
from lakehouse.runs.table import Status
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import Row
from tests.fruits.cli.test_cli import call, fails
from tests.lakehouse.conftest import bucket, s3, s3_server  # noqa: F401 - fixtures

LOADED = {"bronze": {"ingested": 40}}


@pytest.fixture(params=["disk", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """A new lake, on a disk and on a real S3 server."""
    if request.param == "disk":
        return Lake(f"file://{tmp_path}/lake")
    return Lake(f"s3://{request.getfixturevalue('bucket')}/lake")


@pytest.fixture
def disk(tmp_path: Path) -> Lake:
    """A new lake on a disk."""
    return Lake(f"file://{tmp_path}/lake")


def add_run(lake: Lake, number: int, status: Status = Status.DONE, **figures: object) -> None:
    """A run that has ended."""
    run = start_run(lake, f"run-{number}", "run", "local", bronze.tables.TABLES)
    known: dict[str, object] = {"seconds": 2.25, "photographs": 40, "versions_after": "{}", "summary": "{}"}
    end_run(lake, run, status, known | figures)


def filled(lake: Lake) -> Lake:
    """A run that was done, one without news, one that failed, one that died, and one that runs."""
    add_run(lake, 1, ingested=40, projected=40, summary=json.dumps(LOADED))
    add_run(lake, 2, ingested=0)
    add_run(lake, 3, Status.FAILED, ingested=2, error="The folder cannot be listed.", error_class="StorageError")
    start_run(lake, "dead", "rollback", "spark", [])
    return lake


def shown(capsys: pytest.CaptureFixture[str], lake: Lake, *options: str) -> list[list[str]]:
    """The cells of the table that the command prints."""
    assert call("history", "--lake", lake.uri, *options) == 0
    lines = capsys.readouterr().out.splitlines()
    return [re.split(r"\s{2,}", line.strip()) for line in lines if line.strip() and "─" not in line]


def test_runs_are_listed_the_newest_first(
    lake: Lake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they did or were told, and how they ended; a lake on S3 is asked in the same way."""
    monkeypatch.setattr("fruits.console.OUT.width", 160)
    with open_lease(filled(lake).uri) as lease:
        start_run(lake, lease.holding, "forget", "local", [])
        head, *rows = shown(capsys, lake)
    assert head == ["started (UTC)", "command", "status", "seconds", "photographs", "what"]
    assert [row[1:3] for row in rows] == [
        ["forget", "running"],
        ["rollback", "died"],
        ["run", "failed"],
        ["run", "done"],
        ["run", "done"],
    ]
    assert [row[-1] for row in rows[2:]] == [
        "2 ingested; The folder cannot be listed.",
        "nothing new",
        "40 ingested, 40 projected",
    ]
    assert rows[-1][3:5] == ["2.2", "40"]


def test_json_holds_every_run_whole(disk: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """With the columns of the table, in which objects are objects; what is not known is null."""
    for number in range(SHOWN):
        add_run(disk, 10 + number)
    filled(disk)
    assert call("history", "--lake", disk.uri, "--format", "json") == 0
    runs: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert len(runs) == SHOWN + 4
    assert all(run.keys() == runs[0].keys() for run in runs)
    dead, failed, _, first = runs[:4]
    assert (dead["status"], dead["engine"], dead["versions_before"], dead["summary"]) == ("died", "spark", {}, None)
    assert (failed["error"], failed["error_class"]) == ("The folder cannot be listed.", "StorageError")
    assert first["summary"] == LOADED


def test_table_shows_the_newest_unless_all_are_asked_for(disk: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """And says how many more there are."""
    for number in range(SHOWN + 2):
        add_run(disk, number)
    assert call("history", "--lake", disk.uri) == 0
    assert "`--all` shows 2 more" in capsys.readouterr().err
    assert len(shown(capsys, disk, "--all")) == 1 + SHOWN + 2


def test_who_ran_is_told_where_that_differs(
    disk: Lake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two machines on one lake."""
    monkeypatch.setattr("fruits.console.OUT.width", 160)
    add_run(disk, 1)
    assert shown(capsys, disk)[0][-1] == "what"
    add_run(disk, 2, machine="other")
    head, newest, *_ = shown(capsys, disk)
    assert head[-1] == "by"
    assert newest[-1].endswith("@other")


def test_lake_without_history_says_so(disk: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """One that an older release has filled, and a folder that is no lake yet."""
    for _ in range(2):
        assert call("history", "--lake", disk.uri) == 0
        assert "There is no history" in capsys.readouterr().out
        assert call("history", "--lake", disk.uri, "--format", "json") == 0
        assert json.loads(capsys.readouterr().out) == []
        delta.create(disk, bronze.tables.TABLES)
    status, said = fails(capsys, "sql", "FROM runs", "--lake", disk.uri)
    assert status == 1
    assert "runs is not in" in said


def test_run_that_ends_while_it_is_asked_for_is_told_once(disk: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """As its row says, though its file was still there a moment ago."""
    with monkeypatch.context() as patch:
        patch.setattr("lakehouse.runs.record.remove_file", lambda _: None)
        add_run(disk, 1)
    assert [row["status"] for row in list_runs(disk)] == ["done"]


def one(lake: Lake, query: str) -> Row:
    """The one row of an answer."""
    columns, (row,) = answer(lake, query)
    return dict(zip(columns, row, strict=True))


def test_sql_asks_runs_by_that_name(lake: Lake) -> None:
    """Counts are columns, the rest is JSON; a column or a query may have the same name."""
    delta.create(lake, bronze.tables.TABLES)
    assert one(lake, "SELECT count(*) AS runs FROM bronze.images") == {"runs": 0}
    assert one(lake, "WITH runs AS (SELECT 1 AS n) SELECT n FROM runs") == {"n": 1}
    add_run(lake, 1, ingested=40, summary=json.dumps(LOADED))
    query = """
    SELECT sum(ingested) AS ingested, any_value(summary ->> '$.bronze.ingested') AS said,
           any_value(versions_before ->> '$."bronze.images"') AS version FROM "runs" WHERE status = 'done'
    """
    assert one(lake, query) == {"ingested": 40, "said": "40", "version": "0"}
    assert one(lake, "SELECT count(*) AS runs FROM Runs JOIN bronze.images ON true") == {"runs": 0}
    assert one(lake, "WITH runs AS (SELECT 1 AS n) SELECT n FROM runs") == {"n": 1}
