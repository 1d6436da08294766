"""What S3 refuses is said in one sentence by each command, with what to do; what one object lacks is that object's."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.conftest import add_photographs, photograph
from tests.fruits.cli.test_cli import call
from tests.lakehouse.conftest import bucket, proxy, s3, s3_server  # noqa: F401 - fixtures
from tests.lakehouse.s3server import Proxy

Captured = pytest.CaptureFixture[str]
COMMANDS = {
    "run": ["run", "--images", "{photographs}"],
    "bronze": ["bronze", "--images", "{photographs}"],
    "silver": ["silver"],
    "gold": ["gold"],
    "relabel": ["relabel", "0.png", "Kiwi"],
    "rollback": ["rollback", "1"],
    "forget": ["forget", "s3://x/0.png"],
    "doctor": ["doctor", "--repair"],
    "sql": ["sql", "SELECT 1 FROM gold.projections"],
    "models": ["models"],
    "history": ["history"],
    "quarantine": ["quarantine"],
    "report": ["report"],
    "identify": ["identify", "{photographs}/Apple/0.png"],
}
REFUSALS = {
    "AccessDenied": (403, r"The credentials must be valid, and allow s3:GetObject"),
    "ExpiredToken": (400, r"The credentials have ended: renew them"),
    "InvalidAccessKeyId": (403, r"The server does not know this key"),
    "NoSuchBucket": (404, r"Create the bucket, or name another one"),
    "PermanentRedirect": (301, r"The bucket is in another region"),
    "RequestTimeTooSkewed": (403, r"Set this machine's clock right"),
    "SignatureDoesNotMatch": (403, r"The secret is not that of the key"),
}


@pytest.fixture
def refusing(proxy: Proxy, s3: Any, monkeypatch: pytest.MonkeyPatch) -> Proxy:  # noqa: F811
    """The server behind a proxy that refuses what it is told to."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    return proxy


def check_refused(captured: Captured, command: str, lake: str, photographs: Path, says: str) -> None:
    """A command ends with a status and one sentence, which names the place."""
    captured.readouterr()
    words = [word.replace("{photographs}", str(photographs)) for word in COMMANDS[command]]
    assert call(*words, "--lake", lake) == 1
    said = captured.readouterr()
    text = " ".join(f"{said.out} {said.err}".split())
    assert "Traceback" not in text
    assert len(re.findall("Error: ", said.err)) == 1, text
    assert lake.removeprefix("s3://").partition("/")[0] in text
    assert re.search(says, text), text


@pytest.mark.parametrize("code", REFUSALS)
def test_refusal_is_one_sentence(refusing: Proxy, photographs: Path, capsys: Captured, code: str) -> None:
    """What to do depends on what the server calls it; one of them is met by every command."""
    add_photographs(photographs, "Apple", range(1))
    status, says = REFUSALS[code]
    refusing.refused[""] = status, code
    for command in COMMANDS if code == "ExpiredToken" else ("run", "sql"):
        check_refused(capsys, command, "s3://refused/lake", photographs, says)


@pytest.mark.parametrize("wrong", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "bucket"])
def test_what_is_wrong_with_the_call_is_said_by_a_real_server(
    bucket: str,  # noqa: F811
    photographs: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
) -> None:
    """A key that nobody has, a secret of another one, a bucket that is not there."""
    if wrong != "bucket":
        monkeypatch.setenv(wrong, "wrong")
    lake = f"s3://{bucket if wrong != 'bucket' else 'gone'}/lake"
    says = {"AWS_ACCESS_KEY_ID": "does not know this key", "AWS_SECRET_ACCESS_KEY": "not that of the key"}
    for command in ("run", "sql", "identify"):
        check_refused(capsys, command, lake, photographs, says.get(wrong, "Create the bucket"))


PAGES = {"any page": (200, ""), "no page": (404, ""), "page to sign in on": (302, "http://login.invalid/")}


@contextmanager
def website(status: int, location: str) -> Iterator[str]:
    """The address of a server that answers to every request by a page."""

    class Page(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            for name, value in {"Content-Type": "text/html", "Location": location, "Connection": "close"}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(b"<html>")

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - the base class's names

        def log_message(self, *_: object) -> None:
            """Nothing of it is a test's output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("page", PAGES)
def test_website_in_place_of_s3_is_said(
    photographs: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    """A wrong address, or a network that wants people to sign in; a page is no empty folder."""
    add_photographs(photographs, "Apple", range(1))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "some")
    with website(*PAGES[page]) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        for command in COMMANDS if page == "any page" else ("run", "sql"):
            check_refused(
                capsys, command, f"s3://{page.replace(' ', '-')}/lake", photographs, "no S3 server: it sent a page"
            )


@pytest.mark.slow  # it waits as often as a lease is asked for
def test_server_that_never_answers_is_said(
    photographs: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It accepts connections; as a firewall does that drops what comes."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "some")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        check_refused(
            capsys, "run", "s3://silent/lake", photographs, "Read timeout .* Check the network and AWS_ENDPOINT_URL"
        )


@pytest.fixture
def apples(bucket: str, s3: Any) -> str:  # noqa: F811
    """The URI of three photographs."""
    for number in range(3):
        s3.put_object(Bucket=bucket, Key=f"Apple/{number}.png", Body=photograph(number))
    return f"s3://{bucket}"


def test_archived_photograph_is_held_back_with_what_to_do(
    refusing: Proxy, apples: str, tmp_path: Path, capsys: Captured
) -> None:
    """The others are taken, and it is when it has been restored."""
    refusing.refused["Apple/1.png"] = 403, "InvalidObjectState"
    run = ("bronze", "--images", apples, "--lake", tmp_path / "lake", "--format", "json")
    assert call(*run) == 0
    assert '"ingested": 2' in capsys.readouterr().out
    assert call("quarantine", "--lake", tmp_path / "lake", "--format", "json") == 0
    assert "restore it there" in capsys.readouterr().out
    refusing.refused.clear()
    assert call(*run) == 0
    assert '"ingested": 1' in capsys.readouterr().out


def test_photograph_that_goes_between_listing_and_reading_is_no_fault(
    refusing: Proxy, apples: str, tmp_path: Path, capsys: Captured
) -> None:
    """It is neither a row nor in quarantine."""
    refusing.refused["Apple/1.png"] = 404, "NoSuchKey"
    assert call("bronze", "--images", apples, "--lake", tmp_path / "lake", "--format", "json") == 0
    said = capsys.readouterr().out
    assert '"ingested": 2' in said
    assert '"quarantined": 0' in said
