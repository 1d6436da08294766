"""Where files are: naming, listing and reading them, one file or folder at a time.

A path in the lakehouse's tables is a URI made of a scheme and the name *as it is*: `file:///fruits/a b%20#.jpg` is the
file `/fruits/a b%20#.jpg`, as `s3://bucket/key` is for S3. Nothing is percent-encoded, so no name has two spellings.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lakehouse.errors import StorageError

FILE = "file://"


@dataclass(frozen=True)
class FileStatus:
    r"""A directory entry.

    Attributes:
        path: URI; where the name is no UTF-8 the offending bytes are written as `\xNN`.
        length: bytes.
        modified: modification time, microseconds since 1970-01-01 UTC.
        rule: why it can be no photograph, whatever it holds; None where it may be one.
    """

    path: str
    length: int
    modified: int
    rule: str | None = None


def absolute_uri(name: str) -> str:
    """The URI of a folder given as a path (relative, `~`) or a URI, without a slash at its end.

    Raises:
        ValueError: the scheme is not supported, or the name is empty.
    """
    if not name.strip():
        raise ValueError("a folder's name is needed.")
    scheme, separator, rest = name.partition("://")
    if separator and scheme != "file":
        raise ValueError(f"the scheme {scheme}:// is not supported; name a folder or a file:// URI.")
    path = Path(rest if separator else name).expanduser()
    return FILE + os.path.abspath(path)


def local_path(uri: str) -> Path:
    """The file-system path of a `file://` URI."""
    return Path(uri.removeprefix(FILE))


def cache_folder() -> Path:
    """Where this user keeps what can be fetched or made again: jars, Java's class archive, converted models."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fruits"


def list_folders(uri: str) -> list[str]:
    """The folders directly inside a folder, sorted.

    Raises:
        StorageError: the folder does not exist or cannot be listed; never taken for an empty one.
    """
    with _scan(uri) as entries:
        return sorted(_uri(uri, entry.name) for entry in entries if entry.is_dir(follow_symlinks=False))


def list_files(uri: str, *, recursive: bool) -> Iterator[FileStatus]:
    """The files in a folder, and below it where `recursive`, as they come; links to folders are not followed."""
    folders = [uri]
    while folders:
        folder = folders.pop()
        with _scan(folder) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    yield _status(folder, entry)
                elif recursive:
                    folders.append(_uri(folder, entry.name))


def read_file(uri: str, limit: int) -> bytes:
    """At most `limit` bytes from the start of a file; OSError where it cannot be read."""
    with local_path(uri).open("rb") as file:
        return file.read(limit)


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
