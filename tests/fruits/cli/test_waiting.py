"""Whoever waits at a terminal sees that something goes on, and a program that reads the answer gets nothing else."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import add_photographs
from tests.terminal import Terminal

AT_ONCE = "import fruits.console; fruits.console._PATIENCE = 0; import fruits.__main__ as it; it.main()"
"""The command line, whose patience is at its end at once."""


def command(*arguments: object) -> list[str]:
    """The command line of a process."""
    return [sys.executable, "-c", AT_ONCE, *map(str, arguments)]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of few photographs, which are beside it."""
    folder = tmp_path_factory.mktemp("waiting")
    add_photographs(folder / "photographs", "Apple", range(4))
    run = command("run", "--images", folder / "photographs", "--lake", folder / "lake")
    environment = {**os.environ, "FRUITS_WEIGHTS": "untrained"}
    subprocess.run(run, env=environment, check=True, capture_output=True)
    return folder / "lake"


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["doctor"], "doctor"),
        (["setup"], "setup"),
        (["report", "--output", "{folder}/report.html"], "report"),
        (["identify", "{folder}/photographs/Apple/0.png"], "identify"),
        (["sql", "SELECT count(*) FROM gold.projections"], "query"),
        (["run", "--images", "{folder}/photographs"], "run"),
        (["forget", "{folder}/none.png"], "forget"),
        (["ui", "--port", "{port}"], "ui"),
    ],
    ids=lambda one: one[0] if isinstance(one, list) else "",
)
def test_whoever_waits_is_shown_what_goes_on(lake: Path, arguments: Sequence[str], shown: str) -> None:
    """How long it has taken, on the terminal."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [one.format(folder=lake.parent, port=port) for one in arguments]
    with Terminal(command(*words, "--lake", lake), {**os.environ, "FRUITS_WEIGHTS": "untrained"}) as terminal:
        terminal.expect(f"{shown:<18} ")
        terminal.expect("0:00:0")


def test_answer_that_a_program_reads_is_nothing_but_the_answer(lake: Path) -> None:
    """What goes on is shown on the terminal, and the answer goes down the pipe."""
    asked = command("doctor", "--lake", lake, "--format", "json")
    with Terminal(asked, {**os.environ, "FRUITS_WEIGHTS": "untrained"}, stdout=subprocess.PIPE) as terminal:
        terminal.expect("doctor")
        assert terminal.process.stdout is not None
        assert {"name", "ok", "found"} <= json.loads(terminal.process.stdout.read())[0].keys()
