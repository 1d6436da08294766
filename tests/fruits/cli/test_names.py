"""Any name works in each command, or is refused at once in a sentence."""

import csv
import io
import json
import os
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lakehouse.settings import to_yaml
from tests.conftest import add_photographs, photograph
from tests.fruits.cli.test_cli import call, fails
from tests.names import FILES, FOLDER, LAKE, NAMES, NO_LAKE, NOT_UTF8, odd_photographs

Said = Callable[..., str]


@dataclass(frozen=True)
class OddLake:
    """A lake of photographs under every odd name, itself in a folder of one.

    Attributes:
        config: the settings' file.
        photographs: the files by their names and labels.
    """

    config: Path
    photographs: Mapping[str, Path]

    @property
    def paths(self) -> list[str]:
        """The photographs' paths."""
        return [*map(str, self.photographs.values())]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, stub_encoder: str, blank_pictures: None) -> OddLake:
    """The lake of one run."""
    folder = tmp_path_factory.mktemp("names")
    photographs = odd_photographs(folder / FOLDER)
    for number, name in enumerate(("-x", "a\nb")):
        (folder / FOLDER / name / f"{NOT_UTF8}\x1b.png").write_bytes(photograph(1000 + number))
        (folder / FOLDER / name / "broken\x1b[31m\n.png").write_bytes(b"no photograph")
    config = folder / "settings.yaml"
    named = {"images": str(folder / FOLDER), "lake": str(folder / LAKE / "lake")}
    config.write_text(to_yaml({**named, "encoder": stub_encoder, "threshold": 0.9}), encoding="utf-8")
    assert call("run", "--config", config) == 0
    return OddLake(config, photographs)


@pytest.fixture
def said(lake: OddLake, capsys: pytest.CaptureFixture[str]) -> Said:
    """Call the command on the lake; returns what it prints, which nothing steers where it is for people."""

    def result(*arguments: object, shape: str | None = None) -> str:
        words = [arguments[0], "--config", lake.config, *(("--format", shape) if shape else ()), *arguments[1:]]
        capsys.readouterr()
        assert call(*words) == 0
        shown = capsys.readouterr()
        assert is_still(shown.err)
        assert shape in ("json", "csv") or is_still(shown.out)
        return shown.out

    return result


def from_here(path: Path) -> str:
    """A path from the folder of photographs; `./`, for `~/` is somebody's home to every program."""
    return f"./{path.parent.name}/{path.name}"


def is_still(text: str) -> bool:
    """Whether a text moves nothing on a terminal, and can be written to it."""
    return all(one == "\n" or unicodedata.category(one) not in ("Cc", "Cs", "Zl", "Zp") for one in text) and (
        "\u202e" not in text
    )


# ---- photographs and labels -----------------------------------------------------------------------------------------


def test_each_photograph_has_its_name_and_its_label(lake: OddLake, said: Said) -> None:
    """As they are on the disk, in JSON as in CSV, where a spreadsheet computes none."""
    query = "SELECT path, label FROM gold.projections"
    rows = json.loads(said("sql", query, shape="json"))
    assert {row["label"]: row["path"] for row in rows} == {n: f"file://{p}" for n, p in lake.photographs.items()}
    table = [*csv.reader(io.StringIO(said("sql", query, shape="csv"), newline=""))][1:]
    assert {label.removeprefix("'") for _, label in table} == {*NAMES}
    assert not [label for _, label in table if label.startswith(("=", "+", "-", "@", "\t"))]


@pytest.mark.parametrize("shape", ["table", "json"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("bronze",),
        ("silver",),
        ("gold",),
        ("doctor",),
        ("doctor", "--repair", "--thorough"),
        ("models",),
        ("history",),
        ("quarantine",),
        ("config",),
        ("sql", "SELECT * FROM bronze.images"),
        ("rollback", "1"),
        ("rollback", "--unpin"),
    ],
    ids=" ".join,
)
def test_every_command_takes_them(said: Said, arguments: tuple[str, ...], shape: str) -> None:
    """In a lake that holds them all, and prints nothing that steers a terminal."""
    shown = said(*arguments, shape=shape)
    assert shown if shape == "table" else json.loads(shown) is not None


def test_photographs_of_any_name_are_identified(
    lake: OddLake, said: Said, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By absolute and by relative names, behind `--` also those that look like options; and `~x` is no one's home."""
    found = json.loads(said("identify", "--", *lake.paths, shape="json"))
    assert [one["photo"] for one in found] == lake.paths
    assert {one["neighbours"][0]["label"] for one in found} == {*NAMES}
    assert said("identify", "--", *lake.paths)
    monkeypatch.chdir(tmp_path)
    names = [f"{name}.png" for name in NAMES] + [f"{NOT_UTF8}.png"]
    for name in names:
        Path(name).write_bytes(photograph(NAMES.index("-x")))
    found = json.loads(said("identify", "--", *names, *(f"./{name}" for name in names), shape="json"))
    assert {one["neighbours"][0]["label"] for one in found} == {"-x"}
    assert [os.fsencode(one["photo"]) for one in found[: len(names)]] == [os.fsencode(name) for name in names]


def test_photographs_of_any_name_are_relabelled_and_forgotten(
    lake: OddLake, said: Said, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By their whole paths, by paths from here, by the ends of paths, and by lines of a file."""
    monkeypatch.chdir(lake.photographs["-x"].parent.parent)
    ways: list[Callable[[Path], str]] = [str, from_here, lambda path: path.name]
    for number, name_of in enumerate(ways):
        done = json.loads(said("relabel", "--", *map(name_of, lake.photographs.values()), f"={number}", shape="json"))
        assert sorted(done["paths"]) == sorted(f"file://{path}" for path in lake.paths)
    lines = tmp_path / "lines.csv"
    with lines.open("w", newline="") as file:
        rows = [[from_here(path), name] for name, path in lake.photographs.items()]
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows)
    assert len(json.loads(said("relabel", "--from", lines, shape="json"))["paths"]) == len(NAMES)
    trimmed = [name for name in NAMES if name != name.strip()]  # what people say is; the others have theirs back
    assert json.loads(said("run", shape="json"))["gold"]["relabelled"] == len(trimmed)
    named = [lake.photographs[name] for name in ("-x", "~x", "a\nb", "a%20b", "n" * 251)]
    done = json.loads(said("forget", "--", *map(from_here, named), shape="json"))
    assert done["paths"] == sorted(f"file://{path}" for path in named)
    assert json.loads(said("run", shape="json"))["bronze"]["ingested"] == len(named)


def test_photographs_whose_names_are_not_utf8_are_named(lake: OddLake, said: Said) -> None:
    """By `doctor`, with the rule; their bytes are shown as codes."""
    (images,) = [one for one in json.loads(said("doctor", shape="json")) if one["name"] == "images"]
    assert len(images["passed_over"]["name_is_not_utf8"]) == 2
    assert f"{NOT_UTF8[:-1]}\\xe9\\x1b.png" in said("doctor")


@pytest.mark.parametrize(
    "arguments",
    [
        ("forget", ""),
        ("forget", NOT_UTF8),
        ("forget", "ftp://a/b"),
        ("relabel", NOT_UTF8, "x"),
        ("relabel", "", "x"),
        ("relabel", "-x.png", NOT_UTF8),
        ("relabel", "-x.png", "x", "--reason", NOT_UTF8),
        ("relabel", "--from", ""),
        ("report", "--output", ""),
        ("sql", f"SELECT '{NOT_UTF8}'"),
        ("run", "--images", NOT_UTF8),
        ("run", "--images", "a\0b"),
    ],
    ids=ascii,
)
def test_what_no_photograph_is_named_is_a_wrong_call(
    lake: OddLake, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    """Exit status 2 and a sentence; nothing is changed."""
    command, *words = arguments
    status, text = fails(capsys, command, "--config", lake.config, *(f"./{w}" if w == "-x.png" else w for w in words))
    assert (status, is_still(text)) == (2, True)
    assert text.startswith("Error: ")


def test_label_that_is_half_a_character_is_refused(tmp_path: Path, lake: OddLake, capsys: Any) -> None:
    """As JSON can write it; the message names the line."""
    (tmp_path / "lines.jsonl").write_text('{"path": "-x.png", "label": "\\ud800"}\n')
    status, text = fails(capsys, "relabel", "--config", lake.config, "--from", tmp_path / "lines.jsonl")
    assert status == 2
    assert "line 1: '\\ud800' is not UTF-8" in text


# ---- files that are written -----------------------------------------------------------------------------------------


def test_answers_and_reports_go_to_files_of_any_name(
    said: Said, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And to no other file."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(FILES):
        file = f"{name}.csv"
        said("sql", "--output", file, "SELECT 1 AS one")
        assert os.listdir(b".") == [os.fsencode(file)]
        assert Path(file).read_text() == "one\n1\n"
        if number % 4 == 0:
            said("report", "--output", file)
            assert os.listdir(b".") == [os.fsencode(file)]
            assert Path(file).read_text().startswith("<!doctype html>")
        Path(file).unlink()


# ---- lakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NO_LAKE, ids=ascii)
@pytest.mark.parametrize("below", ["lake", ""])
def test_lake_that_delta_could_not_write_is_refused_before_anything_is_made(
    name: str, below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the characters; the photographs' folder may have most of them."""
    add_photographs(tmp_path / "pics", "Apple", range(1))
    monkeypatch.chdir(tmp_path)
    if not below or name == " ":
        status, text = fails(capsys, "run", "--images", "pics", "--lake", name)
    else:
        status, text = fails(capsys, "run", "--images", "pics", "--lake", f"{name}/{below}")
    assert status == 2
    assert NO_LAKE[name] in text
    assert is_still(text)
    assert os.listdir() == ["pics"]
