"""Time travel: resolve a version number or a time, and check that its files still exist."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from deltalake.exceptions import DeltaError

from lakehouse.errors import SettingsError
from lakehouse.storage import list_files, list_names
from lakehouse.storage.uri import on_disk
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import Table

AsOf = int | datetime
"""A table's version, or a moment with a time zone."""


_COMMIT = re.compile(r"(\d{20})\.json")


def newest_versions(lake: Lake, tables: Sequence[Table]) -> dict[str, int]:
    """The newest version of each table that exists, by its name, from the names of the commits: no log is read."""
    if on_disk(lake.uri):
        found = [_newest_version(lake, table) for table in tables]
    else:
        with ThreadPoolExecutor(16) as pool:  # a listing each, which takes a request or more
            found = list(pool.map(lambda table: _newest_version(lake, table), tables))
    return {table.name: version for table, version in zip(tables, found, strict=True) if version is not None}


def _newest_version(lake: Lake, table: Table) -> int | None:
    names = list_names(lake.uri_of(f"{table.name.replace('.', '/')}/_delta_log"))
    commits = (_COMMIT.fullmatch(name) for name in names)
    return max((int(commit[1]) for commit in commits if commit), default=None)


def parse_as_of(text: str) -> AsOf:
    """A version's number, or a moment in ISO 8601, which is UTC where it names no zone.

    Raises:
        SettingsError: it is neither.
    """
    if text.isdecimal():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise SettingsError(
            f"--as-of is {text!r}; it is a table's version, as 12, or a moment in ISO 8601, as 2026-03-01T12:00 (UTC "
            "unless it names its zone)."
        ) from None


def version_as_of(lake: Lake, table: Table, as_of: AsOf) -> int:
    """The version that a number names, or that was the newest at a moment, of a table that exists.

    Moments are those that the commits themselves tell, for a lake's files get other times when they are copied.

    Raises:
        SettingsError: the table has no such version, was not there yet, or its history does not go back so far.
    """
    if isinstance(as_of, int):
        try:
            return delta.existing(lake, table, as_of).version()
        except (DeltaError, OverflowError) as error:  # delta-rs counts versions in 64 bits
            newest = delta.existing(lake, table).version()
            raise SettingsError(
                f"{table.name} has no version {as_of}{' any more' * (as_of < newest)}: its newest is {newest}. Each "
                "table counts its own versions; to ask several as they were at one time, name the moment: --as-of "
                "2026-03-01T12:00."
            ) from error
    commits = lake.asking(lambda: delta.existing(lake, table).history())
    known = [commit for commit in commits if _moment(commit["timestamp"]) <= as_of]
    if not known:
        first = _moment(min(commit["timestamp"] for commit in commits))
        raise SettingsError(
            f"{table.name} has no version {_format_moment(as_of)}; "
            f"its oldest commit is of {first:%Y-%m-%dT%H:%M:%S.%fZ}."
        )
    return max(int(commit["version"]) for commit in known)


def check_readable(lake: Lake, table: Table, version: int) -> None:
    """Raise a SettingsError where files of a version are gone."""
    needed = {file.rpartition("/")[2] for file in delta.data_files(lake, table, version)}
    folder = lake.uri_of(table.name.replace(".", "/"))
    gone = needed - {file.path.rpartition("/")[2] for file in list_files(folder, recursive=False)}
    if gone:
        raise SettingsError(
            f"{table.name} version {version} can no longer be read: {len(gone)} of its {len(needed)} files are gone, "
            "as they are after `fruits forget` or a VACUUM. Ask for a newer one."
        )


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _format_moment(moment: datetime) -> str:
    return f"at {moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
