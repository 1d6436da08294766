"""What is printed: JSON that every reader takes, and text that cannot steer a terminal."""

import io
import json
import math
import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from fruits.console import ERR, OUT, bars, print_summary, print_table, write_json

STEERING = "\x1b[2Jred\x1b]0;title\x07 \u202egpj.exe \x9b31m \x7f"
"""A name that clears a screen, names a window, turns letters around, and begins a sequence in one byte."""


def assert_harmless(printed: str) -> None:
    """Nothing but letters and ends of lines, and the name is still to be recognised."""
    assert all(one.isprintable() or one == "\n" for one in printed), ascii(printed)
    assert r"\x1b[2Jred" in printed


def test_name_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """In messages, tables and summaries, on both streams and above progress bars."""
    for console in (OUT, ERR):
        console.print(f"Error: {STEERING}\nand another line", soft_wrap=True)
    print_table(["path"], [[STEERING]])
    print_summary({"labels": {"labels": {STEERING: 1}}})
    with bars("run") as progress:
        progress.log(STEERING)
    said = capsys.readouterr()
    for printed in (said.out, said.err):
        assert_harmless(printed)
        assert "\nand another line\n" in printed


@pytest.mark.parametrize("name", ["Apfel grün", "苹果", "تفاح", "می‌خواهم", "👩‍🌾", "a  b"])
def test_names_of_all_languages_are_shown_as_they_are(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Those with joiners between letters or parts of an emoji included."""
    OUT.print(name)
    print_table(["label"], [[name]])
    assert capsys.readouterr().out.count(name) == 2


def test_json_has_no_number_that_json_does_not_know() -> None:
    """NaN and the infinite ones are null, at any depth; all else is as it was."""
    value = {"a": [math.nan, {"b": -math.inf, "c": 0.5}], "d": Decimal("NaN"), "e": Decimal("1.5"), "f": "NaN"}
    written = io.StringIO()
    write_json(value, written)
    found = json.loads(written.getvalue(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert found == {"a": [None, {"b": None, "c": 0.5}], "d": None, "e": 1.5, "f": "NaN"}


def test_one_of_a_kind_is_told_in_the_singular(capsys: pytest.CaptureFixture[str]) -> None:
    """Also where it is a figure of figures; a split keeps its name, whatever it is."""
    print_summary(
        {
            "bronze": {
                "ingested": 1,
                "skipped": 0,
                "labels": {"labels": 1, "without_label": 1, "splits": {"tests": 1}},
            },
            "gold": {"images": 1, "components": 2, "explained_variance": 1.0},
        }
    )
    assert capsys.readouterr().out.splitlines() == [
        "bronze  1 ingested",
        "labels  1 label, 1 without label, splits: 1 tests",
        "gold    1 image, 2 components, 1 explained variance",
    ]


def test_numbers_dates_and_words_are_not_folded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there is room for them: what is folded is the long text."""
    monkeypatch.setattr(OUT, "_width", 80)
    moment, reason = datetime(2026, 11, 27, 4, 53, tzinfo=UTC), "the scaler changed " * 4
    print_table(
        ["version", "images", "explained", "fitted at", "reason", ""],
        [[2, 1_234_567, 0.8026, moment, reason, "champion"]],
    )
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert all(whole in shown for whole in ("1,234,567", "0.8026", "2026-11-27 04:53", "champion"))
    assert " ".join(shown.split()).count("changed") == 4


@pytest.mark.parametrize("width", [10, 24, 50])
def test_row_that_has_no_room_is_a_table_of_its_own(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line a column, in the narrowest of windows, and nothing is left out."""
    monkeypatch.setattr(OUT, "_width", width)
    names = [f"column{number}" for number in range(8)]
    print_table(names, [[f"value{number}" for number in range(8)], ["x" * 30] * 8])
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    assert shown.count("x") == 240
    assert all(re.sub(r"\s", "", shown).count(f"column{number}") for number in range(8) if width > 10)


def test_many_rows_that_have_no_room_are_folded_and_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Letter by letter if need be."""
    monkeypatch.setattr(OUT, "_width", 40)
    print_table([f"c{number}" for number in range(6)], [["x" * 10] * 6] * 30)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 40
    assert shown.count("x") == 10 * 6 * 30
