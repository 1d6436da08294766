"""Upkeep of a lake: small files merged, files that nobody needs removed, logs summed up.

All of it by `fruits maintain`; what is due, within seconds, at the end of a run (the setting `upkeep`). No row changes
by it, but that contents go which no photograph has, and no table loses what it says of itself: the run after finds
nothing new.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TypeVar

from bronze.contents import has_orphans, remove_orphans
from bronze.tables import CONTENTS, IMAGES
from fruits.catalog import ALL_TABLES
from fruits.console import format_bytes
from lakehouse.engine import chosen_engine
from lakehouse.engine.port import CancelledError
from lakehouse.errors import LeaseLostError
from lakehouse.failpoint import crash_point
from lakehouse.runs.record import FAILURES
from lakehouse.runs.table import RUNS
from lakehouse.settings import LakeSettings
from lakehouse.storage.uri import on_disk
from lakehouse.tables import delta
from lakehouse.tables.compaction import TARGET_BYTES, groups
from lakehouse.tables.delta import Lake
from lakehouse.tables.log import checkpoint, commits_since_checkpoint, keep_for
from lakehouse.tables.table import Table
from lakehouse.tables.vacuum import Retention, dead_files, removable, remove
from lakehouse.workspace import Workspace

SMALL_FILES = 16
"""Small files of a table that a run merges at its end: each costs whoever reads the table a request or an opening."""
COMMITS = 32
"""Commits of a table that a run sums up at its end: whoever opens the table reads each, on S3 by a request."""
SECONDS = 5.0
"""After this a run begins no further step of upkeep."""
_AT_MOST = {"local": 64 << 20, "spark": 512 << 20}
"""Bytes that a step merges, by the engine: some seconds' work."""
_SIDE_BY_SIDE = 16
_BY_ITSELF = RUNS.name
"""The table whose writer merges its files; upkeep is a run, too, and would find a new one each time."""


@dataclass(frozen=True)
class TableState:
    """A table's files, and what `fruits maintain` would do with them.

    Attributes:
        table: its name.
        files: of its newest version.
        median_bytes: of these.
        bytes: of these together.
        dead_files: data files in its folder that are of older versions, or that runs left which died.
        dead_bytes: of these together.
        commits: how many who opens the table reads one by one, after the newest checkpoint.
        merges: files of the newest version that would be merged.
        merges_into: how many they would become.
        removes: dead files that would be removed; the others are within the retention.
        removes_bytes: of these together.
        sums_up: whether a checkpoint would be written.
    """

    table: str
    files: int
    median_bytes: int
    bytes: int
    dead_files: int
    dead_bytes: int
    commits: int
    merges: int
    merges_into: int
    removes: int
    removes_bytes: int
    sums_up: bool

    @property
    def advice(self) -> str:
        """What upkeep would do, in words."""
        parts = [f"merge {self.merges:,} files into {self.merges_into:,}"] if self.merges else []
        if self.removes:
            parts.append(f"remove {self.removes:,} old files, {format_bytes(self.removes_bytes)}")
        if self.sums_up:
            parts.append(f"sum up {self.commits:,} commits")
        return ", ".join(parts) or "nothing"


@dataclass
class Upkept:
    """What upkeep did.

    Contents removed that no photograph has, files merged and what they became, files removed with their bytes, and logs
    summed up.
    """

    contents: int = 0
    merged: int = 0
    merged_into: int = 0
    removed: int = 0
    removed_bytes: int = 0
    logs: int = 0

    def __bool__(self) -> bool:
        return any(vars(self).values())


def examine_upkeep(settings: LakeSettings) -> list[TableState]:
    """The state of each table that there is; a listing for each, and nothing is changed."""
    lake = Lake(settings.lake)
    there = [table for table in ALL_TABLES if delta.open_table(lake, table) is not None]
    return _side_by_side(lake, there, lambda table: _state(lake, table, settings))


def maintain(workspace: Workspace) -> Upkept:
    """Do all that is to be done for all tables, as the lake's one writer; killed anywhere, the next call goes on."""
    lake, settings, done = workspace.lake, workspace.settings, Upkept()
    there = [table for table in ALL_TABLES if delta.open_table(lake, table) is not None]
    show = workspace.progress.stage("tables maintained", len(there))
    if CONTENTS in there and IMAGES in there and has_orphans(workspace.engine, lake):
        done.contents = remove_orphans(workspace.engine)  # first: what it writes anew is merged with the rest
        crash_point("upkeep.contents-removed")
    for number, table in enumerate(there, 1):
        _merge(workspace, table, None, done)
        _remove_old(workspace, table, done)
        keeps = table.history and keep_for(lake, table, _days(settings))
        if keeps or commits_since_checkpoint(lake, table, delta.existing(lake, table).version()) >= COMMITS // 2:
            _sum_up(workspace, table, done)
        show(number)
    return done


def keep_up(workspace: Workspace) -> Upkept:
    """At the end of a run, for some seconds, what is due, the most urgent first; the next run goes on.

    What it fails of is told in a line, and fails no run: that has done its work.

    Raises:
        LeaseLostError: the lease is lost.
        CancelledError: the run was cancelled.
    """
    done, begun = Upkept(), time.monotonic()
    if workspace.settings.upkeep == "never":
        return done
    try:
        for _, step in sorted(_due(workspace), key=lambda one: -one[0]):
            if time.monotonic() - begun > SECONDS:
                break
            step(done)
    except (LeaseLostError, CancelledError):
        raise
    except FAILURES as error:
        workspace.progress.log(
            f"The run has done its work, but not its upkeep, which `fruits maintain` or the next run does: {error}"
        )
    return done


_Step = Callable[[Upkept], None]


def _due(workspace: Workspace) -> Iterator[tuple[float, _Step]]:
    """What is to be done, each with how urgent it is: 1 is when it begins to be due."""
    lake, at_most = workspace.lake, _AT_MOST[chosen_engine(workspace.settings)]
    there = [table for table in ALL_TABLES if table.name in workspace.created]
    looks = _side_by_side(lake, there, partial(_looked_at, lake))
    for table, (small, commits, version) in zip(there, looks, strict=True):
        if small >= SMALL_FILES and table.name != _BY_ITSELF and _is_ready(workspace):
            yield small / SMALL_FILES, partial(_merge, workspace, table, at_most)
        if not table.history and version != workspace.opened.get(table.name):
            yield 2.0, partial(_remove_old, workspace, table)
        if commits >= COMMITS:
            yield commits / COMMITS, partial(_care_for_log, workspace, table)


def _is_ready(workspace: Workspace) -> bool:
    """Whether nothing has to be started for it: Spark's start takes longer than a run without news."""
    return workspace.engine.name != "spark" or workspace.engine.start_seconds > 0


def _looked_at(lake: Lake, table: Table) -> tuple[int, int, int]:
    """Small files, commits since the checkpoint, and version: by what is open already, and a small file."""
    handle = delta.existing(lake, table)
    sizes = delta.actions(handle).column("size_bytes").to_pylist()
    version = handle.version()
    small = sum(size < TARGET_BYTES // 2 for size in sizes)
    return small, commits_since_checkpoint(lake, table, version), version


def _merge(workspace: Workspace, table: Table, at_most: int | None, done: Upkept) -> None:
    if table.name == _BY_ITSELF:
        return
    made = workspace.engine.compact(table, at_most)
    crash_point("upkeep.merged")
    done.merged += made.files
    done.merged_into += made.written


def _remove_old(workspace: Workspace, table: Table, done: Upkept) -> None:
    lake = workspace.lake
    dead = dead_files(lake, table)
    count, size = remove(lake, removable(lake, table, dead, retention_of(workspace.settings)))
    crash_point("upkeep.removed")
    done.removed += count
    done.removed_bytes += size


def _care_for_log(workspace: Workspace, table: Table, done: Upkept) -> None:
    """The checkpoint last: until it is there, all of this stays due."""
    _remove_old(workspace, table, done)
    if table.history:
        keep_for(workspace.lake, table, _days(workspace.settings))
    _sum_up(workspace, table, done)


def _sum_up(workspace: Workspace, table: Table, done: Upkept) -> None:
    crash_point("upkeep.summing-up")
    checkpoint(workspace.lake, table)
    crash_point("upkeep.summed-up")
    done.logs += 1


def _state(lake: Lake, table: Table, settings: LakeSettings) -> TableState:
    handle = delta.existing(lake, table)
    files = delta.files_of(lake, table, handle)
    merging = [] if table.name == _BY_ITSELF else groups(files)
    dead = dead_files(lake, table)
    going = removable(lake, table, dead, retention_of(settings))
    commits = commits_since_checkpoint(lake, table, handle.version())
    return TableState(
        table=table.name,
        files=len(files),
        median_bytes=_median([file.size for file in files]),
        bytes=sum(file.size for file in files),
        dead_files=len(dead),
        dead_bytes=sum(file.length for file in dead),
        commits=commits,
        merges=sum(map(len, merging)),
        merges_into=len(merging),
        removes=len(going),
        removes_bytes=sum(file.length for file in going),
        sums_up=commits >= COMMITS // 2,
    )


def _median(sizes: Sequence[int]) -> int:
    # Not by `statistics`, whose import takes longer than all that a run without news does here.
    return sorted(sizes)[len(sizes) // 2] if sizes else 0


def retention_of(settings: LakeSettings) -> Retention:
    """How long old files stay, by the settings."""
    return Retention(timedelta(days=settings.history_days), timedelta(hours=settings.reader_hours))


def _days(settings: LakeSettings) -> int:
    return max(1, math.ceil(max(settings.history_days, settings.reader_hours / 24)))


Result = TypeVar("Result")


def _side_by_side(lake: Lake, tables: Sequence[Table], look: Callable[[Table], Result]) -> list[Result]:
    """On S3 each answer takes its time."""
    if on_disk(lake.uri):
        return [look(table) for table in tables]
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        return list(pool.map(look, tables))
