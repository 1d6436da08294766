"""What is wrong with a table's log or data files, by a listing and the log's own entries; no data is read."""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

from lakehouse.arrow import pq
from lakehouse.errors import DamagedTableError, StorageError
from lakehouse.failures import of_the_machine, why
from lakehouse.storage import list_files, open_file, read_file
from lakehouse.storage.base import FileStatus

_ENTRY = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(\.[\w-]+)*\.(parquet|json)")
DOCTOR = "`fruits doctor` says what is lost and how to get it back."
THOROUGH = DOCTOR.replace("doctor", "doctor --thorough")
"""Of damage inside of a file, which its footer does not tell."""
_HINT = "_last_checkpoint"


class Flaw(StrEnum):
    """What can be wrong with a file of a log."""

    EMPTY = "is empty"
    CUT_OFF = "ends early: it is half a commit"
    MISSING = "is gone"
    UNREADABLE = "is damaged"
    ASTRAY = "names a checkpoint that is gone"


@dataclass(frozen=True)
class DamagedEntry:
    """A file of a table's log that cannot be read, or is not there.

    Attributes:
        name: the file's name in `_delta_log`.
        flaw: what is wrong.
        newest: whether it is the newest commit, and no later one needs it.
        checkpoint: whether it is a checkpoint, which only sums up commits.
    """

    name: str
    flaw: Flaw
    newest: bool = False
    checkpoint: bool = False


def damaged_entries(log: str, files: Iterable[FileStatus] | None = None) -> list[DamagedEntry]:
    """The files of a log (the URI of `_delta_log`) that the newest version needs and that cannot be read.

    Reads the commits after the newest checkpoint, and that checkpoint's footer.
    """
    found = {
        file.path.rpartition("/")[2]: file for file in (list_files(log, recursive=False) if files is None else files)
    }
    entries = {int(match[1]): name for name in found if (match := _ENTRY.fullmatch(name))}
    checkpoints = {int(match[1]): name for name in sorted(found) if (match := _CHECKPOINT.fullmatch(name))}
    damaged, start = [], 0
    if _HINT in found and (named := _named_by_hint(log)) is not None and named not in checkpoints:
        damaged.append(DamagedEntry(_HINT, Flaw.ASTRAY, checkpoint=True))
    if checkpoints:
        start = max(checkpoints) + 1
        name = checkpoints[max(checkpoints)]
        if name.endswith(".parquet") and _parquet_problem(f"{log}/{name}"):
            damaged.append(DamagedEntry(name, Flaw.UNREADABLE, checkpoint=True))
            start = 0
    last = max(entries, default=start - 1)
    for version in range(start, last + 1):
        flaw = _flaw(log, found[entries[version]]) if version in entries else Flaw.MISSING
        if flaw:
            damaged.append(DamagedEntry(f"{version:020}.json", flaw, newest=version == last))
    return damaged


def explained(table: str, log: str, error: Exception) -> str:
    """Why a table cannot be opened, in a sentence that names the file where that can be found out."""
    damaged = damaged_entries(log)
    said = "; ".join(f"{log}/{entry.name} {entry.flaw}" for entry in damaged)
    return f"The table {table} cannot be opened: {said or first_line(error)}. {DOCTOR}"


def first_line(error: Exception) -> str:
    """What delta-rs or Arrow says, without the trace that it may add."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Read data files in the block; one that is gone or damaged is an error that says so.

    Args:
        name: the file, or the table where files are not read one by one.

    Raises:
        DamagedTableError: a file is gone or damaged.
        StorageError: it is there and cannot be read.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise DamagedTableError(f"{_where(name, error)} is gone. {DOCTOR}") from error
    except pa.ArrowInvalid as error:
        raise DamagedTableError(f"{_where(name, error)} is damaged: {first_line(error)}. {DOCTOR}") from error
    except OSError as error:
        if not of_the_machine(error):  # Arrow's words for pages that cannot be decoded
            raise DamagedTableError(f"{_where(name, error)} is damaged: {first_line(error)}. {THOROUGH}") from error
        raise StorageError(f"{_where(name, error)} cannot be read: {why(error)}") from error


def footer_problem(uri: str, rows: int | None) -> str | None:
    """What is wrong with a data file by its Parquet footer; None where nothing is."""
    try:
        with open_file(uri) as source, pq.ParquetFile(source) as file:
            found = file.metadata.num_rows
    except (OSError, pa.ArrowException) as error:
        return first_line(error)
    return None if rows in (None, found) else f"it has {found} rows, and the log says {rows}"


def content_problem(uri: str, rows: int | None) -> str | None:
    """The same, of all that is in it: each page is read and decoded, one row group at a time."""
    if problem := footer_problem(uri, rows):
        return problem
    try:
        with open_file(uri) as source, pq.ParquetFile(source) as file:
            for group in range(file.num_row_groups):
                file.read_row_group(group)
    except (OSError, pa.ArrowException) as error:
        return first_line(error)
    return None


def _named_by_hint(log: str) -> int | None:
    """The checkpoint that readers are led to; None where they pass the file over, as it is not understood."""
    try:
        return int(json.loads(read_file(f"{log}/{_HINT}"))["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _parquet_problem(uri: str) -> str | None:
    return footer_problem(uri, None)


def _where(name: str, error: Exception) -> str:
    """The file: given, or as the error names it."""
    if name.endswith(".parquet"):
        return f"The data file {name}"
    named = re.search(r"[^\s']+\.parquet", str(error))
    return f"A data file of {name} ({named[0]})" if named else f"A data file of {name}"


def _flaw(log: str, file: FileStatus) -> Flaw | None:
    if not file.length:
        return Flaw.EMPTY
    try:
        content = read_file(f"{log}/{file.path.rpartition('/')[2]}").decode()
        actions = [json.loads(line) for line in content.split("\n") if line.strip()]  # names may hold U+2028
    except (OSError, ValueError):  # JSON's and Unicode's errors are ValueErrors
        return Flaw.CUT_OFF
    return None if all(isinstance(action, dict) for action in actions) else Flaw.UNREADABLE
