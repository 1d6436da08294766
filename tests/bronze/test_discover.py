"""What is there: labels by folder, listings cut into folders, and the difference to what the tables hold."""

import os
import pickle
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pytest

from bronze.discover import (
    FOLDERS,
    LISTING,
    Listing,
    ListingFingerprint,
    Rules,
    difference_of_files,
    fingerprint_listing,
    label_and_split,
    list_photographs,
    work_items,
)
from bronze.judgement import Limits
from fruits.settings import load_settings
from lakehouse.engine.port import Engine
from lakehouse.errors import StorageError
from lakehouse.storage import list_files
from lakehouse.storage.base import FileStatus
from lakehouse.tables.table import INSTANT
from tests.conftest import Opening

SPLITS = frozenset(load_settings().splits)
RULES = Rules(SPLITS, load_settings().skip)
CLAUSES = Limits(["JPEG"], 1000, 2000).clauses
THEN = datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)
NOW = THEN + timedelta(microseconds=1)


@pytest.fixture
def engine(opened: Opening) -> Engine:
    """The local engine."""
    return opened("local")


def listed(*folders: tuple[bytes, bool], root: str, threads: int = 2) -> pa.Table:
    """What the function that lists makes of folders, each in a batch of its own."""
    batches = (pa.RecordBatch.from_pylist([{"folder": name, "deep": deep}], FOLDERS) for name, deep in folders)
    function = pickle.loads(pickle.dumps(Listing(root, RULES, threads)))  # as it reaches other processes
    return pa.Table.from_batches(function(batches), LISTING)


def seen(engine: Engine, root: str, rules: Rules = RULES, threads: int = 2, folders: int = 64) -> ListingFingerprint:
    """A folder in short."""
    return fingerprint_listing(engine, list_photographs(engine, root, rules, threads, folders))


@pytest.mark.parametrize(
    ("root", "path", "label", "split"),
    [
        ("/f", "Training/Apple Red 1/0_100.jpg", "Apple Red 1", "Training"),
        ("/f", "Test/Kiwi/0_100.jpg", "Kiwi", "Test"),
        ("/f", "VALIDATION/Kiwi/0.jpg", "Kiwi", "VALIDATION"),
        ("/f", "fruits-360/100x100/train/Kiwi/0.jpg", "Kiwi", "train"),
        ("/f", "Kiwi/0.jpg", "Kiwi", None),
        ("/f", "green/Kiwi/0.jpg", "Kiwi", None),
        ("/f", "Test/green/Kiwi/0.jpg", "Kiwi", None),
        ("/f", "0.jpg", None, None),
        ("/f", "Training/0.jpg", None, "Training"),
        ("/f", "Contest/Kiwi/0.jpg", "Kiwi", None),
        ("/f", "Training/Testing/0.jpg", None, "Testing"),
        ("/f/Training", "Kiwi/0.jpg", "Kiwi", "Training"),
        ("/f/Training", "0.jpg", None, "Training"),
        ("/f/Training/Kiwi", "0.jpg", "Kiwi", "Training"),
        ("/f/Kiwi", "0.jpg", None, None),
        ("/f", " /%20/#+.jpg", "%20", None),
    ],
)
def test_folders_say_label_and_split(root: str, path: str, label: str | None, split: str | None) -> None:
    """Whichever folder of a data set was named as the root."""
    assert label_and_split(f"file://{root}/{path}", f"file://{root}", SPLITS) == (label, split)


@pytest.mark.parametrize("wanted", [1, 2, 5, 100])
def test_tree_is_cut_into_folders_that_together_hold_each_file_once(tmp_path: Path, wanted: int) -> None:
    """However many tasks there are, none lists a file that another lists, and no file is left out."""
    for name in ("0.jpg", "a/1.jpg", "a/b/2.jpg", "a/b/c/3.jpg", "d/e/4.jpg", "d/f/5.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    items = work_items(f"file://{tmp_path}", wanted)
    listed = [file.path for folder, deep in items for file in list_files(folder, recursive=deep)]
    every = sorted(f"file://{path}" for path in tmp_path.rglob("*.jpg"))
    assert sorted(listed) == every


def test_listing_tells_every_file_with_the_rule_that_passes_it_over(photographs: Path) -> None:
    """Candidates have no rule; other files have the first that applies, and folders are not listed."""
    names = ["0.jpg", "Training/Kiwi/1.jpg", "Kiwi/.hidden.jpg", "Kiwi/_SUCCESS", "Kiwi/._1.jpg", "a/b/c/d/.DS_Store"]
    for name in names:
        (photographs / name).parent.mkdir(parents=True, exist_ok=True)
        (photographs / name).write_bytes(name.encode())
        os.utime(photographs / name, (0, THEN.timestamp()))
    (photographs / "Kiwi" / "gone.jpg").symlink_to("nowhere")
    (photographs / "Kiwi" / "up").symlink_to(photographs)
    odd = photographs / os.fsdecode(b"\xff")
    (odd / "Kiwi").mkdir(parents=True)
    (odd / "Kiwi" / "2.jpg").touch()
    root = f"file://{photographs}"
    below = [(f"{root}/{name}".encode(), True) for name in ("Training", "Kiwi", "a")]
    listing = listed((root.encode(), False), *below, (os.fsencode(f"file://{odd}"), True), root=root)
    found = {row["path"].removeprefix(f"{root}/"): row for row in listing.to_pylist()}
    assert len(found) == listing.num_rows
    assert {name: (row["label"], row["split"], row["rule"]) for name, row in found.items()} == {
        "0.jpg": (None, None, None),
        "Training/Kiwi/1.jpg": ("Kiwi", "Training", None),
        "Kiwi/.hidden.jpg": ("Kiwi", None, None),
        "Kiwi/_SUCCESS": ("Kiwi", None, "skip: _SUCCESS"),
        "Kiwi/._1.jpg": ("Kiwi", None, "skip: ._*"),
        "Kiwi/gone.jpg": ("Kiwi", None, "broken_link"),
        "Kiwi/up": ("Kiwi", None, "not_a_file"),
        "a/b/c/d/.DS_Store": ("d", None, "skip: .DS_Store"),
        "\\xff/Kiwi/2.jpg": ("Kiwi", None, "name_is_not_utf8"),
    }
    for name in names:
        assert (found[name]["length"], found[name]["modification_time"]) == (len(name), THEN)


def test_listing_of_a_tree_is_that_of_its_folders(opened: Opening, engine_name: str, tmp_path: Path) -> None:
    """However many folders are shared out, and whatever their names: the rows of one listing from the root."""
    root = tmp_path / "it's [a] %20é root"
    for name in ("0.jpg", "a/1.jpg", "a/b/2.jpg", "c/Thumbs.db", "漢 🍎/3.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    engine, uri = opened(engine_name), f"file://{root}"
    expected = listed((uri.encode(), True), root=uri).sort_by("path").to_pylist()
    assert len(expected) == 5
    for folders in (1, 3, 64):
        found = engine.arrow(list_photographs(engine, uri, RULES, 2, folders))
        assert found.column_names == LISTING.names
        assert found.sort_by("path").to_pylist() == expected


@pytest.mark.parametrize("folders", [1, 64])
def test_listing_of_an_empty_folder_is_empty_and_of_none_an_error(
    engine: Engine, photographs: Path, folders: int
) -> None:
    """The two are told apart, also where the listing is summed up at once."""
    root = f"file://{photographs}"
    assert engine.arrow(list_photographs(engine, root, RULES, 2, folders)).num_rows == 0
    assert seen(engine, root, folders=folders) == ListingFingerprint(0, 0, 0)
    with pytest.raises(StorageError, match="cannot be listed: No such file or directory"):
        engine.arrow(list_photographs(engine, f"{root}/none", RULES, 2, folders))
    with pytest.raises(StorageError, match="cannot be listed: No such file or directory"):
        seen(engine, f"{root}/none", folders=folders)


@pytest.mark.parametrize(("threads", "folders"), [(1, 1), (7, 64)])
def test_survey_is_of_the_files_whatever_their_order(
    engine: Engine, photographs: Path, threads: int, folders: int
) -> None:
    """Files and those passed over are counted; as many threads and folders as one likes come to the same number."""
    for name in ("0.jpg", "Kiwi/1.jpg", "Kiwi/Thumbs.db", "Pear/up/2.jpg"):
        (photographs / name).parent.mkdir(parents=True, exist_ok=True)
        (photographs / name).touch()
    found = seen(engine, f"file://{photographs}", threads=threads, folders=folders)
    assert (found.files, found.skipped) == (4, 1)
    assert found == seen(engine, f"file://{photographs}", threads=3, folders=2)
    turned = engine.arrow(list_photographs(engine, f"file://{photographs}", RULES, 1, 1)).sort_by("fingerprint")
    assert fingerprint_listing(engine, engine.of(turned)) == found


def test_survey_tells_any_change(engine: Engine, photographs: Path) -> None:
    """Content, time stamp, name, removal, the rules: each gives another number, and taking it back the old one."""
    paths = [photographs / "Kiwi" / "1.jpg", photographs / "Kiwi" / "2.jpg", photographs / "Pear" / "1.jpg"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, (0, 0))
    root = f"file://{photographs}"
    surveys = [seen(engine, root)]
    os.utime(paths[0], (0, 1))
    surveys.append(seen(engine, root))
    paths[0].write_bytes(b"longer")
    os.utime(paths[0], (0, 1))
    surveys.append(seen(engine, root))
    paths[0].rename(paths[0].with_name("3.jpg"))
    surveys.append(seen(engine, root))
    paths[1].unlink()
    surveys.append(seen(engine, root))
    surveys.append(seen(engine, root, Rules(["kiwi"], [])))
    surveys.append(seen(engine, root, Rules([], ["3.*"])))
    assert len({one.fingerprint for one in surveys}) == len(surveys)
    paths[1].touch()
    os.utime(paths[1], (0, 0))
    assert seen(engine, root) == surveys[3]


Known = tuple[int, datetime] | None


class Case(NamedTuple):
    """A path, as it is found and as the tables know it."""

    name: str
    file: tuple[int, datetime, str | None] | None  # length, time, rule
    image: Known  # the row in `bronze.images`
    held: Known  # the row in `bronze.quarantine`
    change: str


CASES = [
    Case("new", (5, NOW, None), None, None, "new"),
    Case("new and passed over", (5, NOW, "skip: *"), None, None, "skipped"),
    Case("held", (5, NOW, None), (5, NOW), None, "unchanged"),
    Case("held and passed over now", (5, NOW, "skip: *"), (5, NOW), None, "skipped"),
    Case("later", (5, NOW, None), (5, THEN), None, "changed"),
    Case("earlier", (5, THEN, None), (5, NOW), None, "changed"),
    Case("longer", (6, NOW, None), (5, NOW), None, "changed"),
    Case("gone", None, (5, NOW), None, "gone"),
    Case("broken still", (5, NOW, None), None, (5, NOW), "unchanged"),
    Case("broken, another content", (6, NOW, None), None, (5, NOW), "changed"),
    Case("broken, gone", None, None, (5, NOW), "gone"),
    Case("replaced by a broken one", (6, NOW, None), (5, THEN), (6, NOW), "unchanged"),
    Case("restored after that", (5, THEN, None), (5, THEN), (6, NOW), "changed"),
    Case("replaced once more", (7, NOW, None), (5, THEN), (6, NOW), "changed"),
    Case("gone after that", None, (5, THEN), (6, NOW), "gone"),
    Case("could not be reached", (5, NOW, None), None, (5, NOW), "changed"),
    Case("too large", (5, NOW, None), None, (5, NOW), "unchanged"),
    Case("too large before", (5, NOW, None), None, (5, NOW), "changed"),
    Case("of no format that is taken", (5, NOW, None), None, (5, NOW), "unchanged"),
    Case("of a format that was not taken", (5, NOW, None), None, (5, NOW), "changed"),
    Case("empty", (0, NOW, None), None, None, "new"),
    Case("empty still", (0, NOW, None), None, (0, NOW), "unchanged"),
]


REASONS = {
    "could not be reached": ("unreadable", "PermissionError."),
    "too large": ("too_large", "1001 bytes; at most 1000 are read."),
    "too large before": ("too_large", "200 bytes; at most 100 are read."),
    "of no format that is taken": ("unsupported_format", "TIFF is not among the formats JPEG."),
    "of a format that was not taken": ("unsupported_format", "JPEG is not among the formats GIF, PNG."),
}


def test_difference_of_files_says_what_must_be_read(opened: Opening, engine_name: str) -> None:
    """Length and time stamp of the newest content that any table knows decide; every file and row has one outcome.

    Rows of other folders have none, though these be named alike.
    """
    engine, root = opened(engine_name), "file:///it's a_%"

    def rows(columns: list[tuple[str, pa.DataType]], found: Sequence[tuple[object, ...]]) -> pa.Table:
        names = [name for name, _ in columns]
        roots = (root, root.replace("a_%", "axy"))
        whole = [dict(zip(names, (f"{one}/{path}", *rest), strict=True)) for one in roots for path, *rest in found]
        return pa.Table.from_pylist(whole, pa.schema(columns))

    files = [
        {"path": f"{root}/{name}", "label": "Kiwi", "length": file[0], "modification_time": file[1], "rule": file[2]}
        for name, file, *_ in CASES
        if file is not None
    ]
    columns = [("path", pa.string()), ("length", pa.int64()), ("modification_time", INSTANT)]
    images = [(case.name, *case.image) for case in CASES if case.image is not None]
    held = [
        (case.name, *case.held, *REASONS.get(case.name, ("corrupt", "Bad."))) for case in CASES if case.held is not None
    ]
    found = difference_of_files(
        engine,
        engine.of(pa.Table.from_pylist(files, LISTING)),
        engine.of(rows(columns, images)),
        engine.of(rows([*columns, ("reason", pa.string()), ("detail", pa.string())], held)),
        root,
        CLAUSES,
    )
    answer = engine.arrow(found).to_pylist()
    assert len(answer) == len(CASES)
    assert {row["path"]: (row["change"], row["in_images"], row["in_quarantine"]) for row in answer} == {
        f"{root}/{name}": (change, held is not None, quarantined is not None)
        for name, _, held, quarantined, change in CASES
    }
    listed_files = {row["path"]: row for row in files}
    for row in answer:
        file = listed_files.get(row["path"], {})
        columns_of_the_file = ("label", "split", "length", "modification_time", "rule")
        assert [row[name] for name in columns_of_the_file] == [file.get(name) for name in columns_of_the_file]


@pytest.mark.parametrize(("slow", "most"), [(0.0, 4), (60.0, 1)], ids=["slow", "at once"])
def test_folders_are_listed_side_by_side_where_they_answer_slowly(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, slow: float, most: int
) -> None:
    """As over a network, where each waits; on a disk several threads would wait for each other."""
    at_once: list[int] = []
    now = 0

    def slowly(uri: str, *, recursive: bool) -> Iterator[FileStatus]:
        nonlocal now
        now += 1
        at_once.append(now)
        time.sleep(0.05)
        yield from list_files(uri, recursive=recursive)
        now -= 1

    monkeypatch.setattr("bronze.discover.list_files", slowly)
    monkeypatch.setattr("bronze.discover._SLOW", slow)
    for name in "abcdef":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"")
    root = f"file://{tmp_path}"
    found = listed(*((f"{root}/{name}".encode(), False) for name in "abcdef"), root=root, threads=4)
    assert sorted(found.column("label").to_pylist()) == list("abcdef")
    assert max(at_once) == most
