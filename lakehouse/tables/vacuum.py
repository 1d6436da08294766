"""Remove data files that no version within a table's retention needs: of older versions, and of runs that died.

Not by Delta's VACUUM, in either of its writers. It commits to the log before and after, so that a table no longer says
what it follows; and by the age of files alone it cannot tell an old file that left the table a moment ago.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from deltalake.exceptions import DeltaError

from lakehouse.failpoint import crash_point
from lakehouse.storage import remove_file
from lakehouse.storage.base import FileStatus
from lakehouse.tables import delta
from lakehouse.tables.folder import list_data_files, name_of
from lakehouse.tables.lake import Lake
from lakehouse.tables.log import Entry, list_entries, read_entry
from lakehouse.tables.table import Table

WITHOUT_HISTORY = timedelta(minutes=1)
"""How long files of a table without history stay after they have left it: as long as a query takes to read them."""
_STAGED = timedelta(days=1)
"""How long a run may take to commit a file that it has written, at the most."""


@dataclass(frozen=True)
class Retention:
    """How long files stay that have left a table.

    Attributes:
        history: so long older versions can be asked for.
        readers: so long a reader may go on with what it has opened, at the least.
    """

    history: timedelta
    readers: timedelta

    def of(self, table: Table) -> timedelta:
        """For the files of a table."""
        return max(self.history, self.readers) if table.history else WITHOUT_HISTORY


def dead_files(lake: Lake, table: Table) -> list[FileStatus]:
    """The data files in a table's folder that are not of its newest version, by a listing; the change feed's too."""
    current = {name_of(file) for file in delta.data_files(lake, table)}
    return [file for file in list_data_files(lake, table) if name_of(file.path) not in current]


def removable(
    lake: Lake, table: Table, dead: Sequence[FileStatus], retention: Retention, now: datetime | None = None
) -> list[FileStatus]:
    """Those of the dead files that no version needs which was current at any time within the retention.

    In doubt a file is needed: where the log does not go back so far, or is not to be read.
    """
    moment = (now or datetime.now(UTC)) - retention.of(table)
    old = [file for file in dead if _when(file) < moment]
    if not old:
        return []
    entries = list_entries(lake, table)
    past = [version for version, entry in entries.items() if _when(entry) < moment]
    if not past:
        return []
    since = max(past)
    try:
        needed = {name_of(file) for file in delta.data_files(lake, table, since)}
        for version in sorted(entries):
            # What was written before that moment, and committed after it.
            if version > since and _when(entries[version]) < moment + _STAGED:
                needed |= _named_in(read_entry(lake, table, version))
    except (DeltaError, OSError, ValueError):
        return []
    return [file for file in old if name_of(file.path) not in needed]


def remove(lake: Lake, files: Iterable[FileStatus]) -> tuple[int, int]:
    """Remove data files; returns how many, and their bytes."""
    count = size = 0
    for file in files:
        lake.guard()
        remove_data_file(file.path)
        crash_point("upkeep.file-removed")
        count, size = count + 1, size + file.length
    return count, size


def remove_data_file(file: str) -> None:
    """Remove one, with the checksum that Hadoop writes beside each on a disk."""
    folder, _, name = file.rpartition("/")
    for one in (file, f"{folder}/.{name}.crc"):
        remove_file(one)


def _named_in(entry: Entry) -> set[str]:
    files = (*entry.added, *entry.removed, *entry.moved_in, *entry.moved_out)
    return {name_of(name) for name in (*(file.name for file in files), *entry.feeds)}


def _when(file: FileStatus) -> datetime:
    return datetime.fromtimestamp(file.modified / 1e6, UTC)
