"""Detect that an earlier run died while it computed rows in its own process; then workers compute them."""

from lakehouse.storage import exists, remove_file, write_file


class Trial:
    """A file that is there while a process computes rows itself, and stays where it dies of them.

    A photograph that kills its reader would else kill each run, for a few rows are not worth a worker.
    """

    def __init__(self, lake: str) -> None:
        """Name the file; it is not made yet."""
        self._file = f"{lake}/computing"

    @property
    def failed(self) -> bool:
        """Whether a process has died here."""
        return exists(self._file)

    def begin(self) -> None:
        """Say that this process computes rows itself."""
        write_file(self._file, b"")

    def end(self) -> None:
        """Take it back: it has done so, or others have computed what it died of."""
        remove_file(self._file)
