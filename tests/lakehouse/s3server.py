"""A real S3 server for tests, versitygw, and a proxy that stands before it and misbehaves when it is told to."""

import http.client
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections import deque
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

VERSION = "v1.8.0"
"""Its conditional PUTs are atomic, as older ones' are not. It needs Go 1.25, or 1.21 and leave to fetch that."""
MODULE = f"github.com/versity/versitygw/cmd/versitygw@{VERSION}"
KEY, SECRET = "fruits", "fruits-secret"


class UnavailableError(Exception):
    """The server cannot be had on this machine; the message says why."""


def versitygw() -> Path:
    """The server's program, built once and kept in the user's cache.

    Raises:
        UnavailableError: there is no Go, or it cannot build the module.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fruits-test"
    program = folder / f"versitygw-{VERSION}"
    if program.exists():
        return program
    go = shutil.which("go")
    if go is None:
        raise UnavailableError(f"building {MODULE} needs Go, and there is none")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as made:
        environment = {**os.environ, "GOBIN": made, "CGO_ENABLED": "0"}
        command = [go, "install", "-trimpath", "-ldflags=-s -w", MODULE]
        try:
            subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=True)
        except subprocess.TimeoutExpired as error:
            raise UnavailableError(f"go install {MODULE} took longer than {error.timeout} seconds") from error
        except subprocess.CalledProcessError as error:
            raise UnavailableError(f"go install {MODULE}: {error.stderr.strip()[-300:]}") from error
        Path(made, "versitygw").replace(program)
    return program


class S3Server:
    """One versitygw over a folder, on a port of the loopback interface that it keeps when it is started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    def folder_of(self, bucket: str) -> Path:
        """Where the objects of a bucket are as files, by their keys: made there they are objects, too."""
        return self._folder / "buckets" / bucket

    def start(self) -> None:
        """Start it and wait until it listens.

        Raises:
            UnavailableError: it ended at once; say, the disk has no extended attributes.
        """
        root = self._folder / "buckets"
        root.mkdir(parents=True, exist_ok=True)
        command = [str(versitygw()), "--port", f"127.0.0.1:{self.port}", "--keep-alive", "--quiet", "posix", str(root)]
        environment = {"PATH": os.defpath, "ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET}
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        for _ in range(500):
            if self._process.poll() is not None:
                raise UnavailableError(f"versitygw ended: {(self._folder / 'log').read_text()[-300:]}")
            with socket.socket() as try_out:
                if try_out.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise UnavailableError("versitygw does not listen")

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def environment(port: int) -> dict[str, str]:
    """What boto3 must find in the environment to talk to a server on this port, and to no other."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }


class Proxy:
    """Hands requests on to a server and answers back.

    Attributes:
        faults: what to do to the next PUTs, one each: `lose` the answer of one that was done, or say a status (`409`)
            without handing it on.
        reading: the same for the next GETs; `cut` breaks the answer off in the middle.
        refused: by a part of a path, the status and the name of the error that every request for it gets.
        shift: how far ahead the server's clock is to look; None to keep it to itself.
        port: where it listens.
    """

    def __init__(self, server: S3Server) -> None:
        self.faults: deque[str] = deque()
        self.reading: deque[str] = deque()
        self.refused: dict[str, tuple[int, str]] = {}
        self.shift: timedelta | None = timedelta()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # a short answer would wait 40 ms for an acknowledgement

            def _hand_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                faults = {"PUT": proxy.faults, "GET": proxy.reading}.get(self.command)
                fault = faults.popleft() if faults else ""
                for part, (status, code) in proxy.refused.items():
                    if part in self.path:
                        self._refuse(status, code)
                        return
                if fault.isdigit():
                    self._refuse(int(fault))
                    return
                status, headers, content = _ask(server, self, body)
                if fault == "lose":
                    self.close_connection = True
                    return
                self.send_response_only(status)
                for name, value in headers:
                    if name.lower() != "date":
                        self.send_header(name, value)
                    elif proxy.shift is not None:
                        date = parsedate_to_datetime(value) + proxy.shift
                        self.send_header(name, format_datetime(date, usegmt=True))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if fault == "cut" else content)
                self.close_connection = self.close_connection or fault == "cut"

            def _refuse(self, status: int, code: str = "") -> None:
                code = code or ("SlowDown" if status == 503 else "")
                body = f"<Error><Code>{code}</Code><Message>Less.</Message></Error>".encode() if code else b""
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                if status == 301:
                    self.send_header("x-amz-bucket-region", "eu-west-3")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_DELETE = _hand_on  # noqa: N815 - the base class's names

            def log_message(self, format: str, *arguments: Any) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.port: int = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._http.shutdown()
        self._http.server_close()


def _ask(server: S3Server, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, Any, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest(request.command, request.path, skip_host=True, skip_accept_encoding=True)
    for name, value in request.headers.items():
        if name.lower() not in ("expect", "connection"):
            connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in ("connection", "keep-alive")]
    return answer.status, kept, content
