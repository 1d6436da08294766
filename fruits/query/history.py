"""`fruits history`: the runs of commands that wrote to the lake, and the one that writes now."""

import json
from datetime import UTC, datetime

from fruits.console import ERR, OUT, Format, print_json, print_table
from fruits.query.costs import warnings
from fruits.query.sql import answer
from lakehouse.lease import open_lease
from lakehouse.runs.record import open_runs
from lakehouse.runs.table import COUNTS, RUNS, Status
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import Row

SHOWN = 20
"""Runs that are listed unless all are asked for."""

_OBJECTS = ("versions_before", "versions_after", "summary")


def list_runs(lake: Lake) -> list[Row]:
    """The runs, the newest first: the rows of `runs`, and those that have none yet; empty where there is no history.

    Of the latter one is `running`, if it holds the lake's lease; the others are `died`, until the next command that
    writes makes rows of them. Times are UTC, without a zone.
    """
    unfinished = open_runs(lake)  # first: who ends meanwhile is found twice, which is mended, and not missed
    ended = _ended(lake)
    holder = open_lease(lake.uri).holder() if unfinished else None
    known = {row["id"] for row in ended}
    rows = [_unfinished(row, holder.id if holder else None) for row in unfinished if row["id"] not in known]
    return sorted([*rows, *ended], key=lambda row: row["started_at"], reverse=True)


def _ended(lake: Lake) -> list[Row]:
    if delta.open_table(lake, RUNS) is None:
        return []
    columns, rows = answer(lake, f"FROM {RUNS.name}")
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _unfinished(row: Row, holding: str | None) -> Row:
    running = row["id"] == holding
    so_far = (datetime.now(UTC) - row["started_at"]).total_seconds() if running else None
    started = row["started_at"].astimezone(UTC).replace(tzinfo=None)
    status = Status.RUNNING if running else Status.DIED
    return {**row, "status": str(status), "started_at": started, "seconds": so_far}


def show_history(lake: Lake, shape: Format, *, everything: bool) -> None:
    """Print the runs on stdout: JSON holds them all, the table the newest unless `everything`."""
    runs = list_runs(lake)
    if shape == Format.json:
        print_json([_with_objects(row) for row in runs])
    elif not runs:
        OUT.print(f"There is no history in {lake.uri} yet: the next command that writes begins it.", soft_wrap=True)
    else:
        shown = runs if everything else runs[:SHOWN]
        _print(shown)
        for row in shown:
            for said in warnings(row, None if row["summary"] is None else json.loads(row["summary"])):
                ERR.print(f"{row['started_at']:%Y-%m-%d %H:%M:%S}: {said}", soft_wrap=True)
        if len(runs) > len(shown):
            ERR.print(f"These are the newest; `--all` shows {len(runs) - len(shown):,} more.", soft_wrap=True)


def _print(runs: list[Row]) -> None:
    """Print a table; who ran them is told where that was not always the same."""
    runners = [f"{row['user']}@{row['machine']}" for row in runs]
    columns = ["started (UTC)", "command", "status", "seconds", "photographs", "what"]
    rows: list[list[object]] = [
        [
            row["started_at"],
            row["command"],
            row["status"],
            None if row["seconds"] is None else f"{row['seconds']:,.1f}",
            row["photographs"],
            _told(row),
        ]
        for row in runs
    ]
    if len({*runners}) > 1:
        columns = [*columns, "by"]
        rows = [[*row, runner] for row, runner in zip(rows, runners, strict=True)]
    print_table(columns, rows)


def _told(row: Row) -> str | None:
    """What a run did, in counts that are not zero, and its error."""
    counts = ", ".join(f"{row[name]:,} {name}" for name in [*COUNTS][1:] if row[name])
    if row["error"]:
        return f"{counts + '; ' if counts else ''}{row['error']}"
    return counts or ("nothing new" if row["status"] == Status.DONE else None)


def _with_objects(row: Row) -> Row:
    objects = {name: None if row[name] is None else json.loads(row[name]) for name in _OBJECTS}
    return {**row, **objects, "warnings": warnings(row, objects["summary"])}
