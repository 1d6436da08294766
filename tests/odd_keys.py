"""An S3 server that keeps keys in memory, moto's, and so takes keys that disks have no files for."""

import itertools
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.moto import moto_served

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def odd_keys_server() -> Iterator[str]:
    """The address of the server."""
    with moto_served() as url:
        yield url


@pytest.fixture
def put_keys(odd_keys_server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that puts objects into a new bucket, and returns the bucket's URI."""
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", odd_keys_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "fruits")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "fruits")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    bucket = f"odd-keys-{next(_numbers)}"

    def put(*keys: str, content: bytes = b"x") -> str:
        client = boto3.Session().client("s3")
        client.create_bucket(Bucket=bucket)
        for key in keys:
            client.put_object(Bucket=bucket, Key=key, Body=content)
        return f"s3://{bucket}"

    return put
