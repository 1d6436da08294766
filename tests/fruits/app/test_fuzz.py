"""Uploads that a fuzzer makes up, to the command as it is started: each is answered in words, and harms no other."""

import json
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fruits.app.fuzzing import PHOTOGRAPHS, Sent, damaged_photographs, requests
from tests.fruits.app.serving import HOST, Server

pytestmark = pytest.mark.usefixtures("unhurt")  # which sends a right one before all of these and after, and looks
REFUSED = {400, 408, 413, 415, 422, 503}
PROFILE = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FEW = settings(PROFILE, max_examples=60)
MANY, SLOW_ONES = (settings(PROFILE, max_examples=number, derandomize=False) for number in (4000, 1000))
ASKED = requests([PHOTOGRAPHS["JPEG"], PHOTOGRAPHS["PNG"][:60], b"no photograph"])


def assert_said(status: int, body: bytes) -> None:
    """An answer, or a refusal in a sentence or two."""
    told = json.loads(body)
    if status == 200:
        assert {"label", "confidence", "neighbours", "preview"} <= told.keys()
        return
    assert status in REFUSED
    assert told.keys() <= {"error", "reason"}
    words = told["error"]
    assert len(words) > 20
    assert words[-1] in ".?"
    assert words.isprintable()


def assert_photograph_is_answered(server: Server, content: bytes) -> None:
    """Whatever became of it."""
    answer = server.ask(content)
    assert_said(answer.status, answer.body)


def answers(said: bytes) -> list[tuple[int, bytes]]:
    """Status and body of each answer, of which each says its length; what is asked to go on is no answer."""
    found = []
    while said:
        head, _, rest = said.partition(b"\r\n\r\n")
        status = int(head.split()[1])
        if status == 100:
            said = rest
            continue
        (length,) = (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        assert len(rest) >= length
        found.append((status, rest[:length]))
        said = rest[length:]
    return found


def heard(server: Server, content: bytes, *, leaving: bool) -> bytes:
    """All that is said to a client that sends this, and then nothing, or that it will say no more."""
    said = b""
    with server.talk(b"") as sending:
        try:
            sending.sendall(content)
            if leaving:
                sending.shutdown(socket.SHUT_WR)
            while part := sending.recv(1 << 16):
                said += part
        except (ConnectionResetError, BrokenPipeError):  # it was told to go while it still sent
            pass
    return said


def assert_request_is_answered(server: Server, sent: Sent, *, leaving: bool) -> None:
    """Of one that lies the first answer is a refusal at the latest when time is up; who has left hears nothing."""
    found = answers(heard(server, sent.content, leaving=leaving))
    for status, body in found:
        assert_said(status, body)
    assert found or leaving
    if sent.honest and not leaving:
        assert len(found) == 1


@FEW
@given(content=damaged_photographs())
def test_damaged_photograph_is_answered(server: Server, content: bytes) -> None:
    """Of each format: taken as it is by now, or refused in words."""
    assert_photograph_is_answered(server, content)


@FEW
@given(sent=ASKED, leaving=st.booleans())
def test_odd_request_is_answered(server: Server, sent: Sent, leaving: bool) -> None:
    """Forms that are cut, repeated, of other boundaries and names; lengths that lie."""
    assert_request_is_answered(server, sent, leaving=leaving)


@pytest.mark.soak
@MANY
@given(content=damaged_photographs())
def test_damaged_photographs_are_answered_for_long(server: Server, content: bytes) -> None:
    """As above, others each time."""
    assert_photograph_is_answered(server, content)


@pytest.mark.soak
@SLOW_ONES
@given(sent=ASKED, leaving=st.booleans())
def test_odd_requests_are_answered_for_long(server: Server, sent: Sent, leaving: bool) -> None:
    """As above, others each time; who promises more than it sends is waited for."""
    assert_request_is_answered(server, sent, leaving=leaving)


def test_undamaged_photographs_are_taken(server: Server) -> None:
    """But for JPEG 2000, so that it is the damage that is refused."""
    statuses = {name: server.ask(content).status for name, content in PHOTOGRAPHS.items()}
    assert statuses == {name: 415 if name == "JPEG 2000" else 200 for name in PHOTOGRAPHS}


def test_right_request_is_honest_and_answered(server: Server) -> None:
    """By the same reading of answers."""
    content = PHOTOGRAPHS["JPEG"]
    head = f"POST /identify HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nContent-Length: {len(content)}\r\n\r\n"
    ((status, body),) = answers(heard(server, head.encode() + content, leaving=False))
    assert_said(status, body)
    assert status == 200
