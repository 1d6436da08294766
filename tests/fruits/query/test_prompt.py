"""The prompt of `fruits sql`, typed at: by pipes, and once through a real terminal."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from fruits.catalog import TABLES
from fruits.console import SqlFormat
from fruits.query.prompt import SqlCompleter, converse, is_whole
from fruits.query.sql import Session
from lakehouse.errors import LakehouseError
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from tests.terminal import Terminal

Type = Callable[[str], str]
CTRL_C, CTRL_D, UP = "\x03", "\x04", "\x1b[A"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with empty tables."""
    lake = Lake(f"file://{tmp_path}/lake")
    delta.create(lake, TABLES)
    return lake


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the history goes."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "fruits"


@pytest.fixture
def typed(lake: Lake, capsys: pytest.CaptureFixture[str]) -> Type:
    """Type at the prompt, and leave it; returns what was shown, stdout before stderr."""

    def conversation(keys: str) -> str:
        with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
            pipe.send_text(keys + CTRL_D)
            converse(Session(lake), SqlFormat.csv)
        said = capsys.readouterr()
        return said.out + said.err

    return conversation


def test_query_may_take_several_lines(typed: Type) -> None:
    """Until its semicolon."""
    assert "n,m\n1,2\n" in typed("SELECT 1 AS n,\r2 AS m\r;\r")


def test_wrong_query_is_told_and_the_next_is_asked_for(typed: Type) -> None:
    """With the place in the text."""
    shown = typed("SELEC 1;\rSELECT 5 AS n;\r")
    assert re.search(r"LINE 1: SELEC 1;\n +\^", shown)
    assert "n\n5\n" in shown


def test_ctrl_c_gives_up_the_line_alone(typed: Type) -> None:
    """What was typed is gone, and the next query is answered."""
    shown = typed(f"SELECT 1 AS gone,{CTRL_C}SELECT 5 AS n;\r")
    assert "n\n5\n" in shown
    assert "gone" not in shown


@pytest.mark.parametrize("leave", [".exit\r", ".quit\r", CTRL_D])
def test_conversation_ends(typed: Type, leave: str) -> None:
    """By a command or Ctrl-D; what is typed after it is not asked."""
    assert "n\n5\n" not in typed(f"{leave}SELECT 5 AS n;\r")


def test_commands_tell_what_is_there(typed: Type) -> None:
    """Tables with their rows, columns with their types, and the commands."""
    shown = typed(".tables\r.schema models\r.help\r.nonsense\r.schema nowhere\r")
    for table in TABLES:
        assert table.name in shown
    assert re.search(r"gold\.models +fitted_at +timestamp", shown)
    assert ".schema [TABLE]" in shown
    assert ".nonsense is no command" in shown
    assert "There is no table nowhere" in shown


def test_history_lasts(typed: Type, state: Path) -> None:
    """The key ↑ brings back what was asked in the session before; the file is the user's own."""
    typed("SELECT 5 AS n;\r")
    assert "n\n5\n" in typed(f"{UP}\r")
    assert state.stat().st_mode & 0o077 == 0


def test_empty_lake_has_nothing_to_talk_about(tmp_path: Path) -> None:
    """It is said at once, not after the first query."""
    with pytest.raises(LakehouseError, match="There are no tables"):
        converse(Session(Lake(f"file://{tmp_path}/none")), SqlFormat.table)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT * FROM gold.pro", {"gold.projections"}),
        ("SELECT scaler_v", {"scaler_version"}),
        ("SELECT p.pca_ver", {"pca_version"}),
        ("sel", {"SELECT"}),
        ("SELECT ", set()),
    ],
)
def test_words_are_completed(text: str, expected: set[str]) -> None:
    """Tables by their full names, columns alone and after a table's alias, keywords in any case."""
    words = SqlCompleter(["select", "from"]).get_completions(Document(text), CompleteEvent())
    assert {word.text for word in words} == expected


@pytest.mark.parametrize(("text", "whole"), [("", True), (".help", True), ("SELECT 1", False), ("SELECT 1; ", True)])
def test_query_is_whole_with_its_semicolon(text: str, whole: bool) -> None:
    """A command and an empty line need none."""
    assert is_whole(text) is whole


@pytest.fixture
def terminal(lake: Lake) -> Iterator[Terminal]:
    """The command at its prompt."""
    with Terminal([sys.executable, "-m", "fruits", "sql", "--lake", lake.uri]) as terminal:
        yield terminal


def test_ctrl_c_ends_a_query_and_not_the_session(terminal: Terminal) -> None:
    """A query of hours is given up, the next is answered, and leaving is exit status 0."""
    terminal.expect("fruits>")
    terminal.type("SELECT count(*) FROM range(10000000) a, range(1000000) b WHERE hash(a.range + b.range) = 3;\r")
    time.sleep(1)
    terminal.type(CTRL_C)
    terminal.expect("Cancelled.")
    terminal.type("SELECT 40 + 2 AS n;\r")
    terminal.expect("42")
    terminal.expect("fruits>")
    terminal.type(".exit\r")
    assert terminal.process.wait(30) == 0
