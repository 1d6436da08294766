"""Where files are: naming, listing, reading and writing them, one file or folder at a time, on a disk or on S3.

A path in the lakehouse's tables is a URI made of a scheme and the name *as it is*: `file:///fruits/a b%20#.jpg` is the
file `/fruits/a b%20#.jpg`, as `s3://bucket/key` is for S3. Nothing is percent-encoded, so no name has two spellings.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

FILE, S3 = "file://", "s3://"


@dataclass(frozen=True)
class FileStatus:
    r"""A directory entry.

    Attributes:
        path: URI; where the name is no UTF-8 the offending bytes are written as `\xNN`.
        length: bytes.
        modified: modification time, microseconds since 1970-01-01 UTC; S3 tells whole seconds.
        rule: why it can be no photograph, whatever it holds; None where it may be one.
    """

    path: str
    length: int
    modified: int
    rule: str | None = None


class Storage(Protocol):
    """What a disk and S3 have in common; each function here hands its call on to one of them."""

    def list_folders(self, uri: str) -> list[str]: ...  # noqa: D102 - see the functions below
    def list_files(self, uri: str, *, recursive: bool) -> Iterator[FileStatus]: ...  # noqa: D102
    def exists(self, uri: str) -> bool: ...  # noqa: D102
    def open_file(self, uri: str) -> BinaryIO: ...  # noqa: D102
    def create_file(self, uri: str) -> BinaryIO: ...  # noqa: D102
    def read_file(self, uri: str, limit: int) -> bytes: ...  # noqa: D102
    def write_file(self, uri: str, content: bytes) -> None: ...  # noqa: D102
    def remove_file(self, uri: str) -> None: ...  # noqa: D102


def absolute_uri(name: str) -> str:
    """The URI of a folder given as a path (relative, `~`) or a URI, without a slash at its end.

    Raises:
        ValueError: the scheme is not supported, or the name is empty.
    """
    if not name.strip():
        raise ValueError("a folder's name is needed.")
    scheme, separator, rest = name.partition("://")
    if separator and scheme in ("s3", "s3a", "s3n"):  # three clients of Hadoop's, one store
        if not rest.strip("/"):
            raise ValueError("a bucket's name is needed: s3://bucket/folder.")
        return S3 + rest.rstrip("/")
    if separator and scheme != "file":
        raise ValueError(f"the scheme {scheme}:// is not supported; name a folder, a file:// or an s3:// URI.")
    path = Path(rest if separator else name).expanduser()
    return FILE + os.path.abspath(path)


def is_s3(uri: str) -> bool:
    """Whether a URI names something on S3."""
    return uri.startswith(S3)


def local_path(uri: str) -> Path:
    """The file-system path of a `file://` URI."""
    return Path(uri.removeprefix(FILE))


def cache_folder() -> Path:
    """Where this user keeps what can be made again: jars, MLflow's empty database, converted models."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fruits"


def state_folder() -> Path:
    """Where this user keeps what is no setting and should last: the questions that were asked."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "fruits"


def list_folders(uri: str) -> list[str]:
    """The folders directly inside a folder, sorted.

    Raises:
        StorageError: the folder does not exist or cannot be listed; never taken for an empty one.
    """
    return _storage(uri).list_folders(uri)


def list_files(uri: str, *, recursive: bool) -> Iterator[FileStatus]:
    """The files in a folder, and below it where `recursive`, as they come; links to folders are not followed.

    Raises:
        StorageError: the folder cannot be listed.
    """
    return _storage(uri).list_files(uri, recursive=recursive)


def exists(uri: str) -> bool:
    """Whether there is such a file."""
    return _storage(uri).exists(uri)


def open_file(uri: str) -> BinaryIO:
    """A file to read in any order; OSError where it cannot be read."""
    return _storage(uri).open_file(uri)


def create_file(uri: str) -> BinaryIO:
    """A new file to write from its start to its end; it may be seen before it is closed. OSError where it fails."""
    return _storage(uri).create_file(uri)


def read_file(uri: str, limit: int = -1) -> bytes:
    """At most `limit` bytes from the start of a file, by default all.

    Raises:
        OSError: this file cannot be read.
        StorageError: nothing can be read at present, as without credentials.
    """
    return _storage(uri).read_file(uri, limit)


def write_file(uri: str, content: bytes) -> None:
    """Write a file that is there whole or not at all, in place of one that was there.

    Raises:
        StorageError: it cannot be written.
    """
    _storage(uri).write_file(uri, content)


def remove_file(uri: str) -> None:
    """Remove a file, if it is there.

    Raises:
        StorageError: it cannot be removed.
    """
    _storage(uri).remove_file(uri)


def _storage(uri: str) -> Storage:
    # Imported when needed: on a disk boto3 is not.
    if is_s3(uri):
        from lakehouse import storage_s3

        return storage_s3.S3Storage()
    from lakehouse.storage_local import LocalStorage

    return LocalStorage()
