"""What is there: labels by folder, listings cut into folders, and the difference to what the tables hold."""

import os
import pickle
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from bronze.discover import (
    FOLDERS,
    LISTING,
    Listing,
    Rules,
    list_photographs,
    work_items,
)
from bronze.folders import FolderNames
from bronze.judgement import Limits
from bronze.survey import ListingFingerprint, fingerprint_listing
from fruits.settings import load_settings
from lakehouse.engine.port import Engine
from lakehouse.errors import StorageError
from lakehouse.storage import list_files, walk
from lakehouse.storage.base import FileStatus
from lakehouse.storage.folder_rules import FolderRules
from tests.conftest import Opening

NAMES = FolderNames.of(load_settings().splits, load_settings().unlabelled_folders)
RULES = Rules(NAMES, load_settings().skip)
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


@pytest.mark.parametrize("wanted", [1, 2, 5, 100])
def test_tree_is_cut_into_folders_that_together_hold_each_file_once(tmp_path: Path, wanted: int) -> None:
    """However many tasks there are, none lists a file that another lists, and no file is left out."""
    for name in ("0.jpg", "a/1.jpg", "a/b/2.jpg", "a/b/c/3.jpg", "d/e/4.jpg", "d/f/5.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    items = work_items(f"file://{tmp_path}", wanted, RULES.of_folders([f"file://{tmp_path}"]))
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
        "Kiwi/up": ("Kiwi", None, "linked_folder"),
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
    assert seen(engine, root, folders=folders) == ListingFingerprint()
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
    surveys.append(seen(engine, root, Rules(FolderNames.of(["kiwi"], []), [])))
    surveys.append(seen(engine, root, Rules(FolderNames.of([], []), ["3.*"])))
    assert len({one.fingerprint for one in surveys}) == len(surveys)
    paths[1].touch()
    os.utime(paths[1], (0, 0))
    assert seen(engine, root) == surveys[3]


@pytest.mark.parametrize(("slow", "most"), [(0.0, 4), (60.0, 1)], ids=["slow", "at once"])
def test_folders_are_listed_side_by_side_where_they_answer_slowly(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, slow: float, most: int
) -> None:
    """As over a network, where each waits; on a disk several threads would wait for each other."""
    at_once: list[int] = []
    now = 0

    def slowly(uri: str, rules: FolderRules, **how: Any) -> Iterator[FileStatus]:
        nonlocal now
        now += 1
        at_once.append(now)
        time.sleep(0.05)
        yield from walk(uri, rules, **how)
        now -= 1

    monkeypatch.setattr("bronze.discover.walk", slowly)
    monkeypatch.setattr("bronze.discover._SLOW", slow)
    for name in "abcdef":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"")
    root = f"file://{tmp_path}"
    found = listed(*((f"{root}/{name}".encode(), False) for name in "abcdef"), root=root, threads=4)
    assert sorted(found.column("label").to_pylist()) == list("abcdef")
    assert max(at_once) == most
