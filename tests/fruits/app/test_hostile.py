"""Clients that are slow, many or wrong: each costs bounded memory and time, and the next one is answered."""

import json
import socket
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress

import pytest

from fruits.app.connection import CONNECTIONS_EACH
from fruits.app.guard import HEADERS
from fruits.app.upload import MOST_BYTES, UPLOADS
from tests.fruits.app.serving import HOST, OTHER, SLOW, Server

pytestmark = pytest.mark.usefixtures("unhurt")


def heard(sending: socket.socket) -> bytes:
    """All that is said until the connection ends."""
    said = bytearray()
    try:
        while part := sending.recv(1 << 16):
            said += part
    except ConnectionResetError:
        pass
    return bytes(said)


def answer_of(said: bytes) -> tuple[int, str]:
    """Status and sentence of an answer, whose headers are ours."""
    head, _, body = said.partition(b"\r\n\r\n")
    assert {f"{name}: {value}".lower().encode() for name, value in HEADERS.items()} <= {*head.lower().split(b"\r\n")}
    return int(head.split()[1]), json.loads(body)["error"]


def post(length: str, begun: bytes = b"") -> bytes:
    """The head of an upload, and how it begins."""
    return f"POST /identify HTTP/1.1\r\nHost: {HOST}\r\n{length}\r\n\r\n".encode() + begun


def trickle(sending: socket.socket, parts: Sequence[bytes], seconds: float) -> None:
    """Send parts one after the other, until nobody listens."""
    for part in parts:
        try:
            sending.sendall(part)
        except OSError:
            return
        time.sleep(seconds)


# ---- slow -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begun", "part"),
    [
        (b"", b""),
        (b"POST /identify HTTP/1.1\r\n", b"X: y\r\n"),
        (post("Content-Length: 3000000"), b"x"),
        (post("Transfer-Encoding: chunked"), b"1\r\nx\r\n"),
    ],
    ids=["nothing", "head", "body", "chunks"],
)
def test_who_trickles_is_ended(server: Server, fruit: bytes, begun: bytes, part: bytes) -> None:
    """In mid-head or in mid-body: 408 and a sentence, and others are answered meanwhile."""
    with server.talk(begun) as sending:
        start = time.monotonic()
        sender = threading.Thread(target=trickle, args=(sending, [part] * 30, 0.1), daemon=True)
        sender.start()
        assert server.ask(fruit, OTHER).status == 200
        status, words = answer_of(heard(sending))
        assert time.monotonic() - start < SLOW
        assert (status, "did not arrive" in words) == (408, True)
        sender.join()


def test_who_begins_again_and_trickles_is_ended(server: Server) -> None:
    """A second head on a connection that has been answered, which is no news."""
    with server.talk(f"GET /icon.svg HTTP/1.1\r\nHost: {HOST}\r\n\r\nGET / HTTP/1.1\r\n".encode()) as sending:
        start = time.monotonic()
        trickle(sending, [b"X: y\r\n"] * 60, 0.1)
        assert heard(sending).count(b"HTTP/1.1 ") <= 1
        assert time.monotonic() - start < SLOW


def test_who_does_not_take_the_answer_is_ended(server: Server) -> None:
    """Questions on and on, and no answer read: nothing is taken any more, and the connection is cut."""
    questions = f"GET /plot.js HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode() * 200_000
    with server.talk(b"") as sending:
        start = time.monotonic()
        with pytest.raises(ConnectionError):
            sending.sendall(questions)
        assert time.monotonic() - start < SLOW


# ---- many -----------------------------------------------------------------------------------------------------------


def test_many_at_once_from_one_address_take_nobody_elses_place(server: Server, fruit: bytes) -> None:
    """Forty that begin large uploads and go no further: each is told something in time, and others need not wait."""
    begun = post(f"Content-Length: {MOST_BYTES}", bytes(4 << 20))
    with ExitStack() as stack:
        sending = []
        for _ in range(40):
            one = socket.create_connection((HOST, server.port), timeout=SLOW, source_address=(OTHER, 0))
            one.setblocking(False)
            stack.enter_context(one)
            with suppress(BlockingIOError):
                one.send(begun)
            sending.append(one)
        start = time.monotonic()
        assert server.ask(fruit).status == 200
        assert time.monotonic() - start < SLOW
        answers = []
        for one in sending:
            one.settimeout(SLOW)
            answers.append(answer_of(heard(one)))
    assert {status for status, _ in answers} <= {408, 503}
    assert [status for status, _ in answers].count(503) >= 40 - 5 * UPLOADS


def test_connections_of_one_address_are_limited(server: Server, fruit: bytes) -> None:
    """Who opens more is told to come again; others come in."""
    with ExitStack() as stack:
        open_ones = [stack.enter_context(server.talk(b"", OTHER)) for _ in range(CONNECTIONS_EACH)]
        assert len(open_ones) == CONNECTIONS_EACH
        with server.talk(b"", OTHER) as more:
            assert answer_of(heard(more))[0] == 503
        assert server.ask(fruit).status == 200


def test_honest_clients_at_once_are_all_answered(server: Server, fruit: bytes) -> None:
    """Twelve, who come again when they are told to."""
    statuses: list[int] = []

    def insist() -> None:
        end = time.monotonic() + SLOW
        while time.monotonic() < end:
            answer = server.ask(fruit)
            if answer.status != 503:
                statuses.append(answer.status)
                return
            time.sleep(float(answer.headers["retry-after"]))

    clients = [threading.Thread(target=insist) for _ in range(12)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert statuses == [200] * 12


# ---- wrong ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (post("Content-Length: 5", b"12345 and a good deal more\r\n\r\n"), 415),
        (post("Connection: close", b""), 400),
        (post("Content-Length: -1"), 400),
        (post("Content-Length: 9" + 4000 * "9"), 400),
        (post("Content-Length: 1\r\nContent-Length: 2"), 400),
        (post("Transfer-Encoding: chunked", b"zz\r\n"), 400),
        (post("Transfer-Encoding: gzip, chunked"), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"X: " + bytes(1 << 20), 400),
    ],
    ids=["longer", "no_length", "negative", "huge", "two", "no_chunk", "coding", "tls", "head"],
)
def test_broken_requests_are_refused(server: Server, sent: bytes, status: int) -> None:
    """With a sentence, and the connection ended."""
    with server.talk(b"") as sending:
        trickle(sending, [sent], 0)
        said = heard(sending)
        told = json.loads(said.partition(b"\r\n\r\n")[2].partition(b"HTTP/1.1")[0])
        assert int(said.split()[1]) == status
        assert len(told["error"]) > 20
        assert "\x1b" not in told["error"]


def test_chunks_without_end_are_refused_at_the_limit(server: Server) -> None:
    """413; then who sends on is cut off."""
    with server.talk(post("Transfer-Encoding: chunked")) as sending:
        part = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
        sender = threading.Thread(target=trickle, args=(sending, [part] * 100_000, 0), daemon=True)
        sender.start()
        first = sending.recv(1 << 16)
        first += b"" if first.endswith(b"}") else sending.recv(1 << 16)
        sender.join(SLOW)
        assert not sender.is_alive()
    assert answer_of(first)[0] == 413


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "application/json", "text/html", "image/svg+xml"])
def test_content_is_judged_by_itself_whatever_type_is_claimed(server: Server, fruit: bytes, kind: str) -> None:
    """A photograph is one under any type; anything else is none."""
    assert server.ask(fruit, Content_Type=kind).status == 200
    form = b"--x\r\nContent-Disposition: form-data; name=f; filename=a.jpg\r\n\r\n" + fruit + b"\r\n--x--\r\n"
    for content in (form, b"{}", b"<svg/>"):
        answer = server.ask(content, Content_Type=kind)
        assert (answer.status, answer.json["reason"]) == (415, "not_an_image")


def test_who_goes_away_leaves_nothing_behind(server: Server, fruit: bytes) -> None:
    """In mid-body, before the answer, and in mid-answer; by a reset."""
    whole = post(f"Content-Length: {len(fruit)}", fruit)
    for begun in (whole[:-10], whole, f"GET /map HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()):
        for wait in (0, 0.01, 0.1):
            with server.talk(begun) as sending:
                time.sleep(wait)
                sending.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
