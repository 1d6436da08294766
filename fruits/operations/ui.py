"""`fruits ui`: MLflow's own UI over this lake's tracking store, until Ctrl-C."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from types import FrameType
from urllib.error import URLError
from urllib.request import urlopen

from fruits.console import ERR, OUT
from fruits.settings import Settings
from lakehouse.errors import LakehouseError, SettingsError
from lakehouse.storage.uri import on_disk
from lakehouse.workspace import Workspace

HOST = "127.0.0.1"


def serve_ui(settings: Settings, port: int) -> int:
    """Serve the UI on the loopback interface, and tell its address once it answers; returns its exit status.

    0 where it was ended by Ctrl-C. The pages and what they need come from this machine.

    Raises:
        SettingsError: the port is taken.
        LakehouseError: the tracking store is a server.
    """
    if settings.tracking_uri and settings.tracking_uri.startswith("http"):
        raise LakehouseError(f"The tracking store is a server with a UI of its own: {settings.tracking_uri}")
    _check_free(port)
    mirror = Workspace(settings).mirror
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", mirror.tracking_uri]
    if mirror.artifacts is not None:
        command += ["--default-artifact-root", mirror.artifacts]
    if not on_disk(settings.lake):
        ERR.print("These are the models as they are now: start `fruits ui` again to see later runs.")
    # One worker, for one reader. A session of its own, so that all that MLflow starts can be ended together.
    command += ["--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--uvicorn-opts", "--no-access-log"]
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _leave)
    # Jobs are for what generates text.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    server = subprocess.Popen(command, env=environment, stdout=sys.stderr, start_new_session=True)
    try:
        _tell_when_ready(server, f"http://{HOST}:{port}")
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _end(server)


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise SettingsError(f"Port {port} is taken: name another one with --port.") from error


def _tell_when_ready(server: "subprocess.Popen[bytes]", address: str) -> None:
    while server.poll() is None:
        with suppress(URLError, ConnectionError), urlopen(f"{address}/health", timeout=5):
            OUT.print(f"MLflow's UI is at {address} until Ctrl-C.", soft_wrap=True)
            return
        time.sleep(0.2)


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a handler's
    raise SystemExit(128 + number)


def _end(server: "subprocess.Popen[bytes]") -> None:
    """End the server and its workers: at once where they do not go when they are asked to."""
    for asking in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):  # all are gone
            os.killpg(server.pid, asking)
        with suppress(subprocess.TimeoutExpired):
            server.wait(timeout=5)
