"""List, read and write files on a disk or on S3, by URI.

A path in the lakehouse's tables is a URI made of a scheme and the name *as it is*: `file:///fruits/a b%20#.jpg` is the
file `/fruits/a b%20#.jpg`, as `s3://bucket/key` is for S3. Nothing is percent-encoded, so no name has two spellings.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import BinaryIO

from lakehouse.storage.base import FileStatus, ObjectStorage, Storage
from lakehouse.storage.folder_rules import FolderRules
from lakehouse.storage.uri import on_disk


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


def find_folders(uri: str, most_files: int) -> list[str] | None:
    """As `list_folders`; None on S3 where more than so many files lie beside them: nobody looks for folders then.

    S3 tells folders and files in one order, 1,000 an answer, so a folder may come behind a million files.

    Raises:
        StorageError: the folder does not exist or cannot be listed.
    """
    return _storage(uri).find_folders(uri, most_files)


def walk(
    uri: str, rules: FolderRules, *, recursive: bool, required: bool, pool: Executor | None = None
) -> Iterator[FileStatus]:
    """The files in a folder, and below it where `recursive`, as they come, with everything that is passed over.

    Nothing is left out in silence: a folder that a rule passes over, or that cannot be listed, is an entry with the
    rule; on S3 each key below it is one. (Of a folder in `rules.folders` there is one entry on S3, too.) A link to a
    folder is an entry with the rule `linked_folder`, and is followed where the walk begins with it. With a pool of
    threads many keys of S3 are listed side by side, by ranges.

    Raises:
        StorageError: nothing can be listed at present, as without credentials; or `required`, and this folder cannot.
    """
    return _storage(uri).walk(uri, rules, recursive=recursive, required=required, pool=pool)


def rule_of_folder(uri: str, rules: FolderRules) -> str | None:
    """The rule by which a walk passes over a folder."""
    return _storage(uri).rule_of_folder(uri, rules)


def list_names(uri: str) -> list[str]:
    """The names of the files directly in a folder, and of nothing else about them; none where there is no folder.

    Raises:
        StorageError: the folder cannot be listed.
    """
    return _storage(uri).list_names(uri)


def exists(uri: str) -> bool:
    """Whether there is such a file."""
    return _storage(uri).exists(uri)


def identity_of(uri: str) -> str | None:
    """What changes when another file is put in a file's place, or its content changes; None where there is no file.

    Raises:
        StorageError: nobody can say whether it is there.
    """
    return _storage(uri).identity_of(uri)


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
    """Write a file that is there whole or not at all, in place of one that was there; where a link points, of that.

    Raises:
        StorageError: it cannot be written.
    """
    _storage(uri).write_file(uri, content)


def write_new_file(uri: str, content: bytes) -> bool:
    """Write a file that is there whole or not at all, unless one is there; returns whether it was written.

    Raises:
        StorageError: it cannot be written.
    """
    return _storage(uri).write_new_file(uri, content)


def remove_file(uri: str) -> None:
    """Remove a file, if it is there.

    Raises:
        StorageError: it cannot be removed.
    """
    _storage(uri).remove_file(uri)


def check_reachable(uri: str) -> None:
    """Look whether a folder can be listed from here.

    Raises:
        StorageError: it cannot; the message says what to do.
    """
    _storage(uri).check_reachable(uri)


def delta_options(uri: str) -> dict[str, str]:
    """What delta-rs needs to be told to get there, at this moment: credentials expire."""
    return _storage(uri).delta_options(uri)


def have_ended(uri: str, error: BaseException) -> bool:
    """Whether delta-rs was refused a request because the credentials that it was told had ended: nothing was done."""
    return _storage(uri).have_ended(error)


def spark_options(uri: str) -> dict[str, str]:
    """What Spark needs to be told to get there, on a platform that does not know by itself (Amazon EMR does)."""
    return _storage(uri).spark_options()


def object_storage(uri: str) -> ObjectStorage | None:
    """The storage of a URI where that has no file system; None where it is on a disk."""
    return None if on_disk(uri) else _OBJECT_STORAGES[uri.partition("://")[0]]()


def _storage(uri: str) -> Storage:
    return object_storage(uri) or _local_storage()


# Imported when needed: on a disk boto3 is not.


def _local_storage() -> Storage:
    from lakehouse.storage.local import LocalStorage

    return LocalStorage()


def _s3_storage() -> ObjectStorage:
    from lakehouse.storage.s3 import S3Storage

    return S3Storage()


_OBJECT_STORAGES: dict[str, Callable[[], ObjectStorage]] = {"s3": _s3_storage}
