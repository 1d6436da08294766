"""What is there: labels by folder, listings cut into tasks, and the difference to what the tables hold."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from bronze.discover import LISTING, Rules, difference_of_files, label_and_split, list_photographs, survey, work_items
from bronze.photograph import Limits
from lakehouse.errors import StorageError
from lakehouse.settings import load_settings
from lakehouse.storage import list_files

SPLITS = frozenset(load_settings().splits)
RULES = Rules(SPLITS, load_settings().skip)
CLAUSES = Limits(["JPEG"], 1000, 2000).clauses
THEN = datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)
NOW = THEN + timedelta(microseconds=1)


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


def test_listing_tells_every_file_with_the_rule_that_passes_it_over(spark: SparkSession, photographs: Path) -> None:
    """Candidates have no rule; other files have the first that applies, and folders are not listed."""
    names = ["0.jpg", "Training/Kiwi/1.jpg", "Kiwi/.hidden.jpg", "Kiwi/_SUCCESS", "Kiwi/._1.jpg", "a/b/c/d/.DS_Store"]
    for name in names:
        (photographs / name).parent.mkdir(parents=True, exist_ok=True)
        (photographs / name).write_bytes(name.encode())
        os.utime(photographs / name, (0, THEN.timestamp()))
    (photographs / "Kiwi" / "gone.jpg").symlink_to("nowhere")
    (photographs / "Kiwi" / "up").symlink_to(photographs)
    (photographs / os.fsdecode(b"\xff") / "Kiwi").mkdir(parents=True)
    (photographs / os.fsdecode(b"\xff") / "Kiwi" / "2.jpg").touch()
    listing = list_photographs(spark, f"file://{photographs}", RULES, parallelism=2)
    assert listing.schema == spark.createDataFrame([], LISTING).schema
    found = {row.path.removeprefix(f"file://{photographs}/"): row for row in listing.collect()}
    assert {name: (row.label, row.split, row.rule) for name, row in found.items()} == {
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
        assert (found[name].length, found[name].modification_time.timestamp()) == (len(name), THEN.timestamp())


def test_listing_of_an_empty_folder_is_empty_and_of_none_an_error(spark: SparkSession, photographs: Path) -> None:
    """The two are told apart."""
    assert list_photographs(spark, f"file://{photographs}", RULES, parallelism=2).isEmpty()
    with pytest.raises(StorageError, match="cannot be listed: No such file or directory"):
        list_photographs(spark, f"file://{photographs}/none", RULES, parallelism=2)


@pytest.mark.parametrize("threads", [1, 7])
def test_survey_is_of_the_files_whatever_their_order(photographs: Path, threads: int) -> None:
    """Files and those passed over are counted; as many threads as one likes come to the same digits."""
    for name in ("0.jpg", "Kiwi/1.jpg", "Kiwi/Thumbs.db", "Pear/up/2.jpg"):
        (photographs / name).parent.mkdir(parents=True, exist_ok=True)
        (photographs / name).touch()
    found = survey(f"file://{photographs}", RULES, threads)
    assert (found.files, found.skipped) == (4, 1)
    assert found == survey(f"file://{photographs}", RULES, 3)


def test_survey_tells_any_change(photographs: Path) -> None:
    """Content, time stamp, name, removal, the rules: each gives other digits, and taking it back the old ones."""
    paths = [photographs / "Kiwi" / "1.jpg", photographs / "Kiwi" / "2.jpg", photographs / "Pear" / "1.jpg"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, (0, 0))
    root = f"file://{photographs}"
    seen = [survey(root, RULES, 2)]
    os.utime(paths[0], (0, 1))
    seen.append(survey(root, RULES, 2))
    paths[0].write_bytes(b"longer")
    os.utime(paths[0], (0, 1))
    seen.append(survey(root, RULES, 2))
    paths[0].rename(paths[0].with_name("3.jpg"))
    seen.append(survey(root, RULES, 2))
    paths[1].unlink()
    seen.append(survey(root, RULES, 2))
    seen.append(survey(root, Rules(["kiwi"], []), 2))
    seen.append(survey(root, Rules([], ["3.*"]), 2))
    assert len({one.digits for one in seen}) == len(seen)
    paths[1].touch()
    os.utime(paths[1], (0, 0))
    assert survey(root, RULES, 2) == seen[3]


def test_survey_of_a_folder_that_is_not_there_is_an_error(photographs: Path) -> None:
    """It is never taken for an empty one."""
    assert survey(f"file://{photographs}", RULES, 2).files == 0
    with pytest.raises(StorageError, match="cannot be listed: No such file or directory"):
        survey(f"file://{photographs}/none", RULES, 2)


Known = tuple[int, datetime] | None
CASES: list[tuple[str, tuple[int, datetime, str | None] | None, Known, Known, str]] = [
    # name, the file (length, time, rule), the row in images, the row in quarantine, change
    ("new", (5, NOW, None), None, None, "new"),
    ("new and passed over", (5, NOW, "skip: *"), None, None, "skipped"),
    ("held", (5, NOW, None), (5, NOW), None, "unchanged"),
    ("held and passed over now", (5, NOW, "skip: *"), (5, NOW), None, "skipped"),
    ("later", (5, NOW, None), (5, THEN), None, "changed"),
    ("earlier", (5, THEN, None), (5, NOW), None, "changed"),
    ("longer", (6, NOW, None), (5, NOW), None, "changed"),
    ("gone", None, (5, NOW), None, "gone"),
    ("broken still", (5, NOW, None), None, (5, NOW), "unchanged"),
    ("broken, another content", (6, NOW, None), None, (5, NOW), "changed"),
    ("broken, gone", None, None, (5, NOW), "gone"),
    ("replaced by a broken one", (6, NOW, None), (5, THEN), (6, NOW), "unchanged"),
    ("restored after that", (5, THEN, None), (5, THEN), (6, NOW), "changed"),
    ("replaced once more", (7, NOW, None), (5, THEN), (6, NOW), "changed"),
    ("gone after that", None, (5, THEN), (6, NOW), "gone"),
    ("could not be reached", (5, NOW, None), None, (5, NOW), "changed"),
    ("too large", (5, NOW, None), None, (5, NOW), "unchanged"),
    ("too large before", (5, NOW, None), None, (5, NOW), "changed"),
    ("of no format that is taken", (5, NOW, None), None, (5, NOW), "unchanged"),
    ("of a format that was not taken", (5, NOW, None), None, (5, NOW), "changed"),
    ("empty", (0, NOW, None), None, None, "new"),
    ("empty still", (0, NOW, None), None, (0, NOW), "unchanged"),
]


REASONS = {
    "could not be reached": ("unreadable", "PermissionError."),
    "too large": ("too_large", "1001 bytes; at most 1000 are read."),
    "too large before": ("too_large", "200 bytes; at most 100 are read."),
    "of no format that is taken": ("unsupported_format", "TIFF is not among the formats JPEG."),
    "of a format that was not taken": ("unsupported_format", "JPEG is not among the formats GIF, PNG."),
}


def test_difference_of_files_says_what_must_be_read(spark: SparkSession) -> None:
    """Length and time stamp of the newest content that any table knows decide; every file and row has one outcome."""

    def known(at: int) -> list[tuple[object, ...]]:
        return [(case[0], *case[at]) for case in CASES if case[at] is not None]  # type: ignore[misc]

    listing = spark.createDataFrame(
        [(name, "Kiwi", None, file[0], file[1], file[2]) for name, file, *_ in CASES if file is not None], LISTING
    )
    columns = "path string, length long, modification_time timestamp"
    images = spark.createDataFrame(known(2), columns)
    held = [(*row, *REASONS.get(str(row[0]), ("corrupt", "Bad."))) for row in known(3)]
    quarantine = spark.createDataFrame(held, f"{columns}, reason string, detail string")
    found = difference_of_files(listing, images, quarantine, CLAUSES).collect()
    assert len(found) == len(CASES)
    assert {row.path: (row.change, row.in_images, row.in_quarantine) for row in found} == {
        name: (change, held is not None, quarantined is not None) for name, _, held, quarantined, change in CASES
    }
