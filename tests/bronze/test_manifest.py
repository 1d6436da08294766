"""Labels from a file: what is read, what is refused by its line, and which photographs the names find."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from bronze.discover import LISTING
from bronze.manifest import Labelling, read_manifest, with_manifest
from lakehouse.errors import SettingsError
from lakehouse.progress import NullProgress
from tests.conftest import Opening

PEAR, SPLIT = ("a b.png", "Pear", None), ("1.png", None, "Test")


def write(folder: Path, text: str, name: str = "labels.csv") -> str:
    """A file with this text; returns its URI."""
    (folder / name).write_bytes(text.encode())
    return f"file://{folder}/{name}"


def said(uri: str) -> list[tuple[str, str | None, str | None]]:
    """What the lines say."""
    return [(line.name, line.label, line.split) for line in read_manifest(uri).lines]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("a b.png,Pear", [PEAR]),
        ("\ufeffa b.png,Pear\r\n\r\n1.png,,Test\r\n", [PEAR, SPLIT]),
        ("path,label,split\na b.png, Pear ,\n1.png,,Test", [PEAR, SPLIT]),
        ("label,id,file_name\nPear,7,a b.png", [PEAR]),
        ("./x/../a b.png,Pear\na b.png,Pear\n", [PEAR]),
        ('"a,b.png","Pear ""Williams"""', [("a,b.png", 'Pear "Williams"', None)]),
        ("s3://b//a.png,漢 🍎", [("s3://b//a.png", "漢 🍎", None)]),
    ],
)
def test_csv_may_have_column_names_or_not(
    tmp_path: Path, text: str, lines: list[tuple[str, str | None, str | None]]
) -> None:
    """Byte order mark, empty lines, quotes and equal lines change nothing; a label or a split is enough."""
    assert said(write(tmp_path, text)) == lines


@pytest.mark.parametrize("name", ["labels.jsonl", "metadata.NDJSON"])
def test_json_lines_are_objects(tmp_path: Path, name: str) -> None:
    """With the keys that CSV files have as columns; others are left alone."""
    rows = [{"path": "a b.png", "label": "Pear", "split": None, "id": 7}, {"file_name": "1.png", "split": "Test"}]
    assert said(write(tmp_path, "\n\n".join(map(json.dumps, rows)) + "\n", name)) == [PEAR, SPLIT]


WRONG_CSV = "a.png,Pear\nb.png\nc.png,Fig,Test,7\n,Kiwi\nd.png, ,\n"
WRONG_JSON = '{"path": "a", "label": "b"}\n[1]\n{"label": "b"}\n{"path": "a", "label": 7}\n{'


@pytest.mark.parametrize(
    ("name", "text", "messages"),
    [
        ("l.csv", WRONG_CSV, ["2: 1 columns", "3: 4 columns", "4: it names no", "5: `d.png` has neither"]),
        ("l.csv", "a.png,Pear\na.png,Fig\n", ["2: `a.png` has another label or split in line 1"]),
        ("l.csv", 'a.png,Pear\n"b.png,Fig\n', ["2: unexpected end of data"]),
        ("l.jsonl", WRONG_JSON, ["2: no JSON object", "3: it names no", "4: its label is no text", "5: no JSON"]),
    ],
)
def test_wrong_lines_are_named_by_their_numbers(tmp_path: Path, name: str, text: str, messages: list[str]) -> None:
    """All of them at once."""
    with pytest.raises(SettingsError) as refused:
        read_manifest(write(tmp_path, text, name))
    for message in messages:
        assert f"line {message}" in str(refused.value)


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Missing, or no text."""
    (tmp_path / "latin.csv").write_bytes("a.png,Pêche".encode("latin-1"))
    for name, message in {"none.csv": "cannot be read", "latin.csv": "are not UTF-8"}.items():
        with pytest.raises(SettingsError, match=f"{name} {message}"):
            read_manifest(f"file://{tmp_path}/{name}")


class Said(NullProgress):
    """A progress that keeps what it is told to say."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def log(self, message: str) -> None:
        """Keep the message."""
        self.messages.append(message)


def labels(opening: Opening, engine_name: str, uri: str, said: Said) -> dict[str, tuple[str, str | None]]:
    """A listing of four files, labelled by a manifest."""
    engine, root = opening(engine_name), "file:///pics [1]"
    paths = [f"{root}/{path}" for path in ("0.png", "Apple/0.png", "Apple/1.png", "Kiwi/train/2.png")]
    listing = engine.of(pa.Table.from_pylist([{"path": path, "label": "folder"} for path in paths], LISTING))
    with with_manifest(engine, listing, read_manifest(uri), root, said) as labelled:
        rows = engine.arrow(labelled).to_pylist()
        assert [*rows[0]] == LISTING.names
        return {row["path"].removeprefix(f"{root}/"): (row["label"], row["split"]) for row in rows}


def test_names_are_whole_paths_or_their_ends(opened: Opening, engine_name: str, tmp_path: Path) -> None:
    """From the root, or anywhere; a whole path before an end, and of several names of a file the longest counts."""
    lines = [
        "0.png,Fig",
        "file:///pics [1]/Apple/1.png,Pear",
        "2.png,Plum,Test",
        "train/2.png,,Train",
        "none.png,Fig",
    ]
    said = Said()
    assert labels(opened, engine_name, write(tmp_path, "\n".join(lines)), said) == {
        "0.png": ("Fig", None),
        "Apple/0.png": ("folder", None),
        "Apple/1.png": ("Pear", None),
        "Kiwi/train/2.png": ("folder", "Train"),
    }
    (message,) = said.messages
    assert message.startswith("1 lines of ")
    assert message.endswith("name no file in file:///pics [1]: line 5 `none.png`.")


def test_end_of_several_paths_is_refused(opened: Opening, tmp_path: Path) -> None:
    """Which of them is meant nobody knows; the message names them."""
    uri = write(tmp_path, "/pics [1]/0.png,Fig\n0.png,Fig\n1.png,Pear\n")
    root = "file:///pics [1]/Apple"
    engine = opened("local")
    paths = [f"{root}/{path}" for path in ("a/1.png", "b/1.png")]
    listing = engine.of(pa.Table.from_pylist([{"path": path} for path in paths], LISTING))
    message = r"ambiguous; give the path from .*line 3: `1\.png` names 2 files: .*/a/1\.png, .*/b/1\.png"
    with (
        pytest.raises(SettingsError, match=r"(?s)" + message),
        with_manifest(engine, listing, read_manifest(uri), root, NullProgress()),
    ):
        pass


def test_line_numbers_count_every_line(tmp_path: Path) -> None:
    """Also those within quotes."""
    uri = write(tmp_path, 'path,label\n"a\nb.png",Pear\nc.png,Fig\n')
    assert read_manifest(uri).lines == [Labelling(2, "a\nb.png", "Pear", None), Labelling(4, "c.png", "Fig", None)]
