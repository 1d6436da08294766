"""The data files that lie in a table's folder, whatever its log says of them."""

from lakehouse.storage import list_files, list_names
from lakehouse.storage.base import FileStatus
from lakehouse.storage.uri import absolute_uri
from lakehouse.tables import delta
from lakehouse.tables.lake import Lake
from lakehouse.tables.table import Table

_FEED = "_change_data"


def list_data_files(lake: Lake, table: Table) -> list[FileStatus]:
    """The data files in a table's folder, the change feed's too, of any version.

    Its other subfolders are not listed: the log has many files, and is no data.
    """
    folder = lake.uri_of(table.name.replace(".", "/"))
    feed = f"{folder}/{_FEED}"
    folders = [folder, feed] if list_names(feed) else [folder]
    found = (file for one in folders for file in list_files(absolute_uri(one), recursive=False))
    return [file for file in found if file.path.endswith(".parquet")]


def has_lost_files(lake: Lake, table: Table) -> bool:
    """Whether a data file of the newest version is gone; costs a listing of the folder."""
    there = {name_of(file.path) for file in list_data_files(lake, table)}
    return any(name_of(file) not in there for file in delta.data_files(lake, table))


def name_of(file: str) -> str:
    """The last part of a data file's path or URI."""
    return file.rpartition("/")[2]
