"""Files on a disk."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from lakehouse.errors import StorageError
from lakehouse.storage.base import FileStatus
from lakehouse.storage.uri import local_path


class LocalStorage:
    """See `lakehouse.storage`."""

    def list_folders(self, uri: str) -> list[str]:
        """See `storage.list_folders`."""
        with _scan(uri) as entries:
            return sorted(_uri(uri, entry.name) for entry in entries if entry.is_dir(follow_symlinks=False))

    def list_files(self, uri: str, *, recursive: bool) -> Iterator[FileStatus]:
        """See `storage.list_files`."""
        folders = [uri]
        while folders:
            folder = folders.pop()
            with _scan(folder) as entries:
                for entry in entries:
                    if not entry.is_dir(follow_symlinks=False):
                        yield _status(folder, entry)
                    elif recursive:
                        folders.append(_uri(folder, entry.name))

    def list_names(self, uri: str) -> list[str]:
        """See `storage.list_names`."""
        if not self.exists(uri):
            return []
        with _scan(uri) as entries:
            return [entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]

    def exists(self, uri: str) -> bool:
        """See `storage.exists`."""
        return local_path(uri).exists()

    def open_file(self, uri: str) -> BinaryIO:
        """See `storage.open_file`."""
        return local_path(uri).open("rb")

    def create_file(self, uri: str) -> BinaryIO:
        """See `storage.create_file`."""
        path = local_path(uri)
        path.parent.mkdir(parents=True, exist_ok=True)  # as a store without folders needs none
        return path.open("xb")

    def read_file(self, uri: str, limit: int) -> bytes:
        """See `storage.read_file`."""
        with self.open_file(uri) as file:
            return file.read(limit)

    def write_file(self, uri: str, content: bytes) -> None:
        """See `storage.write_file`."""
        with _staged(uri, content) as staged:
            staged.rename(local_path(uri))

    def write_new_file(self, uri: str, content: bytes) -> bool:
        """See `storage.write_new_file`."""
        with _staged(uri, content) as staged:
            try:
                os.link(staged, local_path(uri))  # which fails where there is one, as a rename does not
            except FileExistsError:
                return False
        return True

    def remove_file(self, uri: str) -> None:
        """See `storage.remove_file`."""
        try:
            local_path(uri).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{uri} cannot be removed: {error.strerror}.") from error

    def check_reachable(self, uri: str) -> None:
        """See `storage.check_reachable`; what fails on a disk says so by itself."""

    def delta_options(self) -> dict[str, str]:
        """See `storage.delta_options`."""
        return {}

    def spark_options(self) -> dict[str, str]:
        """See `storage.spark_options`."""
        return {}


@contextmanager
def _staged(uri: str, content: bytes) -> Iterator[Path]:
    """A whole file beside the place that it is to have, in a folder that is made; what is left of it is removed."""
    path = local_path(uri)
    staged = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staged.write_bytes(content)
        yield staged
    except FileExistsError as error:
        raise StorageError(f"{uri} cannot be written: {path.parent} is no folder.") from error
    except OSError as error:
        raise StorageError(f"{uri} cannot be written: {error.strerror}.") from error
    finally:
        with suppress(OSError):
            staged.unlink(missing_ok=True)


def _scan(uri: str) -> "os._ScandirIterator[str]":
    try:
        return os.scandir(local_path(uri))
    except OSError as error:
        raise StorageError(f"The folder {uri} cannot be listed: {error.strerror}.") from error


def _uri(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"


def _status(folder: str, entry: "os.DirEntry[str]") -> FileStatus:
    path = _uri(folder, entry.name)
    shown = os.fsencode(path).decode("utf-8", "backslashreplace")
    try:
        status = entry.stat()
    except OSError:
        return FileStatus(shown, 0, 0, "broken_link" if entry.is_symlink() else "unreadable_entry")
    rule = None
    if shown != path:
        rule = "name_is_not_utf8"
    elif not stat.S_ISREG(status.st_mode):
        rule = "not_a_file"
    return FileStatus(shown, status.st_size, status.st_mtime_ns // 1000, rule)
