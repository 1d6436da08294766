"""`fruits ui`: MLflow's own UI over this lake's tracking store, until Ctrl-C."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import quote
from urllib.request import ProxyHandler, build_opener

from bronze.tables import IMAGES
from fruits.console import ERR, OUT, bars
from fruits.operations.mirror import lacking_in_mirror
from fruits.settings import Settings
from lakehouse.errors import LakehouseError, SettingsError
from lakehouse.failures import why
from lakehouse.models.registry import CHAMPION
from lakehouse.storage.uri import on_disk
from lakehouse.tables import delta
from lakehouse.workspace import Workspace

HOST = "127.0.0.1"
_OF_SERVERS = (
    "MLFLOW_",
    "_MLFLOW_",
    "FLASK_",
    "GUNICORN_",
    "UVICORN_",
    "WAITRESS_",
    "WEB_CONCURRENCY",
    "FORWARDED_ALLOW_IPS",
)
_OF_THE_STORE = ("MLFLOW_S3_", "MLFLOW_SQLALCHEMYSTORE_", "MLFLOW_DISABLE_TELEMETRY")
_DIRECT = build_opener(ProxyHandler({}))
"""Asks this machine: a proxy that the environment names would look for the server on its own."""


def serve_ui(settings: Settings, port: int) -> int:
    """Serve the UI on the loopback interface, and tell its address once it answers; returns its exit status.

    0 where it was ended by Ctrl-C. The pages and what they need come from this machine.

    Raises:
        SettingsError: the port is taken, or not for this user.
        LakehouseError: the tracking store is a server, or does not work; or the lake has no tables.
    """
    if settings.tracking_uri and settings.tracking_uri.startswith("http"):
        raise LakehouseError(f"The tracking store is a server with a UI of its own: {settings.tracking_uri}")
    _check_free(port)
    workspace = Workspace(settings)
    if delta.open_table(workspace.lake, IMAGES) is None:
        raise LakehouseError(f"There are no photographs in {settings.lake} yet, nor models: `fruits run` makes them.")
    mirror = workspace.mirror
    with bars("ui"):  # a database on S3 is fetched; of one that is damaged MLflow's server would show its traces
        lacking = lacking_in_mirror(workspace)
    if lacking:
        ERR.print(f"MLflow does not show {'; '.join(lacking)}. `fruits doctor --repair` shows them.", soft_wrap=True)
    store = _absolute(mirror.tracking_uri)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store, "--registry-store-uri", store]
    if mirror.artifacts is not None:
        command += ["--default-artifact-root", mirror.artifacts]
    if not on_disk(settings.lake):
        ERR.print("These are the models as they are now: start `fruits ui` again to see later runs.")
    # One worker, for one reader. A session of its own, so that all that MLflow starts can be ended together.
    command += ["--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--uvicorn-opts", "--no-access-log --log-level warning"]
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _leave)
    # Its servers import what lies in their working folder before all else: `numpy.py`, `random.py`.
    server = subprocess.Popen(command, cwd=sys.prefix, env=_environment(), stdout=sys.stderr, start_new_session=True)
    try:
        with bars("ui"):
            _wait_until_ready(server, f"http://{HOST}:{port}")
        _tell(f"http://{HOST}:{port}", settings.experiment)
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _end(server)


def _absolute(store: str) -> str:
    """A store whose path is relative to the working folder, as MLflow also takes it, by its whole path."""
    scheme, separator, path = store.partition(":///") if ":" in store else ("", "", store)
    if path.startswith("/") or not path or scheme not in ("", "sqlite"):
        return store
    return f"{scheme}{separator}{Path(path).absolute()}"


def _environment() -> dict[str, str]:
    """What MLflow's server sees of the environment: nothing that is meant for other servers, of MLflow's or of others.

    Each option of `mlflow ui` has a variable of its own, and so have the servers below it.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(_OF_THE_STORE) or not name.startswith(_OF_SERVERS)
    }
    # Jobs are for what generates text; what is deprecated in MLflow is no news for who looks at models; and a module
    # in the working folder is none of MLflow's.
    own = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PYTHONWARNINGS": "ignore"}
    return inherited | own


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise SettingsError(f"Port {port} cannot be used: {why(error)} Name another one with --port.") from error


def _wait_until_ready(server: "subprocess.Popen[bytes]", address: str) -> None:
    while server.poll() is None:
        with suppress(OSError), _DIRECT.open(f"{address}/health", timeout=5):
            return
        time.sleep(0.2)


def _tell(address: str, experiment: str) -> None:
    """Say where the runs are, each registered model and its champion; nothing where the server has ended."""
    try:
        models = _answer(address, "registered-models/search").get("registered_models", [])
    except OSError:
        return
    try:
        found = _answer(address, f"experiments/get-by-name?experiment_name={quote(experiment, safe='')}")
        where = f"{address}/#/experiments/{found['experiment']['experiment_id']}"
    except OSError:  # it is made with the first fit
        where = address
    OUT.print(f"MLflow's UI is at {where} until Ctrl-C.", soft_wrap=True)
    for model in models:
        page = f"{address}/#/models/{quote(model['name'], safe='')}"
        OUT.print(f"The versions of {model['name']}: {page}", soft_wrap=True)
        for number in [one["version"] for one in model.get("aliases", []) if one["alias"] == CHAMPION]:
            OUT.print(f"Its champion, version {number}: {page}/versions/{number}", soft_wrap=True)


def _answer(address: str, question: str) -> dict[str, Any]:
    with _DIRECT.open(f"{address}/api/2.0/mlflow/{question}", timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a handler's
    raise SystemExit(128 + number)


def _end(server: "subprocess.Popen[bytes]") -> None:
    """End the server and its workers: at once where they do not go when they are asked to."""
    for asking in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):  # all are gone
            os.killpg(server.pid, asking)
        with suppress(subprocess.TimeoutExpired):
            server.wait(timeout=5)
