"""The storage interface that each URI scheme implements."""

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from lakehouse.storage.folder_rules import FolderRules


@dataclass(frozen=True)
class FileStatus:
    r"""A directory entry.

    Attributes:
        path: URI; where the name is no UTF-8 the offending bytes are written as `\xNN`.
        length: bytes.
        modified: modification time, microseconds since 1970-01-01 UTC; S3 tells whole seconds.
        rule: why it can be no photograph, whatever it holds; None where it may be one. A folder that a walk passes over
            is an entry of this kind, without length and time.
    """

    path: str
    length: int
    modified: int
    rule: str | None = None


class Storage(Protocol):
    """What a disk and S3 have in common; each function here hands its call on to one of them."""

    def list_folders(self, uri: str) -> list[str]: ...  # noqa: D102 - see the functions below
    def list_files(self, uri: str, *, recursive: bool) -> Iterator[FileStatus]: ...  # noqa: D102
    def find_folders(self, uri: str, most_files: int | None) -> list[str] | None: ...  # noqa: D102
    def walk(  # noqa: D102
        self, uri: str, rules: FolderRules, *, recursive: bool, required: bool, pool: Executor | None = None
    ) -> Iterator[FileStatus]: ...
    def rule_of_folder(self, uri: str, rules: FolderRules) -> str | None: ...  # noqa: D102
    def list_names(self, uri: str) -> list[str]: ...  # noqa: D102
    def exists(self, uri: str) -> bool: ...  # noqa: D102
    def identity_of(self, uri: str) -> str | None: ...  # noqa: D102
    def open_file(self, uri: str) -> BinaryIO: ...  # noqa: D102
    def create_file(self, uri: str) -> BinaryIO: ...  # noqa: D102
    def read_file(self, uri: str, limit: int) -> bytes: ...  # noqa: D102
    def write_file(self, uri: str, content: bytes) -> None: ...  # noqa: D102
    def write_new_file(self, uri: str, content: bytes) -> bool: ...  # noqa: D102
    def remove_file(self, uri: str) -> None: ...  # noqa: D102
    def check_reachable(self, uri: str) -> None: ...  # noqa: D102
    def delta_options(self, uri: str) -> dict[str, str]: ...  # noqa: D102
    def have_ended(self, error: BaseException) -> bool: ...  # noqa: D102
    def spark_options(self) -> dict[str, str]: ...  # noqa: D102


class ObjectStorage(Storage, Protocol):
    """A storage without a file system, where an object is replaced whole, by compare-and-swap if need be.

    An object's ETag names one content of it; both change together.
    """

    def read_object(self, uri: str) -> tuple[bytes, str] | None:
        """Content and ETag of an object; None where there is none.

        Raises:
            StorageError: it cannot be read, or nobody can say whether it is there.
        """

    def etag_of(self, uri: str) -> str | None:
        """An object's ETag; None where there is none.

        Raises:
            StorageError: nobody can say whether it is there.
        """

    def replace_object(self, uri: str, content: bytes, etag: str | None) -> str | None:
        """Put a content in place of the one with this ETag, or (None) where there is none; returns the new ETag.

        None where the object is not the one demanded: somebody else was quicker, and nothing was changed.

        Raises:
            StorageError: it cannot be written, or nobody can say whether it was.
        """
