"""Time travel: resolve a version number or a time, and check that its files still exist."""

from datetime import UTC, datetime

from deltalake.exceptions import DeltaError

from lakehouse.errors import SettingsError
from lakehouse.storage import list_files
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import Table

AsOf = int | datetime
"""A table's version, or a moment with a time zone."""


def parse_as_of(text: str) -> AsOf:
    """A version's number, or a moment in ISO 8601, which is UTC where it names no zone.

    Raises:
        SettingsError: it is neither.
    """
    if text.isdecimal():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(
            f"--as-of is {text!r}; it is a table's version, as 12, or a moment in ISO 8601, as 2026-03-01T12:00 (UTC "
            "unless it names its zone)."
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def version_as_of(lake: Lake, table: Table, as_of: AsOf) -> int:
    """The version that a number names, or that was the newest at a moment, of a table that exists.

    Moments are those that the commits themselves tell, for a lake's files get other times when they are copied.

    Raises:
        SettingsError: the table has no such version, was not there yet, or its history does not go back so far.
    """
    if isinstance(as_of, int):
        try:
            return delta.existing(lake, table, as_of).version()
        except DeltaError as error:
            newest = delta.existing(lake, table).version()
            raise SettingsError(
                f"{table.name} has no version {as_of}{' any more' * (as_of < newest)}: its newest is {newest}. Each "
                "table counts its own versions; to ask several as they were at one time, name the moment: --as-of "
                "2026-03-01T12:00."
            ) from error
    commits = delta.existing(lake, table).history()
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
