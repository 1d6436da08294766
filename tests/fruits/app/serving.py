"""`fruits app` as a process of its own, for clients that are slow, wrong or hostile.

The server waits a second or two where it would wait longer; all else is as it is started by the command.
"""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.processes import descendants

HOST = "127.0.0.1"
OTHER = "127.0.0.2"  # another client's address
IMPATIENT = """
from fruits.app import connection, reader, upload
connection.SECONDS = 2.0
upload.STALLED_SECONDS, upload.SECONDS, upload.WAITING_SECONDS = 1.0, 4.0, 1.0
from fruits.__main__ import main
main()
"""
SERVER_MORE, READER_MORE = 700 << 20, 1600 << 20
"""Bytes that the processes may grow by: eight uploads of 32 MiB, twice for a moment; a photograph of 50 megapixels."""

SLOW = 30.0  # seconds in which each client here has been answered, on a machine that is busy


@dataclass(frozen=True)
class Answer:
    """What came back: status, headers by their names in lower case, and the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's value."""
        return json.loads(self.body)


class Server:
    """The command that serves, and its memory."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self.process, self.port = process, port

    def ask(self, content: bytes, address: str = HOST, path: str = "/identify", **headers: str) -> Answer:
        """Send a photograph from an address."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=2 * SLOW, source_address=(address, 0))
        connection.request("POST", path, content, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        found = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        connection.close()
        return found

    @contextmanager
    def talk(self, begun: bytes, address: str = HOST) -> Iterator[socket.socket]:
        """Say something to it from an address."""
        with socket.create_connection((HOST, self.port), timeout=SLOW, source_address=(address, 0)) as sending:
            sending.sendall(begun)
            yield sending

    def largest(self) -> tuple[int, int]:
        """Bytes that the process has had in memory at most, and the largest of those that it has started."""
        return _peak(self.process.pid), max(_peak(pid) for pid in descendants(self.process.pid))


def _peak(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) << 10 if found else 0


@contextmanager
def serving(lake: str) -> Iterator[Server]:
    """The command for a lake; at the end it has said nothing."""
    command = [sys.executable, "-c", IMPATIENT, "app", "--port", "0", "--lake", lake]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as app:
        try:
            assert app.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:(\d+) ", app.stdout.readline())
            assert found
            yield Server(app, int(found[1]))
        finally:
            app.terminate()
        assert app.communicate(timeout=SLOW)[1] == ""
