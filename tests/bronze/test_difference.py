"""The difference between a listing and the tables: what must be read, and what must be labelled anew."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pyarrow as pa
import pytest

from bronze.difference import (
    DIFFERENCE,
    IMAGES_COMPARED,
    QUARANTINE_COMPARED,
    KeepUnseen,
    difference_of_files,
    folders_unseen,
)
from bronze.discover import LISTING
from bronze.judgement import Limits
from bronze.tables import CORRECTIONS, IMAGES, QUARANTINE
from tests.conftest import Opening

NO_CORRECTIONS = pa.schema([CORRECTIONS.schema.field(name) for name in ("sha256", "label", "split")]).empty_table()
CLAUSES = Limits(["JPEG"], 1000, 2000).clauses
THEN = datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)
NOW = THEN + timedelta(microseconds=1)

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
    """Length and time stamp of the newest content that any table knows decide; what is as it was is left out.

    Rows of other folders have none, though these be named alike.
    """
    engine, root = opened(engine_name), "file:///it's a_%"

    def rows(columns: Sequence[str], schema: pa.Schema, found: Sequence[tuple[object, ...]]) -> pa.Table:
        roots = (root, root.replace("a_%", "axy"))
        whole = [dict(zip(columns, (f"{one}/{path}", *rest), strict=False)) for one in roots for path, *rest in found]
        return pa.Table.from_pylist(whole, pa.schema([schema.field(name) for name in columns]))

    files = [
        {"path": f"{root}/{name}", "label": "Kiwi", "length": file[0], "modification_time": file[1], "rule": file[2]}
        for name, file, *_ in CASES
        if file is not None
    ]
    images = [(case.name, *case.image, "Kiwi") for case in CASES if case.image is not None]
    held = [
        (case.name, *case.held, "Kiwi", *REASONS.get(case.name, ("corrupt", "Bad.")))
        for case in CASES
        if case.held is not None
    ]
    found = difference_of_files(
        engine,
        engine.of(pa.Table.from_pylist(files, LISTING)),
        engine.of(rows(IMAGES_COMPARED, IMAGES.schema, images)),
        engine.of(rows(QUARANTINE_COMPARED, QUARANTINE.schema, held)),
        None,
        root,
        CLAUSES,
    )
    answer = engine.arrow(found).to_pylist()
    told = [case for case in CASES if case.change not in ("unchanged", "skipped")]
    assert len(answer) == len(told)
    assert {row["path"]: (row["change"], row["in_images"], row["in_quarantine"]) for row in answer} == {
        f"{root}/{name}": (change, held is not None, quarantined is not None)
        for name, _, held, quarantined, change in told
    }
    listed_files = {row["path"]: row for row in files}
    for row in answer:
        file = listed_files.get(row["path"], {})
        columns_of_the_file = ("label", "split", "length", "modification_time", "rule")
        assert [row[name] for name in columns_of_the_file] == [file.get(name) for name in columns_of_the_file]


def test_what_nobody_could_look_for_is_not_gone(opened: Opening, engine_name: str) -> None:
    """Below a folder that was passed over, at any depth, and not beside it; what is listed stays what it is."""
    engine = opened(engine_name)
    folders = ["file:///pics/Kiwi", "file:///pics/it's"]
    listing: list[dict[str, str | None]] = [{"path": path, "rule": f"skip: {path[-4:]}/"} for path in folders]
    listing += [{"path": "file:///pics/Pear", "rule": "linked_twice"}, {"path": "file:///pics/0.jpg", "rule": None}]
    rows = engine.of(pa.Table.from_pylist(listing, LISTING))
    rules = [*{row["rule"] for row in listing if row["rule"]}]
    assert folders_unseen(engine, rows, "file:///pics", rules) == {*folders}
    assert folders_unseen(engine, rows, "s3://pics", rules) == frozenset()
    gone = ["Kiwi/1.jpg", "Kiwi/a/b/2.jpg", "it's/3.jpg", "Kiwis/4.jpg", "Pear/5.jpg", "Kiwi"]
    files = [{"path": f"file:///pics/{name}", "change": "gone"} for name in gone]
    files += [{"path": "file:///pics/Kiwi/6.jpg", "change": "new"}]
    found = engine.map(engine.of(pa.Table.from_pylist(files, DIFFERENCE)), KeepUnseen(frozenset(folders)), DIFFERENCE)
    assert {row["path"].removeprefix("file:///pics/"): row["change"] for row in engine.arrow(found).to_pylist()} == {
        **dict.fromkeys(gone, "gone"),
        **dict.fromkeys(gone[:3], "unseen"),
        "Kiwi/6.jpg": "new",
    }


def test_listing_of_before_does_not_judge_what_is_newer(opened: Opening, engine_name: str) -> None:
    """It may lack such a file, or have it as it was; of older ones, and of what is newer there, it is believed."""
    engine, noon = opened(engine_name), datetime(2026, 3, 1, 12, tzinfo=UTC)
    hour = timedelta(hours=1)
    in_lake = {"older": -hour, "just": 0 * hour, "newer": hour, "replaced": hour, "touched": -2 * hour, "again": hour}
    images = [{"path": f"s3://a/{name}", "length": 1, "modification_time": noon + at} for name, at in in_lake.items()]
    there = {"replaced": -hour, "touched": -hour, "again": 2 * hour}
    listing = [{"path": f"s3://a/{name}", "length": 2, "modification_time": noon + at} for name, at in there.items()]
    compared = pa.schema([IMAGES.schema.field(name) for name in IMAGES_COMPARED])
    held = pa.schema([QUARANTINE.schema.field(name) for name in QUARANTINE_COMPARED])
    found = difference_of_files(
        engine,
        engine.of(pa.Table.from_pylist(listing, LISTING)),
        engine.of(pa.Table.from_pylist(images, compared)),
        engine.of(held.empty_table()),
        None,
        "s3://a",
        {},
        int(noon.timestamp() * 1_000_000),
    )
    assert {row["path"].removeprefix("s3://a/"): row["change"] for row in engine.arrow(found).to_pylist()} == {
        "older": "gone",
        "just": "unseen",
        "newer": "unseen",
        "touched": "changed",
        "again": "changed",
    }


class Label(NamedTuple):
    """A photograph's labels: of the listing (None: not listed), as they stand in its row, and as a person corrected."""

    name: str
    listed: tuple[str | None, str | None] | None
    label: tuple[str | None, str | None]
    given: tuple[str | None, str | None] | None  # None: a row of release 0.1.0
    correct: tuple[str | None, str | None] | None
    wanted: tuple[str | None, str | None] | None  # None: the row stays as it is
    given_now: tuple[str | None, str | None] = (None, None)


KIWI_TEST, PEAR_TEST, TEST = ("Kiwi", "Test"), ("Pear", "Test"), (None, "Test")
KIWI, PEAR, FIG, NOTHING = ("Kiwi", None), ("Pear", None), ("Fig", None), (None, None)
LABELS = [
    Label("as it is", KIWI_TEST, KIWI_TEST, KIWI_TEST, None, None),
    Label("as release 0.1.0 wrote it", KIWI_TEST, KIWI_TEST, None, None, None),
    Label("unlabelled", NOTHING, NOTHING, NOTHING, None, None),
    Label("another folder", PEAR_TEST, KIWI_TEST, KIWI_TEST, None, PEAR_TEST, PEAR_TEST),
    Label("another split", KIWI, KIWI_TEST, None, None, KIWI, KIWI),
    Label("corrected now", KIWI_TEST, KIWI_TEST, None, PEAR, PEAR_TEST, KIWI_TEST),
    Label("corrected", KIWI_TEST, PEAR_TEST, KIWI_TEST, PEAR, None),
    Label("as corrected already", KIWI, KIWI, KIWI, KIWI, None),
    Label("split corrected", NOTHING, NOTHING, NOTHING, TEST, TEST, NOTHING),
    Label("corrected, another folder", FIG, PEAR, KIWI, PEAR, PEAR, FIG),
    Label("taken back", NOTHING, PEAR, NOTHING, None, NOTHING, NOTHING),
    Label("gone", None, KIWI_TEST, KIWI_TEST, None, None),
    Label("gone, corrected now", None, KIWI, None, PEAR, PEAR, KIWI),
    Label("gone, taken back", None, PEAR, TEST, None, TEST, TEST),
]  # fmt: skip


@pytest.mark.parametrize("root", ["file:///f", "file:///elsewhere"])
def test_labels_are_those_of_a_correction_else_of_the_listing_else_as_they_were_given(
    opened: Opening, engine_name: str, root: str
) -> None:
    """Of rows under the root and of others, which are not listed; what is right stays as it is."""
    engine = opened(engine_name)
    here = [one for one in LABELS if one.listed is None or root == "file:///f"]
    listed = [
        {"path": f"file:///f/{one.name}", "label": one.listed[0], "split": one.listed[1], "length": 1}
        for one in here
        if one.listed is not None
    ]
    images = [
        {"path": f"file:///f/{one.name}", "length": 1, "sha256": one.name, "label": one.label[0], "split": one.label[1]}
        | ({"corrected": one.label != one.given} if one.given is not None else {})
        | dict(zip(("given_label", "given_split"), one.given or (None, None), strict=True))
        for one in here
    ]
    corrections = [
        {"sha256": one.name, "label": one.correct[0], "split": one.correct[1]}
        for one in here
        if one.correct is not None
    ]
    schema = pa.schema([IMAGES.schema.field(name) for name in (*IMAGES_COMPARED, "sha256")])
    held = pa.schema([QUARANTINE.schema.field(name) for name in QUARANTINE_COMPARED])
    found = difference_of_files(
        engine,
        engine.of(pa.Table.from_pylist(listed, LISTING)),
        engine.of(pa.Table.from_pylist(images, schema)),
        engine.of(held.empty_table()),
        engine.of(pa.Table.from_pylist(corrections, NO_CORRECTIONS.schema)),
        root,
        CLAUSES,
    )
    relabelled = {
        row["path"].rpartition("/")[2]: tuple(
            row[name] for name in ("new_label", "new_split", "given_label", "given_split")
        )
        for row in engine.arrow(found).to_pylist()
        if row["relabelled"]
    }
    assert relabelled == {one.name: (*one.wanted, *one.given_now) for one in here if one.wanted is not None}
