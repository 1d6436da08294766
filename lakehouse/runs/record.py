"""Record runs: a small file while a run goes on, and a row of the table when it has ended.

The file `<lake>/runs/_open/<id>.json` is written when a run begins, and removed when its row is there. A run that is
killed leaves it; the next one, which holds the lease and so knows that nobody else runs, makes a row of it.
"""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import pyarrow as pa
from deltalake.exceptions import DeltaError

from lakehouse.errors import LakehouseError
from lakehouse.failpoint import crash_point
from lakehouse.lease.base import own_user
from lakehouse.runs.table import RUNS, Status
from lakehouse.storage import list_files, list_names, read_file, remove_file, write_file
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.history import newest_versions
from lakehouse.tables.table import Row, Table

FILES = 64
"""Files of the table, at the most."""
LOG = 16
"""Commits that a reader of the log reads, at the most; Delta's default of 100 would double what a row costs."""

FAILURES = (LakehouseError, DeltaError, OSError, pa.ArrowException)
"""What reading and writing the tables may fail with."""


@dataclass(frozen=True)
class StartedRun:
    """What is known of a run when it begins: all that is left of one that is killed.

    Attributes:
        id: the lease's, under which it runs.
        command: as it is typed, without its arguments: `run`, `rollback --unpin`.
        engine: local or spark.
        user: who runs it.
        machine: the host's name.
        process: the process' number there.
        started_at: UTC.
        versions_before: a JSON object, the version of each table by its name.
    """

    id: str
    command: str
    engine: str
    user: str
    machine: str
    process: int
    started_at: datetime
    versions_before: str


def start_run(lake: Lake, holding: str, command: str, engine: str, tables: Sequence[Table]) -> StartedRun:
    """Write down that a run begins; to be called under the lease whose id is `holding`.

    Raises:
        StorageError: the lake cannot be read, or not be written to.
        LeaseLostError: the lease is lost.
    """
    before = json.dumps(newest_versions(lake, tables))
    now = datetime.now(UTC)
    started = StartedRun(holding, command, engine, own_user(), socket.gethostname(), os.getpid(), now, before)
    lake.guard()
    write_file(_file_of(lake, holding), json.dumps(asdict(started), default=datetime.isoformat).encode())
    crash_point("runs.started")
    return started


def end_run(lake: Lake, started: StartedRun, status: Status, figures: Mapping[str, object]) -> None:
    """Append a run's row; `figures` are the columns that are known by now.

    Raises:
        LeaseLostError: the lease is lost; nothing was written.
        FAILURES: the row could not be written; a later run takes this one for killed.
    """
    ended = {"status": status, "ended_at": datetime.now(UTC), **figures}
    _append(lake, [{**asdict(started), **ended}])
    crash_point("runs.ended")
    _close(lake, [started.id])


def end_killed_runs(lake: Lake, running: str) -> int:
    """Append a row for each run that was killed before the one that is running; returns how many.

    Raises:
        The same as `end_run`.
    """
    left = {row["id"]: row for row in open_runs(lake) if row["id"] != running}
    if not left:
        return 0
    # Killed between the last two steps of `end_run`, it has its row.
    there = delta.open_table(lake, RUNS) is not None
    done = {row["id"] for row in delta.rows_where(lake, RUNS, "id", [*left], ["id"])} if there else set()
    killed = [{**row, "status": Status.KILLED} for name, row in left.items() if name not in done]
    if killed:
        _append(lake, killed)
    _close(lake, [*left])
    return len(killed)


def open_runs(lake: Lake) -> list[Row]:
    """The runs that have not ended, or not said so: their columns that are known, the others None."""
    folder = lake.uri_of(_FOLDER)
    if not any(name.endswith(_SUFFIX) for name in list_names(folder)):
        return []
    files = [file for file in list_files(folder, recursive=False) if file.path.endswith(_SUFFIX)]
    found = [_parse(file.path, datetime.fromtimestamp(file.modified / 1e6, UTC)) for file in files]
    return [row for row in found if row is not None]


_FOLDER = f"{RUNS.name}/_open"
"""Delta takes no notice of what begins with an underscore."""
_SUFFIX = ".json"


def _file_of(lake: Lake, holding: str) -> str:
    return lake.uri_of(f"{_FOLDER}/{holding}{_SUFFIX}")


def _parse(file: str, written: datetime) -> Row | None:
    """A run by its file; of one that is not whole, as after the machine stopped, its id and when that was written."""
    try:
        content = read_file(file)
    except FileNotFoundError:  # it has just ended
        return None
    known: Row = {"id": file.rpartition("/")[2].removesuffix(_SUFFIX), "started_at": written}
    try:
        said = json.loads(content)
        known |= {name: said[name] for name in _STARTED} | {"started_at": datetime.fromisoformat(said["started_at"])}
    except (ValueError, TypeError, KeyError):
        known["command"] = "unknown"
    return {name: known.get(name) for name in RUNS.schema.names}


_STARTED = tuple(StartedRun.__dataclass_fields__)


def _append(lake: Lake, rows: Sequence[Row]) -> None:
    """Append rows in one commit; each `FILES`th one puts all rows into one file, or readers would wait for many."""
    delta.create(lake, [RUNS])
    made = pa.Table.from_batches([pa.RecordBatch.from_pylist(rows, RUNS.schema)])
    version = newest_versions(lake, [RUNS])[RUNS.name] + 1
    if version % FILES:
        delta.write_small(made, lake, RUNS, mode="append")
    else:
        before = delta.read_columns(lake, RUNS, RUNS.schema.names)
        delta.write_small(pa.concat_tables([*before, made]), lake, RUNS, mode="overwrite")
    if version % LOG == 0:
        lake.asking(lambda: delta.existing(lake, RUNS).create_checkpoint())


def _close(lake: Lake, holdings: Sequence[str]) -> None:
    lake.guard()
    for holding in holdings:
        remove_file(_file_of(lake, holding))
