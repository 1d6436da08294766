"""Files on a disk."""

import errno
import os
import stat
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from lakehouse.errors import StorageError
from lakehouse.failures import OF_THE_PROCESS, why
from lakehouse.storage.base import FileStatus
from lakehouse.storage.folder_rules import FolderRules, Rule
from lakehouse.storage.uri import FILE, followed, local_path, on_disk

_GONE = (errno.ENOENT, errno.ENOTDIR)


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

    def find_folders(self, uri: str, most_files: int | None) -> list[str] | None:  # noqa: ARG002 - the disk tells all at once
        """See `storage.find_folders`."""
        return self.list_folders(uri)

    def walk(
        self,
        uri: str,
        rules: FolderRules,
        *,
        recursive: bool,
        required: bool,
        pool: Executor | None = None,  # noqa: ARG002 - which a disk has no use for
    ) -> Iterator[FileStatus]:
        """See `storage.walk`."""
        if rule := self.rule_of_folder(uri, rules):
            yield _folder(uri, rule)
            return
        known = _identities(rules)
        folders = [uri]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(folder.removeprefix(FILE)) as entries:
                    for entry in entries:
                        if not entry.is_dir(follow_symlinks=False):
                            status = _status(folder, entry, Rule.LINKED_FOLDER)
                            if status.rule and (rule := _rule_of_link(entry.name, status.rule, rules)):
                                status = _folder(status.path, rule)
                            yield status
                        elif recursive:
                            below = _uri(folder, entry.name)
                            if rule := _rule_of_folder(below, rules, known):
                                yield _folder(below, rule)
                            else:
                                folders.append(below)
            except OSError as error:
                if (required and folder == uri) or error.errno in OF_THE_PROCESS:
                    raise _unlisted(folder, error) from error
                yield _folder(folder, Rule.VANISHED_FOLDER if error.errno in _GONE else Rule.UNREADABLE_FOLDER)

    def rule_of_folder(self, uri: str, rules: FolderRules) -> str | None:
        """See `storage.rule_of_folder`."""
        return None if uri in rules.entered else _rule_of_folder(uri, rules, _identities(rules))

    def list_names(self, uri: str) -> list[str]:
        """See `storage.list_names`."""
        if not self.exists(uri):
            return []
        with _scan(uri) as entries:
            return [entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]

    def exists(self, uri: str) -> bool:
        """See `storage.exists`."""
        return local_path(uri).exists()

    def identity_of(self, uri: str) -> str | None:
        """See `storage.identity_of`."""
        try:
            status = local_path(uri).stat()
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise StorageError(f"{uri} cannot be looked at: {why(error)}") from error
        return f"{status.st_ino} {status.st_size} {status.st_mtime_ns}"

    def open_file(self, uri: str) -> BinaryIO:
        """See `storage.open_file`."""
        try:
            return local_path(uri).open("rb")
        except OSError as error:
            if error.errno in OF_THE_PROCESS:
                raise StorageError(f"{uri} cannot be read: {why(error)}") from error
            raise

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
        """See `storage.write_file`; a device or a pipe is written to, a link followed, where a file is replaced."""
        try:
            path = followed(local_path(uri))
        except OSError as error:
            raise StorageError(f"{uri} cannot be written: {why(error)}") from error
        if path.exists() and not path.is_file() and not path.is_dir():
            try:
                path.write_bytes(content)
            except OSError as error:
                raise StorageError(f"{uri} cannot be written: {why(error)}") from error
            return
        with _staged(uri, path, content) as staged:
            staged.rename(path)

    def write_new_file(self, uri: str, content: bytes) -> bool:
        """See `storage.write_new_file`."""
        path = local_path(uri)
        with _staged(uri, path, content) as staged:
            try:
                os.link(staged, path)  # which fails where there is one, as a rename does not
            except FileExistsError:
                return False
        return True

    def remove_file(self, uri: str) -> None:
        """See `storage.remove_file`."""
        try:
            local_path(uri).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{uri} cannot be removed: {why(error)}") from error

    def check_reachable(self, uri: str) -> None:
        """See `storage.check_reachable`; a folder that is not there can be made, which is no error."""
        try:
            os.scandir(local_path(uri)).close()
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unlisted(uri, error) from error

    def delta_options(self, uri: str) -> dict[str, str]:  # noqa: ARG002
        """See `storage.delta_options`."""
        return {}

    def have_ended(self, error: BaseException) -> bool:  # noqa: ARG002
        """See `storage.have_ended`; a disk asks for none."""
        return False

    def spark_options(self) -> dict[str, str]:
        """See `storage.spark_options`."""
        return {}


@contextmanager
def _staged(uri: str, path: Path, content: bytes) -> Iterator[Path]:
    """A whole file beside the path that it is to have, in a folder that is made; what is left of it is removed."""
    if path.exists() and not path.is_file():  # a device or a pipe would be a file from now on
        raise StorageError(f"{uri} cannot be written: it is there, and is no file. Use another name.")
    staged = path.with_name(f".{uuid.uuid4().hex}.part")  # the file's own name may be as long as names can be
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staged.write_bytes(content)
        yield staged
    except FileExistsError as error:
        raise StorageError(f"{uri} cannot be written: {path.parent} is no folder.") from error
    except OSError as error:
        raise StorageError(f"{uri} cannot be written: {why(error)}") from error
    finally:
        with suppress(OSError):
            staged.unlink(missing_ok=True)


def _scan(uri: str) -> "os._ScandirIterator[str]":
    try:
        return os.scandir(local_path(uri))
    except OSError as error:
        raise _unlisted(uri, error) from error


def _unlisted(uri: str, error: OSError) -> StorageError:
    return StorageError(f"The folder {uri} cannot be listed: {why(error)}")


def _rule_of_folder(uri: str, rules: FolderRules, known: Mapping[tuple[int, int], str]) -> str | None:
    path = uri.removeprefix(FILE)
    if rule := rules.names.rule_of(path.rpartition("/")[2]):
        return rule
    if known and (identity := _identity(path)) and (rule := known.get(identity)):
        return rule
    for name, rule in rules.holding.items():
        if os.path.lexists(f"{path}/{name}"):
            return rule
    return None


def _rule_of_link(name: str, rule: str, rules: FolderRules) -> str | None:
    return rules.names.rule_of(name) if rule == Rule.LINKED_FOLDER else None


def _identities(rules: FolderRules) -> dict[tuple[int, int], str]:
    """The folders that the rules name, by what they are on the disk, which is the same under each of their names."""
    found = ((_identity(uri.removeprefix(FILE)), rule) for uri, rule in rules.folders.items() if on_disk(uri))
    return {identity: rule for identity, rule in found if identity}


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - Path takes as long again, for each folder
    except OSError:
        return None  # whoever lists it says why
    return status.st_dev, status.st_ino


def _folder(uri: str, rule: str) -> FileStatus:
    """A folder that is passed over."""
    return FileStatus(_shown(uri), 0, 0, rule)


def _shown(uri: str) -> str:
    if uri.isascii():
        return uri
    return os.fsencode(uri).decode("utf-8", "backslashreplace")


def _uri(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"


def _status(folder: str, entry: "os.DirEntry[str]", of_linked_folder: Rule = Rule.NOT_A_FILE) -> FileStatus:
    path = _uri(folder, entry.name)
    shown = _shown(path)
    try:
        status = entry.stat()
    except OSError as error:
        if entry.is_symlink():
            return FileStatus(shown, 0, 0, Rule.BROKEN_LINK)
        return FileStatus(shown, 0, 0, Rule.VANISHED_FILE if error.errno in _GONE else Rule.UNREADABLE_ENTRY)
    rule = None
    if shown != path:
        rule = Rule.NAME_IS_NOT_UTF8
    elif not stat.S_ISREG(status.st_mode):
        rule = of_linked_folder if stat.S_ISDIR(status.st_mode) else Rule.NOT_A_FILE
        if rule == Rule.LINKED_FOLDER:
            return _folder(path, rule)
    return FileStatus(shown, status.st_size, status.st_mtime_ns // 1000, rule)
