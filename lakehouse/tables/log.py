"""A table's log, commit by commit: which files each added and removed, and how the log itself is kept short."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from deltalake import CommitProperties

from lakehouse.failures import refusals
from lakehouse.storage import list_files, read_file
from lakehouse.storage.base import FileStatus
from lakehouse.tables.delta import find_table
from lakehouse.tables.lake import Lake
from lakehouse.tables.marks import marks_of_same_rows
from lakehouse.tables.newest import NewestVersions
from lakehouse.tables.table import RETENTION, DataFile, Ordered, Table


@dataclass(frozen=True)
class Entry:
    """What a commit did to a table's files.

    Attributes:
        added: files that came, and removed: files that went, if the commit changed rows.
        moved_in: the same of a commit that did not, such as a compaction.
        moved_out: likewise.
        feeds: names of files of the change feed.
    """

    added: tuple[DataFile, ...] = ()
    removed: tuple[DataFile, ...] = ()
    moved_in: tuple[DataFile, ...] = ()
    moved_out: tuple[DataFile, ...] = ()
    feeds: tuple[str, ...] = ()


def read_entry(lake: Lake, table: Table, version: int) -> Entry:
    """The entry of a version.

    Raises:
        OSError: it cannot be read, as after the log was cleaned.
        ValueError: it is no entry.
    """
    text = read_file(f"{lake.log(table)}/{version:020}.json").decode()
    actions = [json.loads(line) for line in text.split("\n") if line.strip()]  # names may hold U+2028
    came = [action["add"] for action in actions if "add" in action]
    went = [action["remove"] for action in actions if "remove" in action]

    def of(files: list[dict[str, Any]], changes: bool) -> tuple[DataFile, ...]:
        return tuple(_file(lake, table, one) for one in files if one.get("dataChange", True) is changes)

    return Entry(
        added=of(came, True),
        removed=of(went, True),
        moved_in=of(came, False),
        moved_out=of(went, False),
        feeds=tuple(_name(lake, table, action["cdc"]) for action in actions if "cdc" in action),
    )


def entries(lake: Lake, table: Table, before: int, after: int) -> Iterator[Entry]:
    """The entries after a version, up to another; raises as `read_entry`."""
    return (read_entry(lake, table, version) for version in range(before + 1, after + 1))


def list_entries(lake: Lake, table: Table) -> dict[int, FileStatus]:
    """The files of the log's entries, by their versions; of versions that a checkpoint alone keeps there is none."""
    found = list_files(lake.log(table), recursive=False)
    named = ((file.path.rpartition("/")[2], file) for file in found)
    return {int(name[:20]): file for name, file in named if len(name) == 25 and name.endswith(".json")}


def commits_since_checkpoint(lake: Lake, table: Table, version: int) -> int:
    """How many entries who opens this version reads after the newest checkpoint, or from the first on."""
    try:
        hint = json.loads(read_file(f"{lake.log(table)}/_last_checkpoint"))
        return version - int(hint["version"])
    except FileNotFoundError:
        return version + 1
    except (ValueError, KeyError, TypeError):  # readers pass it over, too
        return version + 1


def keep_for(lake: Lake, table: Table, days: int) -> bool:
    """Have other writers, and readers by time, keep the log and removed files so long; returns whether that is new.

    In a commit that changes no row. What Delta takes for granted is 30 days of log, and 7 of files.
    """
    wanted = dict.fromkeys(RETENTION, f"interval {days} days")
    with refusals(f"The properties of {table.name} cannot be set"):
        return lake.asking(lambda: _set_properties(lake, table, wanted))


def _set_properties(lake: Lake, table: Table, wanted: Mapping[str, str]) -> bool:
    handle = find_table(dataclasses.replace(lake, newest=NewestVersions()), table)
    assert handle is not None, table.name
    if wanted.items() <= handle.metadata().configuration.items():
        return False
    marks = CommitProperties(custom_metadata=marks_of_same_rows(handle))
    lake.guard()
    handle.alter.set_table_properties(dict(wanted), raise_if_not_exists=False, commit_properties=marks)
    return True


def checkpoint(lake: Lake, table: Table) -> None:
    """Sum the log up in a checkpoint, and remove entries that are older than the table's log retention."""
    with refusals(f"The log {lake.log(table)} cannot be summed up"):
        lake.asking(lambda: _sum_up(lake, table))


def _sum_up(lake: Lake, table: Table) -> None:
    handle = find_table(lake, table)
    assert handle is not None, table.name
    lake.guard()
    handle.create_checkpoint()
    handle.cleanup_metadata()


def _name(lake: Lake, table: Table, action: Mapping[str, Any]) -> str:
    return f"{lake.path(table)}/{unquote(action['path'])}"


def _file(lake: Lake, table: Table, action: Mapping[str, Any]) -> DataFile:
    stated = json.loads(action.get("stats") or "{}")
    least, most = (_of_key(table, stated.get(name) or {}) for name in ("minValues", "maxValues"))
    return DataFile(_name(lake, table, action), action.get("size") or 0, stated.get("numRecords"), least, most)


def _of_key(table: Table, values: Mapping[str, Any]) -> dict[str, Ordered]:
    """Bounds as the columns have them: instants stand there as text."""
    return {name: value for name, value in values.items() if name in table.key and isinstance(value, int | str)}
