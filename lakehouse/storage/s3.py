"""Files on S3: objects by their keys, which slashes make into folders."""

import io
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, cast

from obstore.exceptions import BaseError, GenericError

from lakehouse.errors import StorageError
from lakehouse.storage import aws, aws_errors
from lakehouse.storage.base import FileStatus
from lakehouse.storage.boto import Answer, Client, Object, Operation, Page
from lakehouse.storage.folder_rules import FolderRules
from lakehouse.storage.key_ranges import pages_side_by_side
from lakehouse.storage.keys import rule_of_folder, sifted
from lakehouse.storage.object_file import ObjectReader
from lakehouse.storage.object_writer import ObjectWriter
from lakehouse.storage.uri import S3

if TYPE_CHECKING:
    from obstore.store import S3Store

_UNORDERED = "--x-s3"
"""How the name of a directory bucket ends (S3 Express One Zone), which lists keys in no order."""
_TRIES = 3  # of an answer that breaks off; boto3 itself asks again only where none begins


class S3Storage:
    """See `lakehouse.storage`."""

    def list_folders(self, uri: str) -> list[str]:
        """See `storage.list_folders`; a folder is there as long as an object is below it."""
        folders = self.find_folders(uri, None)
        assert folders is not None
        return folders

    def find_folders(self, uri: str, most_files: int | None) -> list[str] | None:
        """See `storage.find_folders`."""
        bucket, _ = aws.split(uri)
        folders: list[str] = []
        objects = files = 0
        for page in _pages(uri, recursive=False):
            files += len(page.get("Contents", ()))
            if most_files is not None and files > most_files:
                return None
            folders += [f"{S3}{bucket}/{found['Prefix'].removesuffix('/')}" for found in page.get("CommonPrefixes", ())]
            objects += page.get("KeyCount", 0)
        if not objects:
            raise StorageError(f"The folder {uri} cannot be listed: there is nothing.")
        return sorted(folders)

    def list_files(self, uri: str, *, recursive: bool) -> Iterator[FileStatus]:
        """See `storage.list_files`; objects whose key ends with a slash are what some tools make of folders."""
        bucket, _ = aws.split(uri)
        for page in _pages(uri, recursive=recursive):
            yield from (_status(bucket, found) for found in page.get("Contents", ()) if not found["Key"].endswith("/"))

    def walk(
        self,
        uri: str,
        rules: FolderRules,
        *,
        recursive: bool,
        required: bool,  # noqa: ARG002
        pool: Executor | None = None,
    ) -> Iterator[FileStatus]:
        """See `storage.walk`. What is below a prefix has gone with the last object: no prefix but the bucket fails."""
        rule = self.rule_of_folder(uri, rules)
        if uri in rules.folders and rule:
            yield FileStatus(uri, 0, 0, rule)
            return
        bucket, _ = aws.split(uri)
        objects = (
            _status(bucket, found)
            for page in _pages(uri, recursive=recursive, pool=pool)
            for found in page.get("Contents", ())
        )
        yield from sifted(uri, objects, rules, rule)

    def rule_of_folder(self, uri: str, rules: FolderRules) -> str | None:
        """See `storage.rule_of_folder`."""
        return None if uri in rules.entered else rule_of_folder(uri, rules)

    def list_names(self, uri: str) -> list[str]:
        """See `storage.list_names`."""
        return [file.path.rpartition("/")[2] for file in self.list_files(uri, recursive=False)]

    def exists(self, uri: str) -> bool:
        """See `storage.exists`."""
        try:
            _asked(uri, "head_object")
        except FileNotFoundError:
            return False
        return True

    def open_file(self, uri: str) -> BinaryIO:
        """See `storage.open_file`."""
        try:
            return cast(BinaryIO, ObjectReader(*_quick(uri)))
        except ValueError:
            return io.BytesIO(self.read_file(uri, -1))

    def create_file(self, uri: str) -> BinaryIO:
        """See `storage.create_file`; the object is there when it is closed."""
        return cast(BinaryIO, ObjectWriter(partial(_change, uri)))

    def read_file(self, uri: str, limit: int) -> bytes:
        """See `storage.read_file`."""
        with suppress(BaseError, FileNotFoundError, ValueError):  # boto3 knows more of what fails, and says it
            try:
                return _quickly(uri, limit)
            except BaseError as error:
                if not (aws_errors.is_elsewhere(error) and aws.find_region(aws.split(uri)[0])):
                    raise
            return _quickly(uri, limit)
        found = _whole(uri, limit, _asked)
        assert found is not None
        return found[0]

    def write_file(self, uri: str, content: bytes) -> None:
        """See `storage.write_file`."""
        _change(uri, "put_object", Body=content)

    def remove_file(self, uri: str) -> None:
        """See `storage.remove_file`."""
        _change(uri, "delete_object")

    def check_reachable(self, uri: str) -> None:
        """See `storage.check_reachable`; its bucket must be in the region that is set."""
        next(self.list_files(uri, recursive=True), None)
        aws.check_region(uri)

    def delta_options(self, uri: str) -> dict[str, str]:
        """See `storage.delta_options`."""
        return aws.delta_options(uri)

    def have_ended(self, error: BaseException) -> bool:
        """See `storage.have_ended`."""
        return aws.have_ended_in_rust(error)

    def spark_options(self) -> dict[str, str]:
        """See `storage.spark_options`."""
        return aws.hadoop_options()

    def read_object(self, uri: str) -> tuple[bytes, str] | None:
        """See `ObjectStorage.read_object`."""
        return _whole(uri, -1, _asked_for)

    def identity_of(self, uri: str) -> str | None:
        """See `storage.identity_of`."""
        return self.etag_of(uri)

    def etag_of(self, uri: str) -> str | None:
        """See `ObjectStorage.etag_of`."""
        # One byte, because the answer to HEAD does not tell a bucket that is not there from an object that is not.
        answer = _asked_for(uri, "get_object", Range="bytes=0-0")
        if answer is None:
            return None
        with answer["Body"]:
            return str(answer["ETag"])

    def write_new_file(self, uri: str, content: bytes) -> bool:
        """See `storage.write_new_file`."""
        return self.replace_object(uri, content, None) is not None

    def replace_object(self, uri: str, content: bytes, etag: str | None) -> str | None:
        """See `ObjectStorage.replace_object`."""
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        answer = _asked_for(uri, "put_object", Body=content, **condition)
        return None if answer is None else str(answer["ETag"])


def _status(bucket: str, found: Object) -> FileStatus:
    return FileStatus(
        f"{S3}{bucket}/{found['Key']}", found["Size"], round(found["LastModified"].timestamp() * 1_000_000)
    )


def _pages(uri: str, *, recursive: bool, pool: Executor | None = None) -> Iterator[Page]:
    """The pages of a folder's listing: one after the other, or by a pool side by side and then in no order."""
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, slash, key = uri.removeprefix(S3).partition("/")
    prefix = f"{key}/" if slash else ""  # `s3://bucket/` is the folder of the keys that begin with a slash
    try:
        asked = {"Bucket": bucket, "Prefix": prefix, **({} if recursive else {"Delimiter": "/"})}

        def ask(after: str | None, token: str | None) -> Page:
            start = {"StartAfter": after} if after is not None else {}
            going_on = {"ContinuationToken": token} if token is not None else {}
            return aws.asking(bucket, partial(_page, {**asked, **start, **going_on}))

        if pool is not None and not bucket.endswith(_UNORDERED):
            yield from pages_side_by_side(ask, prefix, pool)
            return
        token: str | None = None
        while True:
            page = ask(None, token)
            yield page
            if not page.get("IsTruncated"):
                return
            token = page["NextContinuationToken"]
    except FileNotFoundError as error:
        raise aws_errors.no_program(error) from error
    except (BotoCoreError, ClientError, ValueError) as error:
        raise aws_errors.failed(error, f"The folder {uri} cannot be listed") from error


def _page(asked: Mapping[str, str], client: Client, told: Mapping[str, str]) -> Page:
    return client.list_objects_v2(**asked, **told)


def _asked(uri: str, operation: Operation, **arguments: object) -> Answer:
    """S3's answer; OSError where it is about this object, StorageError where it may be about all."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return _send(uri, operation, arguments)
    except (BotoCoreError, ClientError, ValueError) as error:
        if aws_errors.status_of(error) == 404 and aws_errors.is_unmet(error):
            raise FileNotFoundError(2, "there is no such object", uri) from error
        if aws_errors.is_of_the_object(error):
            raise PermissionError(13, aws_errors.said_of_object(error), uri) from error
        raise aws_errors.failed(error, f"{uri} is out of reach") from error


def _asked_for(uri: str, operation: Operation, **arguments: object) -> Answer | None:
    """S3's answer; None where the object is not there, or not the one that was demanded."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return _send(uri, operation, arguments)
    except (BotoCoreError, ClientError, ValueError) as error:
        if aws_errors.is_unmet(error):
            return None
        raise aws_errors.failed(error, f"{uri} is out of reach") from error


def _send(uri: str, operation: Operation, arguments: Mapping[str, object]) -> Answer:
    bucket, key = aws.split(uri)
    try:
        answer: Answer = aws.asking(
            bucket, lambda client, told: getattr(client, operation)(Bucket=bucket, Key=key, **arguments, **told)
        )
    except FileNotFoundError as error:  # which says nothing of the object
        raise aws_errors.no_program(error) from error
    return answer


def _change(uri: str, operation: Operation, **arguments: object) -> Answer:
    try:
        return _asked(uri, operation, **arguments)
    except PermissionError as error:
        raise aws_errors.failed(error.__cause__ or error, f"{uri} cannot be written") from error


def _quick(uri: str) -> tuple["S3Store", str]:
    """A bucket by a quick client, and the key; a ValueError where that would take another key for it, or none."""
    bucket, key = aws.split(uri)
    if "//" in f"/{key}/":
        raise ValueError("it takes several slashes for one, which they are not on S3")
    return aws.object_store(bucket), key


def _quickly(uri: str, limit: int) -> bytes:
    """An object by a quick client, which asks again by itself and never takes a broken answer for a whole one."""
    store, key = _quick(uri)
    found = store.get(key)
    if 0 <= limit < found.meta["size"]:
        raise GenericError("boto3 reads the first part of an object")
    return bytes(found.bytes())


def _whole(uri: str, limit: int, ask: Callable[[str, Operation], Answer | None]) -> tuple[bytes, str] | None:
    """An object's first bytes and its ETag, asked for again where the answer breaks off; None where `ask` says so."""
    for _ in range(_TRIES):
        answer = ask(uri, "get_object")
        if answer is None:
            return None
        content, length = _part(answer, limit)
        if len(content) == (length if limit < 0 else min(length, limit)):
            return content, str(answer["ETag"])
    raise StorageError(f"{uri} is out of reach: the answer broke off {_TRIES} times. Check the network, and try again.")


def _part(answer: Answer, limit: int) -> tuple[bytes, int]:
    """What came of an object's first bytes before the answer ended or broke off, and how long the object is."""
    from botocore.exceptions import HTTPClientError, IncompleteReadError, ResponseStreamingError

    try:
        with answer["Body"] as body:
            # botocore compares what came with what was promised only where all is asked for at once.
            return body.read(None if limit < 0 else limit), answer["ContentLength"]
    except (HTTPClientError, IncompleteReadError, ResponseStreamingError):
        return b"", -1  # so that it is asked for again
