"""A table's data files for Arrow's datasets, read by this package's own storage."""

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler
from pyarrow.fs import PyFileSystem

from lakehouse.storage import open_file


class _Files(DeltaStorageHandler):
    """The files of a table: delta-rs would read them with the credentials of the moment when the table was opened."""

    folder: str

    def open_input_file(self, path: str) -> pa.PythonFile:
        """See `FileSystemHandler.open_input_file`."""
        return pa.PythonFile(open_file(f"{self.folder}/{path}"), mode="r")


def files_in(folder: str, handle: DeltaTable, options: dict[str, str]) -> PyFileSystem:
    """The folder of a table on S3 as a file system of Arrow's; credentials are looked for while it is read.

    Args:
        folder: its URI.
        handle: the table.
        options: storage options for delta-rs.
    """
    made = _Files(handle.table_uri, options)
    made.folder = folder
    return PyFileSystem(made)
