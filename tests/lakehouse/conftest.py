"""A real S3 server for the run, and an empty bucket for a test."""

import itertools
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from tests.lakehouse.s3server import Proxy, S3Server, UnavailableError, environment, versitygw

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A versitygw on the loopback interface; tests that need it skip where it cannot be had."""
    try:
        versitygw()
        server = S3Server(tmp_path_factory.mktemp("s3"))
        server.start()
    except UnavailableError as error:
        pytest.skip(str(error))
    yield server
    server.stop()


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[Proxy]:
    """A proxy before the server, which does nothing wrong until it is told to."""
    proxy = Proxy(s3_server)
    yield proxy
    proxy.stop()


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A boto3 client for the server, to which the environment points, too."""
    for name, value in environment(s3_server.port).items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    import boto3

    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # MLflow's, which keeps the credentials that it found first
    if (of_mlflow := sys.modules.get("mlflow.store.artifact.s3_artifact_repo")) is not None:
        of_mlflow._cached_get_s3_client.cache_clear()  # it keeps clients by all but AWS_ENDPOINT_URL: of another server
    return _client(s3_server.port)


@cache
def _client(port: int) -> Any:
    """A client that serves all tests: what describes S3's protocol to boto3 takes longer to read than most of them."""
    import boto3

    return boto3.Session().client("s3")


@pytest.fixture
def bucket(s3: Any) -> str:
    """The name of a new bucket."""
    name = f"fruits-{next(_numbers)}"
    s3.create_bucket(Bucket=name)
    return name
