"""The bronze job on small folders: what it takes, what it holds back, and that every file is accounted for."""

import datetime
import hashlib
import io
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import bronze.job
from bronze.job import Summary
from bronze.tables import CONTENTS, IMAGES, QUARANTINE, TABLES
from fruits.settings import Settings
from lakehouse.errors import ForeignTableError, SettingsError, StorageError
from lakehouse.tables import delta
from lakehouse.tables.table import Table
from lakehouse.workspace import Workspace
from tests.conftest import add_photographs, photograph

HTML = b"<html><body>404 Not Found</body></html>"
IN_1999 = datetime.datetime(1999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)


def run(workspace: Workspace, **expected: int) -> Summary:
    """Run the job; check that it accounts for every file, and the figures that are given (others must be 0)."""
    summary = bronze.job.run(workspace)
    accounted = summary["ingested"] + summary["unchanged"] + summary["quarantined"] + summary["skipped"]
    assert summary["discovered"] == accounted
    assert sum(summary["skipped_by"].values()) == summary["skipped"]
    if expected:
        changed = ("ingested", "replaced", "unchanged", "quarantined", "skipped", "removed")
        found = {name: value for name, value in summary.items() if name in changed}
        assert found == dict.fromkeys(changed, 0) | expected
    return summary


def changed(workspace: Workspace, **settings: object) -> Workspace:
    """The same lake under other settings."""
    return Workspace(workspace.settings.model_copy(update=settings))


def rows(workspace: Workspace, table: Table = IMAGES, version: int | None = None) -> dict[str, dict[str, Any]]:
    """A table's rows by the name of the file; each file has one."""
    handle = delta.open_table(workspace.lake, table, version)
    assert handle is not None
    found = handle.to_pyarrow_table().to_pylist()
    if table == IMAGES:
        contents = {row["sha256"]: row["content"] for row in held_contents(workspace, version)}
        found = [row | {"content": contents[row["sha256"]]} for row in found]
    named = {row["path"].rpartition("/")[2]: row for row in found}
    assert len(named) == len(found)
    return named


def held_contents(workspace: Workspace, images_version: int | None = None) -> list[dict[str, Any]]:
    """The contents that there are, each once; those of an older version of the images are there at least."""
    found: list[dict[str, Any]] = delta.existing(workspace.lake, CONTENTS).to_pyarrow_table().to_pylist()
    assert len({row["sha256"] for row in found}) == len(found)
    assert all(hashlib.sha256(row["content"]).hexdigest() == row["sha256"] for row in found)
    images = delta.existing(workspace.lake, IMAGES, images_version).to_pyarrow_table().to_pylist()
    assert {row["sha256"] for row in images} <= {row["sha256"] for row in found}
    return found


def reasons(workspace: Workspace) -> dict[str, str]:
    """The quarantine: name of the file → reason."""
    return {name: row["reason"] for name, row in rows(workspace, QUARANTINE).items()}


def versions(workspace: Workspace) -> list[int]:
    """The version of each bronze table."""
    return [delta.existing(workspace.lake, table).version() for table in TABLES]


def set_time(path: Path, time: datetime.datetime) -> None:
    """Give a file this modification time."""
    os.utime(path, (time.timestamp(), time.timestamp()))


@pytest.fixture
def fruit(photographs: Path) -> list[Path]:
    """Three photographs of apples."""
    return add_photographs(photographs, "Apple", range(3))


def test_photographs_are_kept_as_they_are_and_a_second_run_writes_nothing(
    workspace: Workspace, photographs: Path
) -> None:
    """Every column is the file's own; with nothing new there is no commit to any table, whatever the first run did."""
    add_photographs(photographs, "Training/Apple Red 1", range(2))
    add_photographs(photographs, "Test/Kiwi", range(2, 4))
    add_photographs(photographs, "Pear", range(4, 5))
    add_photographs(photographs, ".", range(5, 6))
    (photographs / "Pear" / "strip.jpg").write_bytes(photograph(6, (10, 300), "JPEG"))
    (photographs / "Pear" / "png inside.JPG").write_bytes(photograph(7, (9, 7)))
    (photographs / "Pear" / "page.jpg").write_bytes(HTML)
    (photographs / "Pear" / "Thumbs.db").write_bytes(b"not asked")
    start = datetime.datetime.now(datetime.UTC)
    summary = run(workspace, ingested=8, quarantined=1, skipped=1)
    assert (summary["discovered"], summary["batch"]) == (10, 1)

    kept = rows(workspace)
    for name, row in kept.items():
        path = Path(row["path"].removeprefix("file://"))
        assert (path.name, row["content"], row["length"]) == (name, path.read_bytes(), path.stat().st_size)
        assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert row["modification_time"].timestamp() == pytest.approx(path.stat().st_mtime, abs=1e-5)
        assert start < row["ingested_at"] <= datetime.datetime.now(datetime.UTC)
        assert row["batch"] == 1
    columns = ("split", "label", "format", "width", "height")
    assert {name: tuple(row[column] for column in columns) for name, row in kept.items()} == {
        "0.png": ("Training", "Apple Red 1", "PNG", 8, 8),
        "1.png": ("Training", "Apple Red 1", "PNG", 8, 8),
        "2.png": ("Test", "Kiwi", "PNG", 8, 8),
        "3.png": ("Test", "Kiwi", "PNG", 8, 8),
        "4.png": (None, "Pear", "PNG", 8, 8),
        "5.png": (None, None, "PNG", 8, 8),
        "strip.jpg": (None, "Pear", "JPEG", 10, 300),
        "png inside.JPG": (None, "Pear", "PNG", 9, 7),
    }
    broken = rows(workspace, QUARANTINE)["page.jpg"]
    assert (broken["path"], broken["label"], broken["length"], broken["reason"], broken["batch"]) == (
        f"file://{photographs}/Pear/page.jpg",
        "Pear",
        len(HTML),
        "not_an_image",
        1,
    )
    assert "<html><body>404" in broken["detail"]

    before = versions(workspace)
    summary = run(workspace, unchanged=9, skipped=1)
    assert (versions(workspace), summary["batch"]) == (before, 1)
    # Under other settings the difference is found anew, empty, and that is noted: in a commit without rows.
    held = rows(workspace, QUARANTINE)
    summary = run(changed(workspace, removed_images="delete"), unchanged=9, skipped=1)
    before[TABLES.index(QUARANTINE)] += 1
    assert (versions(workspace), summary["batch"]) == (before, 1)
    assert rows(workspace, QUARANTINE) == held


def test_batch_grows_by_one_an_ingest_and_only_then(workspace: Workspace, photographs: Path) -> None:
    """An empty folder, an ingest, nothing new, only a broken file, nothing new, an ingest: 0, 1, 1, 2, 2, 3."""
    batches = [run(workspace)["batch"]]
    add_photographs(photographs, "Apple", range(1))
    batches += [run(workspace, ingested=1)["batch"], run(workspace, unchanged=1)["batch"]]
    (photographs / "Apple" / "broken.jpg").write_bytes(b"")
    batches += [run(workspace, unchanged=1, quarantined=1)["batch"], run(workspace, unchanged=2)["batch"]]
    add_photographs(photographs, "Apple", range(1, 2))
    batches += [run(workspace, unchanged=2, ingested=1)["batch"]]
    assert batches == [0, 1, 1, 2, 2, 3]
    assert {name: row["batch"] for name, row in rows(workspace).items()} == {"0.png": 1, "1.png": 3}
    assert rows(workspace, QUARANTINE)["broken.jpg"]["batch"] == 2


def test_new_photographs_with_old_time_stamps_are_taken(
    workspace: Workspace, photographs: Path, fruit: list[Path]
) -> None:
    """A data set unzipped among newer files; Spark's own file source drops such."""
    run(workspace, ingested=3)
    old, oldest = add_photographs(photographs, "Kiwi", range(10, 12))
    set_time(old, IN_1999)
    os.utime(oldest, (0, 0))
    run(workspace, ingested=2, unchanged=3)
    assert rows(workspace)["10.png"]["modification_time"] == IN_1999
    run(workspace, unchanged=5)


def test_replaced_photograph_has_one_current_row_and_the_old_one_in_history(
    workspace: Workspace, fruit: list[Path]
) -> None:
    """Newer or older than the one before, as long or not: the content that is there now is current."""
    run(workspace, ingested=3)
    before, version = rows(workspace), versions(workspace)[TABLES.index(IMAGES)]
    fruit[0].write_bytes(photograph(70, (9, 9)))
    set_time(fruit[0], IN_1999)
    fruit[1].write_bytes(photograph(71, (7, 7), "JPEG"))
    run(workspace, ingested=2, replaced=2, unchanged=1)
    now = rows(workspace)
    assert [now[name]["content"] for name in ("0.png", "1.png")] == [path.read_bytes() for path in fruit[:2]]
    assert [now[name]["width"] for name in now] == [{"0.png": 9, "1.png": 7, "2.png": 8}[name] for name in now]
    assert {name: row["batch"] for name, row in now.items()} == {"0.png": 2, "1.png": 2, "2.png": 1}
    assert now["2.png"] == before["2.png"]
    assert rows(workspace, version=version) == before
    run(workspace, unchanged=3)


def test_touched_photograph_is_unchanged_and_read_once_only(workspace: Workspace, fruit: list[Path]) -> None:
    """The same bytes under another time stamp: the row learns the time stamp, and no later run reads the file."""
    run(workspace, ingested=3)
    before = rows(workspace)
    set_time(fruit[0], IN_1999)
    summary = run(workspace, unchanged=3)
    touched = before["0.png"] | {"modification_time": IN_1999}
    assert (rows(workspace), summary["batch"]) == (before | {"0.png": touched}, 1)
    fruit[0].write_bytes(b"#" * len(before["0.png"]["content"]))  # whoever reads it now sees no photograph
    set_time(fruit[0], IN_1999)
    at = versions(workspace)
    run(workspace, unchanged=3)
    assert versions(workspace) == at


def test_touched_replaced_and_new_photographs_are_told_apart_in_one_run(
    workspace: Workspace, photographs: Path, fruit: list[Path]
) -> None:
    """One of each, a broken one, and one that stays as it is."""
    run(workspace, ingested=3)
    set_time(fruit[0], IN_1999)
    fruit[1].write_bytes(photograph(71, (9, 9)))
    add_photographs(photographs, "Kiwi", range(10, 11))
    (photographs / "Kiwi" / "page.jpg").write_bytes(HTML)
    run(workspace, ingested=2, replaced=1, unchanged=2, quarantined=1)


def test_moved_photograph_takes_the_label_of_its_new_folder(
    workspace: Workspace, photographs: Path, fruit: list[Path]
) -> None:
    """A new path is a new row, with label and split of where it lies; the old path's row goes where that is asked."""
    workspace = changed(workspace, removed_images="delete")
    run(workspace, ingested=3)
    before = rows(workspace)["0.png"]
    (photographs / "Test" / "Pear").mkdir(parents=True)
    fruit[0].rename(photographs / "Test" / "Pear" / "0.png")
    run(workspace, ingested=1, unchanged=2, removed=1)
    after = rows(workspace)["0.png"]
    assert (after["split"], after["label"], after["sha256"]) == ("Test", "Pear", before["sha256"])
    assert len(rows(workspace)) == 3
    run(workspace, unchanged=3)


def test_removed_photographs_are_kept_until_deletion_is_asked_for(
    workspace: Workspace, photographs: Path, fruit: list[Path]
) -> None:
    """`keep` writes nothing; `delete` removes rows of this folder alone, not of another that begins with its name."""
    other = photographs.with_name("photographs elsewhere")
    add_photographs(other, "Apple", range(7, 9))
    (photographs / "page.jpg").write_bytes(HTML)
    run(workspace, ingested=3, quarantined=1)
    run(changed(workspace, images=f"file://{other}"), ingested=2)
    fruit[0].unlink()
    before = versions(workspace)
    run(workspace, unchanged=3)
    run(workspace, unchanged=3)
    assert (versions(workspace)[TABLES.index(IMAGES)], "0.png" in rows(workspace)) == (
        before[TABLES.index(IMAGES)],
        True,
    )

    deleting = changed(workspace, removed_images="delete")
    (photographs / "page.jpg").unlink()
    run(deleting, unchanged=2, removed=1)
    assert ({*rows(workspace)}, reasons(workspace)) == ({"1.png", "2.png", "7.png", "8.png"}, {})
    assert len(held_contents(workspace)) == 4
    fruit[1].write_bytes(photograph(70))
    run(deleting, unchanged=1, ingested=1, replaced=1)
    assert len(held_contents(workspace)) == 4
    before = versions(workspace)
    run(deleting, unchanged=2)
    assert versions(workspace) == before


def test_empty_or_missing_folder_does_not_erase_the_lake(workspace: Workspace, fruit: list[Path]) -> None:
    """An unmounted disk looks like an empty folder: `delete` refuses, `keep` goes on, and no row is written."""
    run(workspace, ingested=3)
    before = versions(workspace)[TABLES.index(IMAGES)]
    for path in fruit:
        path.unlink()
    with pytest.raises(StorageError, match=r"holds no photographs, while the lake holds 3 .*removed_images: keep"):
        run(changed(workspace, removed_images="delete"))
    assert run(workspace)["discovered"] == 0
    with pytest.raises(StorageError, match=r"nowhere cannot be listed: No such file or directory"):
        run(changed(workspace, images=f"{workspace.section(Settings).images}/nowhere", removed_images="delete"))
    assert (versions(workspace)[TABLES.index(IMAGES)], len(rows(workspace))) == (before, 3)


def test_every_kind_of_broken_file_lands_in_quarantine_and_a_repaired_one_is_taken(
    workspace: Workspace, photographs: Path
) -> None:
    """None of them fails the job, each has its reason, none is tried again, and a repaired file leaves quarantine."""
    jpeg, icon = photograph(1, (16, 16), "JPEG"), io.BytesIO()
    Image.new("RGB", (16, 16)).save(icon, "ICO")
    table = jpeg.index(b"\xff\xc4") + 5
    broken = {
        "empty": b"",
        "not_an_image": HTML,
        "truncated": jpeg[:-2],
        "corrupt": jpeg[:table] + b"\xff" * 16 + jpeg[table + 16 :],
        "too_many_pixels": photograph(2, (40, 26)),
        "unsupported_format": icon.getvalue(),
        "too_large": photograph(3, (35, 29)) + b"\0" * 3000,
    }
    for name, content in broken.items():
        (photographs / f"{name}.jpg").write_bytes(content)
    (photographs / "unreadable.jpg").symlink_to("/proc/self/mem")  # it opens, and then every read fails
    add_photographs(photographs, "Apple", range(1))
    strict = changed(workspace, max_bytes=5000, max_pixels=1024)
    run(strict, ingested=1, quarantined=8)
    assert reasons(workspace) == {f"{name}.jpg": name for name in (*broken, "unreadable")}
    assert all(row["detail"] for row in rows(workspace, QUARANTINE).values())
    assert [*rows(workspace)] == ["0.png"]

    for name in ("truncated", "corrupt", "too_large"):
        (photographs / f"{name}.jpg").write_bytes(photograph(50, (8, 9)))
    (photographs / "empty.jpg").write_bytes(HTML)
    (photographs / "not_an_image.jpg").unlink()
    (photographs / "unreadable.jpg").unlink()
    run(strict, ingested=3, quarantined=1, unchanged=3)
    assert reasons(workspace) == {
        "empty.jpg": "not_an_image",
        **{f"{name}.jpg": name for name in ("too_many_pixels", "unsupported_format")},
    }
    assert {*rows(workspace)} == {"0.png", "truncated.jpg", "corrupt.jpg", "too_large.jpg"}
    before = versions(workspace)
    run(strict, unchanged=7)
    assert versions(workspace) == before


def test_file_of_the_greatest_length_is_taken(workspace: Workspace, photographs: Path) -> None:
    """`max_bytes` itself is within the limit; one byte more is not."""
    (path,) = add_photographs(photographs, "Apple", range(1))
    limit = path.stat().st_size
    (photographs / "longer.png").write_bytes(path.read_bytes() + b"\0")
    run(changed(workspace, max_bytes=limit), ingested=1, quarantined=1)
    assert reasons(workspace) == {"longer.png": "too_large"}
    assert rows(workspace, QUARANTINE)["longer.png"]["detail"] == f"{limit + 1} bytes; at most {limit} are read."


def test_photograph_replaced_by_a_broken_file_keeps_its_row_until_it_is_restored(
    workspace: Workspace, fruit: list[Path]
) -> None:
    """The last good content stays current; the original, restored with its time stamp, leaves quarantine again."""
    run(workspace, ingested=3)
    before, status = rows(workspace), fruit[0].stat()
    original = fruit[0].read_bytes()
    fruit[0].write_bytes(original[:-5])
    run(workspace, unchanged=2, quarantined=1)
    assert (rows(workspace), reasons(workspace)) == (before, {"0.png": "truncated"})
    at = versions(workspace)
    run(workspace, unchanged=3)
    assert versions(workspace) == at

    fruit[0].write_bytes(original)
    os.utime(fruit[0], ns=(status.st_atime_ns, status.st_mtime_ns))
    run(workspace, unchanged=3)
    assert (rows(workspace), reasons(workspace)) == (before, {})
    at = versions(workspace)
    run(workspace, unchanged=3)
    assert versions(workspace) == at


def test_photograph_replaced_by_a_broken_file_loses_its_row_where_removed_ones_do(
    workspace: Workspace, fruit: list[Path]
) -> None:
    """Under `delete` no table shows content that is no longer there; restored, it is taken up as new."""
    workspace = changed(workspace, removed_images="delete")
    run(workspace, ingested=3)
    original = fruit[0].read_bytes()
    fruit[0].write_bytes(b"")
    run(workspace, unchanged=2, quarantined=1)
    assert ({*rows(workspace)}, reasons(workspace)) == ({"1.png", "2.png"}, {"0.png": "empty"})
    fruit[0].write_bytes(original)
    run(workspace, unchanged=2, ingested=1)
    assert ({*rows(workspace)}, reasons(workspace)) == ({"0.png", "1.png", "2.png"}, {})


@pytest.mark.parametrize("deep", [False, True])
def test_odd_names_are_ingested_or_reported_with_the_rule(workspace: Workspace, photographs: Path, deep: bool) -> None:
    """Of files, and of the folders that are their labels: the path in the table is the name as it is."""
    names = ["a b", "a%20b", "a#b", "a+b", "a?b", "a:b", "a\\b", "a\nb", "a'b\"", "a*[b]{c}", "café", "cafe\u0301"]
    names += ["漢字", "🍎", "_x", ".x", "n" * 251, "%", "$1"]
    for seed, name in enumerate(names):
        folder = photographs / name if deep else photographs
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.jpg").write_bytes(photograph(seed))
    (photographs / os.fsdecode(b"caf\xe9.jpg")).write_bytes(photograph(99))
    (photographs / "broken.jpg").symlink_to("nowhere")
    (photographs / "._x.jpg").write_bytes(b"of a Mac")
    run(workspace, ingested=len(names), skipped=3)
    found = {row["path"]: (row["label"], row["content"]) for row in rows(workspace).values()}
    assert found == {
        f"file://{photographs}/{f'{name}/' if deep else ''}{name}.jpg": (name if deep else None, photograph(seed))
        for seed, name in enumerate(names)
    }
    run(workspace, unchanged=len(names), skipped=3)


def test_folders_with_odd_names_work_like_any_other(workspace: Workspace, tmp_path: Path) -> None:
    """Of the lake as of the photographs: nobody reads a name as a pattern or as an encoded one."""
    images = tmp_path / "my photographs [1] é#%20"
    (path, _) = add_photographs(images, "Apple", range(2))
    workspace = changed(workspace, lake=f"file://{tmp_path}/my lake é", images=f"file://{images}")
    run(workspace, ingested=2)
    path.write_bytes(photograph(9, (9, 9)))
    run(workspace, ingested=1, replaced=1, unchanged=1)
    assert {row["path"] for row in rows(workspace).values()} == {f"file://{images}/Apple/{n}.png" for n in range(2)}


def test_no_folder_of_photographs_is_an_error_that_says_how_to_name_one(workspace: Workspace) -> None:
    """Before anything is listed."""
    with pytest.raises(SettingsError, match="No photographs were named"):
        run(changed(workspace, images=None))


def test_foreign_table_stops_the_job_untouched(workspace: Workspace, fruit: list[Path]) -> None:
    """A lake of another layout is not written to."""
    stranger = Table(IMAGES.name, QUARANTINE.schema, ("path",), ("path",), layout=IMAGES.layout)
    delta.create(workspace.lake, [stranger])
    with pytest.raises(ForeignTableError, match=r"bronze\.images has another layout"):
        run(workspace)
    assert delta.existing(workspace.lake, stranger).version() == 0
    assert delta.open_table(workspace.lake, QUARANTINE) is None
