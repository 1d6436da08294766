"""Objects on S3 that are written as files."""

from typing import Any

import pytest

from lakehouse import storage
from lakehouse.errors import StorageError
from lakehouse.storage.object_writer import PART_BYTES


def write_half(uri: str, length: int) -> None:
    """Fail after so many bytes."""
    with storage.create_file(uri) as file:
        file.write(bytes(length))
        raise ValueError("of the writer")


@pytest.mark.parametrize("length", [0, PART_BYTES, PART_BYTES + 1])
def test_object_is_there_when_it_is_closed(s3: Any, bucket: str, length: int) -> None:
    """Of any length, in one request or several, from pieces of any length."""
    content = bytes(number % 251 for number in range(1000)) * (length // 1000 + 1)
    with storage.create_file(f"s3://{bucket}/p/a b+é") as file:
        for start in range(0, length, 3 << 20):
            file.write(content[start : min(start + (3 << 20), length)])
        assert file.tell() == length
        assert storage.list_names(f"s3://{bucket}/p") == []
    assert storage.read_file(f"s3://{bucket}/p/a b+é") == content[:length]


def test_error_while_writing_leaves_no_part_of_an_object(s3: Any, bucket: str) -> None:
    """Neither a short one nor the parts of a long one."""
    for length in (1, PART_BYTES + 1):
        with pytest.raises(ValueError, match="of the writer"):
            write_half(f"s3://{bucket}/a", length)
        assert not storage.exists(f"s3://{bucket}/a")
        assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_upload_that_fails_makes_no_object_and_leaves_nothing(s3: Any, bucket: str) -> None:
    """The error stands for whatever is done with the file after it."""
    file = storage.create_file(f"s3://{bucket}/a")
    file.write(bytes(PART_BYTES + 1))
    (upload,) = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    s3.abort_multipart_upload(Bucket=bucket, Key="a", UploadId=upload["UploadId"])
    with pytest.raises(StorageError, match=f"s3://{bucket}/a .*NoSuchUpload"):
        file.write(bytes(6 * PART_BYTES))
    with pytest.raises(StorageError, match="NoSuchUpload"):
        file.close()
    assert not storage.exists(f"s3://{bucket}/a")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
