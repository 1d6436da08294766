"""The command `fruits app`: how it begins, how it ends, and what it says when it cannot begin."""

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fruits.app.serve import announce, listen
from fruits.settings import Settings
from lakehouse.errors import SettingsError
from lakehouse.settings import to_yaml
from tests.fruits.app.conftest import HOST
from tests.fruits.cli.test_cli import fails


def test_port_in_use_is_status_2(served_settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody else listens there: said at once, with what to name instead."""
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        status, said = fails(capsys, "app", "--port", port, "--lake", served_settings.lake)
    assert status == 2
    assert f"Nothing can listen on {HOST}, port {port}: Address already in use" in said
    assert "--port" in said


@pytest.mark.parametrize("host", ["192.0.2.7", "nowhere.invalid"])
def test_host_that_is_not_here_is_a_wrong_call(host: str) -> None:
    """An address of another machine's, or a name that nobody has."""
    with pytest.raises(SettingsError, match=f"Nothing can listen on {host}"):
        listen(host, 0)


def test_missing_lake_is_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing to answer from: what to run first."""
    status, said = fails(capsys, "app", "--port", 0, "--lake", tmp_path / "lake")
    assert status == 1
    assert "fruits run" in said


def test_lake_without_models_is_status_1(
    served_settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Photographs but no projections: what to run first."""
    shutil.copytree(served_settings.lake.removeprefix("file://") + "/bronze", tmp_path / "lake" / "bronze")
    status, said = fails(capsys, "app", "--port", 0, "--lake", tmp_path / "lake")
    assert status == 1
    assert "fruits run" in said


def test_command_serves_until_ctrl_c(served_settings: Settings, tmp_path: Path) -> None:
    """It prints the address, answers there, and ends quietly with status 0."""
    config = tmp_path / "settings.yaml"
    config.write_text(to_yaml({"lake": served_settings.lake, "weights": "untrained"}))
    command = [sys.executable, "-m", "fruits", "app", "--port", "0", "--config", str(config)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as app:
        assert app.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+) ", app.stdout.readline())
        assert found
        connection = http.client.HTTPConnection(HOST, int(found[1]), timeout=60)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        app.send_signal(signal.SIGINT)
        said = app.communicate(timeout=60)
    assert (app.returncode, *said) == (0, "", "")


def test_listening_on_a_network_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, with what it lets others do; on this machine alone there is nothing to warn of."""
    with listen(HOST, 0) as listening:
        announce(listening, HOST)
        own = capsys.readouterr()
        announce(listening, "0.0.0.0")
        shared = capsys.readouterr()
    assert own.err == ""
    assert f"http://{HOST}:" in own.out
    assert "there is no password" in " ".join(shared.err.split())
    assert f"http://{socket.gethostname()}:" in shared.out
