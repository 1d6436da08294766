"""Two lakes on one MLflow server do not know of each other."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from fruits.operations.health import examine_lake
from fruits.operations.rollback import roll_back
from fruits.operations.run import run_layers
from fruits.settings import Settings, load_settings
from lakehouse.tables.delta import Lake
from tests.comparing import assert_same, rows_of_layers
from tests.conftest import add_photographs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server with artifacts of its own."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/server.db",
        "--artifacts-destination",
        f"{folder}/artifacts",
    ]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        assert process.poll() is None, (folder / "log").read_text()
        try:
            urlopen(f"{address}/health", timeout=5).close()
            break
        except (URLError, ConnectionError):
            time.sleep(0.1)
    yield address
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def settings_of(folder: Path, encoder: str, server: str | None) -> Settings:
    """Settings of a lake with photographs of its own."""
    return load_settings(
        images=str(folder / "photographs"), lake=str(folder / "lake"), encoder=encoder, tracking_uri=server
    )


def held(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """What the layers' tables hold."""
    return rows_of_layers(Lake(settings.lake), str(settings.images))


def live(settings: Settings, seeds: int) -> Iterator[None]:
    """A lake's life, step by step: two fits, a rollback, an increment."""
    photographs = Path(str(settings.images).removeprefix("file://"))
    add_photographs(photographs, "Apple", range(seeds, seeds + 6))
    run_layers(settings)
    yield
    add_photographs(photographs, "Kiwi", range(seeds + 6, seeds + 12))
    run_layers(settings.model_copy(update={"refit": "always"}))
    yield
    roll_back(settings, 1)
    yield
    add_photographs(photographs, "Lemon", range(seeds + 12, seeds + 15))
    run_layers(settings)
    yield


def test_each_lake_is_what_it_would_be_alone(
    server: str, tmp_path: Path, stub_encoder: str, blank_pictures: None
) -> None:
    """Step by step in turn, a rollback in each; alone, each with a store of its own, their tables are the same."""
    shared = [settings_of(tmp_path / f"shared-{n}", stub_encoder, server) for n in range(2)]
    alone = [settings_of(tmp_path / f"alone-{n}", stub_encoder, None) for n in range(2)]
    for _ in zip(live(shared[0], 0), live(shared[1], 50), strict=True):
        pass
    for number, settings in enumerate(alone):
        for _ in live(settings, 50 * number):
            pass
    for one, other in zip(shared, alone, strict=True):
        assert_same(held(one), held(other))
        assert [finding.found for finding in examine_lake(one) if not finding.ok] == []
