"""Files on S3: objects by their keys, which slashes make into folders."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO

from obstore.exceptions import BaseError, GenericError

from lakehouse.errors import StorageError
from lakehouse.storage import aws
from lakehouse.storage.base import FileStatus
from lakehouse.storage.uri import S3

_TRIES = 3  # of an answer that breaks off; boto3 itself asks again only where none begins


class S3Storage:
    """See `lakehouse.storage`."""

    def list_folders(self, uri: str) -> list[str]:
        """See `storage.list_folders`; a folder is there as long as an object is below it."""
        bucket, _ = aws.split(uri)
        folders, objects = [], 0
        for page in _pages(uri, recursive=False):
            folders += [f"{S3}{bucket}/{found['Prefix'].removesuffix('/')}" for found in page.get("CommonPrefixes", ())]
            objects += page.get("KeyCount", 0)
        if not objects:
            raise StorageError(f"The folder {uri} cannot be listed: there is nothing.")
        return sorted(folders)

    def list_files(self, uri: str, *, recursive: bool) -> Iterator[FileStatus]:
        """See `storage.list_files`; objects whose key ends with a slash are what some tools make of folders."""
        bucket, _ = aws.split(uri)
        for page in _pages(uri, recursive=recursive):
            for found in page.get("Contents", ()):
                if not found["Key"].endswith("/"):
                    modified = round(found["LastModified"].timestamp() * 1_000_000)
                    yield FileStatus(f"{S3}{bucket}/{found['Key']}", found["Size"], modified)

    def exists(self, uri: str) -> bool:
        """See `storage.exists`."""
        try:
            _asked(uri, "head_object")
        except FileNotFoundError:
            return False
        return True

    def open_file(self, uri: str) -> BinaryIO:
        """See `storage.open_file`."""
        file: BinaryIO = aws.arrow_filesystem().open_input_file("/".join(aws.split(uri)))
        return file

    def create_file(self, uri: str) -> BinaryIO:
        """See `storage.create_file`; the object is there when it is closed."""
        file: BinaryIO = aws.arrow_filesystem().open_output_stream("/".join(aws.split(uri)))
        return file

    def read_file(self, uri: str, limit: int) -> bytes:
        """See `storage.read_file`."""
        with suppress(BaseError, FileNotFoundError, ValueError):  # boto3 knows more of what fails, and says it
            return _quickly(uri, limit)
        for _ in range(_TRIES):
            content, length = _part(uri, limit)
            if len(content) == (length if limit < 0 else min(length, limit)):
                return content
        raise StorageError(
            f"{uri} is out of reach: the answer broke off {_TRIES} times. Check the network, and try again."
        )

    def write_file(self, uri: str, content: bytes) -> None:
        """See `storage.write_file`."""
        _change(uri, "put_object", Body=content)

    def remove_file(self, uri: str) -> None:
        """See `storage.remove_file`."""
        _change(uri, "delete_object")


def _pages(uri: str, *, recursive: bool) -> Iterator[dict[str, Any]]:
    from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

    bucket, key = aws.split(uri)
    prefix = f"{key}/" if key else ""
    try:
        pages = aws.shared_client().get_paginator("list_objects_v2")
        yield from pages.paginate(Bucket=bucket, Prefix=prefix, **({} if recursive else {"Delimiter": "/"}))
    except (BotoCoreError, ClientError, ValueError) as error:
        raise aws.failed(error, f"The folder {uri} cannot be listed") from error


def _asked(uri: str, operation: str, **arguments: object) -> dict[str, Any]:
    """S3's answer; OSError where it is about this object, StorageError where it may be about all."""
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, key = aws.split(uri)
    try:
        answer: dict[str, Any] = getattr(aws.shared_client(), operation)(Bucket=bucket, Key=key, **arguments)
    except (BotoCoreError, ClientError, ValueError) as error:
        if aws.status_of(error) == 404 and aws.code_of(error) != "NoSuchBucket":
            raise FileNotFoundError(2, "there is no such object", uri) from error
        if aws.is_of_the_object(error):
            raise PermissionError(13, aws.code_of(error), uri) from error
        raise aws.failed(error, f"{uri} is out of reach") from error
    return answer


def _change(uri: str, operation: str, **arguments: object) -> None:
    try:
        _asked(uri, operation, **arguments)
    except PermissionError as error:
        raise aws.failed(error.__cause__ or error, f"{uri} cannot be written") from error  # type: ignore[arg-type]


def _quickly(uri: str, limit: int) -> bytes:
    """An object by a quick client, which asks again by itself and never takes a broken answer for a whole one."""
    bucket, key = aws.split(uri)
    if "//" in f"/{key}/":
        raise ValueError("it takes several slashes for one, which they are not on S3")
    found = aws.object_store(bucket).get(key)
    if 0 <= limit < found.meta["size"]:
        raise GenericError("boto3 reads the first part of an object")
    return bytes(found.bytes())


def _part(uri: str, limit: int) -> tuple[bytes, int]:
    """What came of an object's first bytes before the answer ended or broke off, and how long the object is."""
    from botocore.exceptions import HTTPClientError, IncompleteReadError, ResponseStreamingError

    answer = _asked(uri, "get_object")
    try:
        with answer["Body"] as body:
            # botocore compares what came with what was promised only where all is asked for at once.
            return body.read(None if limit < 0 else limit), answer["ContentLength"]
    except (HTTPClientError, IncompleteReadError, ResponseStreamingError):
        return b"", -1  # so that it is asked for again
