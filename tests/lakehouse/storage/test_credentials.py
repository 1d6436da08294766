"""Credentials that are not there, not right or not valid any more: what is said names what to renew or to mend."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from lakehouse.errors import StorageError
from lakehouse.storage import list_files, read_file
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from tests.lakehouse.engine.fruit import FRUIT

SSO = """
[profile work]
sso_session = company
sso_account_id = 123456789012
sso_role_name = reader
region = eu-west-3
[sso-session company]
sso_region = eu-west-3
sso_start_url = https://company.example.org/start
"""
PROCESS = "[profile work]\nregion = eu-west-3\ncredential_process = /nowhere/tool\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without AWS's files, and nothing of AWS in the environment; returns where the config file would be."""
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_ENDPOINT_URL_S3",
    ):
        monkeypatch.delenv(name, raising=False)
    config = tmp_path / "config"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    return config


def all_that_ask(uri: str) -> list[str]:
    """What listing, reading and opening a table say."""
    said = []
    asking = (
        lambda: [*list_files(uri, recursive=True)],
        lambda: read_file(f"{uri}/a.png"),
        lambda: delta.open_table(Lake(uri), FRUIT),
    )
    for ask in asking:
        with pytest.raises(StorageError) as told:
            ask()
        said.append(str(told.value))
    return said


@pytest.mark.parametrize(
    ("config", "variables", "words"),
    [
        ("", {"AWS_PROFILE": "work"}, ("(work)", "Set AWS_PROFILE to a profile")),
        (SSO, {"AWS_PROFILE": "work"}, ("renew them", "aws sso login")),
        (PROCESS, {"AWS_PROFILE": "work"}, ("credential_process", "/nowhere/tool", "Mend the profile")),
        ("", {"AWS_ACCESS_KEY_ID": "key"}, ("AWS_SECRET_ACCESS_KEY",)),
        ("[broken", {}, ("config", "Mend that file")),
        ("", {}, ("Set AWS_PROFILE, or AWS_ACCESS_KEY_ID",)),
    ],
    ids=["profile that is not there", "SSO session over", "process", "half a key", "broken file", "none"],
)
def test_what_is_to_be_mended_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch, config: str, variables: dict[str, str], words: tuple[str, ...]
) -> None:
    """By whoever asks first, without a word to S3."""
    home.write_text(config)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for said in all_that_ask("s3://bucket/photographs"):
        for word in words:
            assert word in said


@pytest.fixture
def refusing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An S3 that answers everything with one error."""
    code, status = request.param
    content = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>It is so.</Message></Error>".encode()

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the library's name
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_HEAD = do_PUT = do_POST = do_GET  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
    }.items():
        monkeypatch.setenv(name, value)
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("refusing", "words"),
    [
        (("ExpiredToken", 400), "renew them"),
        (("InvalidToken", 400), "renew them"),
        (("InvalidAccessKeyId", 403), "set AWS_ACCESS_KEY_ID"),
        (("SignatureDoesNotMatch", 403), "not that of the key"),
        (("RequestTimeTooSkewed", 403), "clock"),
    ],
    indirect=["refusing"],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_servers_refusal_is_said_with_what_to_renew(refusing: None, words: str) -> None:
    """Not that the network or the endpoint be checked."""
    for said in all_that_ask("s3://bucket/photographs"):
        assert words in said
        assert "Check the network" not in said


@pytest.mark.parametrize("refusing", [("InvalidObjectState", 403)], indirect=True)
def test_archived_object_is_said_to_be_restored(refusing: None) -> None:
    """It is one photograph's matter: the others are read."""
    with pytest.raises(PermissionError, match="restore it there"):
        read_file("s3://bucket/photographs/a.png")
