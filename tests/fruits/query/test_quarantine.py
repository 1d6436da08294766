"""`fruits quarantine`: what is held back and why, and what to do about it."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from bronze.reasons import Reason
from bronze.tables import QUARANTINE, TABLES
from fruits.console import SqlFormat
from fruits.query.quarantine import SHOWN, held_back, show_quarantine
from fruits.settings import Settings
from lakehouse.errors import LakehouseError, SettingsError
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake

THEN = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with empty bronze tables."""
    lake = Lake(str(tmp_path / "lake"))
    delta.create(lake, TABLES)
    return lake


def hold_back(lake: Lake, *files: tuple[str, str]) -> None:
    """Hold back files, (name, reason) each, one a minute."""
    rows = [
        {
            "path": f"file:///fruits/Kiwi/{name}",
            "label": "Kiwi",
            "length": 1000 + number,
            "modification_time": THEN,
            "reason": reason,
            "detail": f"found {number}",
            "batch": 1,
            "quarantined_at": THEN + timedelta(minutes=number),
        }
        for number, (name, reason) in enumerate(files)
    ]
    content = pa.Table.from_pylist(rows, schema=QUARANTINE.schema)
    delta.write_small(content, lake, QUARANTINE, mode="append")


@pytest.fixture
def filled(lake: Lake) -> Lake:
    """Two empty files and a damaged one."""
    hold_back(lake, ("a.jpg", "empty"), ("b.jpg", "corrupt"), ("c.jpg", "empty"))
    return lake


def test_every_reason_has_its_advice() -> None:
    """A sentence each, for the whole vocabulary."""
    assert all(reason.advice.endswith(".") for reason in Reason)


def test_reason_of_another_release_is_listed_all_the_same(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """Its word is shown, and its detail says what this release cannot."""
    hold_back(lake, ("a.jpg", "too_blurred"))
    show_quarantine(lake, None, SqlFormat.table, everything=False)
    said = capsys.readouterr()
    assert "too_blurred" in said.out
    assert "this release does not know the reason" in " ".join(said.out.split())


@pytest.mark.parametrize("key", ["max_bytes", "max_pixels", "formats", "skip"])
def test_settings_that_are_advised_exist(key: str) -> None:
    """What the advice names in backquotes can be set."""
    assert key in Settings.model_fields
    assert any(f"`{key}`" in sentence for sentence in (reason.advice for reason in Reason))


def test_reasons_are_counted_and_files_listed_the_newest_first(filled: Lake) -> None:
    """The most frequent reason comes first."""
    found = held_back(filled)
    assert found.counts == {"empty": 2, "corrupt": 1}
    assert [row[0] for row in found.rows] == [f"file:///fruits/Kiwi/{name}.jpg" for name in "cba"]
    assert found.columns == ["path", "label", "reason", "detail", "length", "since"]
    assert found.rows[0][1:] == ("Kiwi", "empty", "found 2", 1002, datetime(2026, 1, 2, 3, 6))


def test_one_reason_can_be_asked_for(filled: Lake) -> None:
    """Counts and files are those of that reason."""
    found = held_back(filled, "corrupt")
    assert found.counts == {"corrupt": 1}
    assert [row[0] for row in found.rows] == ["file:///fruits/Kiwi/b.jpg"]


def test_unknown_reason_is_the_callers_mistake(filled: Lake) -> None:
    """The message names what was given, and the vocabulary."""
    with pytest.raises(
        SettingsError, match=r"--reason is 'broken'; it is one of empty, not_an_image, .*unreadable, kills_the_reader\."
    ):
        held_back(filled, "broken")


def test_lake_without_tables_says_how_to_fill_it(tmp_path: Path) -> None:
    """As every reader of the lake does."""
    with pytest.raises(LakehouseError, match="fruits run --images"):
        held_back(Lake(str(tmp_path / "none")))


def test_table_says_what_to_do_and_names_the_files(filled: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """For people: reasons with advice, then a line a file."""
    show_quarantine(filled, None, SqlFormat.table, everything=False)
    said = capsys.readouterr()
    assert Reason.EMPTY.advice.split(":")[0] in said.out
    line = "2026-01-02 03:06  empty                      1,002  file:///fruits/Kiwi/c.jpg  found 2"
    assert said.out.splitlines()[-3:][0] == line
    assert said.err == ""


def test_list_is_bounded_unless_all_is_asked_for(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """A lake may hold back a hundred thousand files: the newest are shown, all are counted, and the rest is named."""
    hold_back(lake, *((f"{number}.jpg", "truncated") for number in range(1234)))
    show_quarantine(lake, None, SqlFormat.table, everything=False)
    said = capsys.readouterr()
    assert "1,234" in said.out
    assert said.out.count("file:///") == SHOWN
    assert "/1233.jpg" in said.out
    assert f"`--all` shows {1234 - SHOWN:,} more" in said.err
    show_quarantine(lake, None, SqlFormat.table, everything=True)
    said = capsys.readouterr()
    assert (said.out.count("file:///"), said.err) == (1234, "")


def test_json_holds_every_file(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """A program reads reasons with their advice, and all files."""
    hold_back(lake, *((f"{number}.jpg", "truncated") for number in range(60)))
    show_quarantine(lake, None, SqlFormat.json, everything=False)
    found = json.loads(capsys.readouterr().out)
    assert found["reasons"] == [{"reason": "truncated", "files": 60, "advice": Reason.TRUNCATED.advice}]
    assert len(found["files"]) == 60
    assert found["files"][0] == {
        "path": "file:///fruits/Kiwi/59.jpg",
        "label": "Kiwi",
        "reason": "truncated",
        "detail": "found 59",
        "length": 1059,
        "since": "2026-01-02 04:03:00",
    }


def test_csv_holds_every_file(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """A spreadsheet reads one row a file."""
    hold_back(lake, *((f"{number}.jpg", "truncated") for number in range(60)))
    show_quarantine(lake, "truncated", SqlFormat.csv, everything=False)
    header, *rows = csv.reader(io.StringIO(capsys.readouterr().out))
    assert header == ["path", "label", "reason", "detail", "length", "since"]
    assert len(rows) == 60


@pytest.mark.parametrize(("reason", "words"), [(None, "Nothing is held back.\n"), ("empty", "held back as empty.\n")])
def test_empty_quarantine_says_so(
    lake: Lake, capsys: pytest.CaptureFixture[str], reason: str | None, words: str
) -> None:
    """For people in words, for programs as empty lists."""
    show_quarantine(lake, reason, SqlFormat.table, everything=False)
    assert capsys.readouterr().out.endswith(words)
    show_quarantine(lake, reason, SqlFormat.json, everything=False)
    assert json.loads(capsys.readouterr().out) == {"reasons": [], "files": []}


def test_names_do_not_steer_the_terminal(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """A file is one line whatever it is called, in letters of any script."""
    hold_back(lake, ("a\nb\x1b[2J漢é [red].jpg", "empty"))
    show_quarantine(lake, None, SqlFormat.table, everything=False)
    assert "/a\\nb\\x1b[2J漢é [red].jpg" in capsys.readouterr().out
