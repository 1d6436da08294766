"""What `fruits app` takes from whom: foreign sites, large files, many at once, slow ones; and that nothing is kept."""

import http.client
import io
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio
import pytest
from PIL import Image
from starlette.exceptions import HTTPException
from starlette.requests import Request

import fruits.app.upload
from fruits.app.guard import HEADERS, is_loopback, own_host
from fruits.app.known import LakeView
from fruits.app.upload import MOST_BYTES, UPLOADS, read_upload
from fruits.settings import Settings
from lakehouse.errors import LakehouseError
from tests.fruits.app.conftest import HOST, App

FOREIGN = {
    "another site": {"Origin": "http://evil.example"},
    "a page without an origin": {"Origin": "null"},
    "another port": {"Origin": "http://127.0.0.1:1"},
    "another name": {"Origin": "http://localhost"},
    "a site, as browsers say it": {"Sec_Fetch_Site": "cross-site"},
    "a neighbour, as browsers say it": {"Sec_Fetch_Site": "same-site"},
}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/page.css", 200),
        ("GET", "/page.js", 200),
        ("GET", "/plot.js", 200),
        ("GET", "/icon.svg", 200),
        ("GET", "/map", 200),
        ("GET", "/nothing", 404),
        ("GET", "/identify", 405),
        ("POST", "/identify", 400),
    ],
)
def test_every_answer_tells_the_browser_what_to_refuse(app: App, method: str, path: str, status: int) -> None:
    """Content policy, no sniffing, no referrer, no frames, no copies: on the page, on data and on errors."""
    answer = app.ask(method, path)
    assert answer.status == status
    assert {name: answer.headers[name.lower()] for name in HEADERS} == HEADERS
    assert "server" not in answer.headers


def test_content_policy_lets_nothing_foreign_in(app: App) -> None:
    """Nothing but what the server itself sends, and the page needs nothing else."""
    policy = dict(part.strip().split(" ", 1) for part in HEADERS["Content-Security-Policy"].split(";"))
    assert (policy["default-src"], policy["frame-ancestors"]) == ("'none'", "'none'")
    assert {source for sources in policy.values() for source in sources.split()} == {"'none'", "'self'", "blob:"}
    page = app.ask("GET", "/").body.decode()
    assert "style=" not in page
    assert "//" not in page.replace("<!--", "")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.0.2.7", "", "[::1", "localhost@evil"])
def test_foreign_host_is_refused(app: App, host: str) -> None:
    """A site whose name points to this machine (DNS rebinding) gets neither the page nor an answer."""
    for method, path in (("GET", "/"), ("GET", "/map"), ("POST", "/identify")):
        answer = app.ask(method, path, Host=host)
        assert answer.status == 421
        assert answer.json.keys() == {"error"}


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1:80", "[::1]:8000"])
def test_own_names_are_taken(app: App, host: str) -> None:
    """However this machine calls itself, through whatever port."""
    assert app.ask("GET", "/", Host=host).status == 200


def test_on_a_network_addresses_and_the_own_name_are_taken() -> None:
    """Bound elsewhere, a phone asks by address or by the machine's name; a foreign name is foreign still."""
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "192.0.2.7", "fruit")] == [
        True, True, True, False, False, False
    ]  # fmt: skip
    is_own = own_host("0.0.0.0")
    machine = socket.gethostname().lower()
    assert all(map(is_own, ("192.0.2.7", "2001:db8::7", "localhost", machine, f"{machine}.local")))
    assert not any(map(is_own, ("evil.example", "", "192.0.2.7.evil.example")))


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
def test_foreign_page_may_not_ask(app: App, fruit: bytes, headers: dict[str, str]) -> None:
    """A page of another origin that sends a photograph is refused before it is looked at."""
    answer = app.ask("POST", "/identify", fruit, **headers)
    assert answer.status == 403
    assert "label" not in answer.json


def test_own_page_may_ask(app: App, fruit: bytes) -> None:
    """A browser says where the page is from, and that is here."""
    assert app.ask("POST", "/identify", fruit, Origin=app.url, Sec_Fetch_Site="same-origin").status == 200


def test_large_file_is_refused_by_its_length(app: App) -> None:
    """100 MB that are announced: 413 with the limit, before the first byte is sent."""
    connection = http.client.HTTPConnection(HOST, app.port, timeout=30)
    connection.putrequest("POST", "/identify")
    connection.putheader("Content-Length", "100000000")
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert "at most 32 MB" in json.loads(answer.read())["error"]
    connection.close()


def test_large_file_is_sent_to_the_end_and_refused(app: App) -> None:
    """Who sends all of it reads the answer still, and no reset connection."""
    answer = app.ask("POST", "/identify", bytes(100_000_000))
    assert (answer.status, answer.json["error"][:22]) == (413, "The file is too large:")


@pytest.mark.parametrize("announced", [{}, {"content-length": "10"}])
def test_upload_is_read_no_further_than_the_limit(announced: dict[str, str]) -> None:
    """Where no length is announced, or a wrong one, reading ends with the part that is too much."""
    given: list[int] = []

    async def receive() -> dict[str, object]:
        given.append(1)
        return {"type": "http.request", "body": bytes(1000), "more_body": True}

    headers = [(name.encode(), value.encode()) for name, value in announced.items()]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    with pytest.raises(HTTPException, match="too large") as error:
        anyio.run(read_upload, request, 4500)
    assert (error.value.status_code, len(given)) == (413, 5)


@contextmanager
def uploads(port: int, number: int) -> Iterator[None]:
    """Begin so many uploads, and go on with none."""
    with ExitStack() as stack:
        for _ in range(number):
            sending = stack.enter_context(socket.create_connection((HOST, port), timeout=30))
            sending.sendall(f"POST /identify HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 100\r\n\r\nbegun".encode())
        yield


def until(app: App, content: bytes, status: int) -> dict[str, str]:
    """Ask until the answer has this status; returns its headers."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        answer = app.ask("POST", "/identify", content)
        if answer.status == status:
            return dict(answer.headers)
        time.sleep(0.02)
    raise AssertionError(f"No answer was {status}")


def test_too_many_at_once_are_asked_to_come_again(app: App, fruit: bytes) -> None:
    """As many as memory is meant for, then 503 with the time to wait; the page is there meanwhile, and all is after."""
    with uploads(app.port, UPLOADS):
        assert until(app, fruit, 503)["retry-after"] == "2"
        assert app.ask("GET", "/map").status == 200
    until(app, fruit, 200)


def test_slow_upload_is_ended(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who begins and does not go on gives its place away."""
    monkeypatch.setattr(fruits.app.upload, "SECONDS", 0.05)
    with socket.create_connection((HOST, app.port), timeout=30) as sending:
        sending.sendall(f"POST /identify HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 100\r\n\r\nbegun".encode())
        assert sending.recv(65536).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(("error", "status"), [(LakehouseError("no bucket"), 503), (RuntimeError("no bucket"), 500)])
def test_what_goes_wrong_here_is_told_to_the_terminal_alone(
    app: App, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], error: Exception, status: int
) -> None:
    """The page is told that it was not its doing, in JSON and under the same headers; places are named on stderr."""

    def fail(_: LakeView) -> None:
        raise error

    monkeypatch.setattr(LakeView, "map", fail)
    answer = app.ask("GET", "/map")
    assert (answer.status, answer.json.keys()) == (status, {"error"})
    assert b"bucket" not in answer.body
    assert HEADERS.items() <= {name: answer.headers.get(name.lower()) for name in HEADERS}.items()
    if status == 503:  # uvicorn prints the traceback of the other, after the answer
        assert "no bucket" in capfd.readouterr().err


class Written:
    """The files that this process opens for writing, as Python is told; noted while `on`."""

    def __init__(self) -> None:
        self.on = False
        self.files: list[str] = []
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[object, ...]) -> None:
        writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT
        if self.on and event == "open" and isinstance(arguments[2], int) and arguments[2] & writing:
            self.files.append(str(arguments[0]))


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "TIFF", "JPEG"])
def test_picture_of_more_pixels_than_a_camera_has_is_refused_unread(app: App, kind: str) -> None:
    """Little content that says it is 52 megapixels, in each format; the lake itself takes twice as many."""
    content = io.BytesIO()
    Image.new("1" if kind in ("PNG", "TIFF") else "L", (7200, 7200)).save(content, kind)
    answer = app.ask("POST", "/identify", content.getvalue())
    assert (answer.status, answer.json["reason"]) == (422, "too_many_pixels")
    assert "at most 50 megapixels" in answer.json["error"]


def test_nothing_is_stored(app: App, fruit: bytes, served_settings: Settings) -> None:
    """A photograph, the largest too, is in memory alone: no file is opened for writing, and the lake is as it was."""
    lake = Path(served_settings.lake.removeprefix("file://"))
    before, written = {*lake.rglob("*")}, Written()
    written.on = True
    for content in (fruit, fruit + bytes(MOST_BYTES - len(fruit)), b"no photograph"):
        app.ask("POST", "/identify", content)
    written.on = False
    assert written.files == []
    assert {*lake.rglob("*")} == before
