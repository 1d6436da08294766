"""What lies among the photographs and is none: passed over and counted, and never taken for removed photographs."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bronze.job
from bronze.job import Summary
from bronze.tables import IMAGES, QUARANTINE
from fruits.settings import load_settings
from lakehouse.errors import SettingsError
from lakehouse.storage import read_file, walk
from lakehouse.storage.base import FileStatus
from lakehouse.storage.folder_rules import FolderRules
from lakehouse.tables import delta
from lakehouse.workspace import Workspace
from tests.conftest import add_photographs, closed, photograph


def run(images: object, lake: object, **settings: object) -> Summary:
    """Run the job; check that it accounts for every file."""
    workspace = Workspace(load_settings(images=str(images), lake=str(lake), weights="untrained", **settings))
    summary = bronze.job.run(workspace)
    workspace.close()
    accounted = summary["ingested"] + summary["unchanged"] + summary["quarantined"] + summary["skipped"]
    assert summary["discovered"] == accounted
    assert summary["skipped"] == sum(summary["skipped_by"].values())
    return summary


def labels(images: object, lake: object) -> dict[str, str | None]:
    """The label of each photograph in the lake, by its path from the images' folder."""
    rows = delta.existing(Workspace(load_settings(lake=str(lake))).lake, IMAGES).to_pyarrow_table().to_pylist()
    root = str(images) if "://" in str(images) else f"file://{images}"
    return {row["path"].removeprefix(f"{root}/"): row["label"] for row in rows}


def figures(summary: Summary) -> tuple[int, int, dict[str, int]]:
    """How many files were taken, how many were known, and what was passed over."""
    return summary["ingested"], summary["unchanged"], summary["skipped_by"]


def test_keys_that_begin_with_a_slash_are_listed_once(put_keys: Any, tmp_path: Path) -> None:
    """Four objects, four rows; markers of folders and empty files that keep one are neither labels nor broken."""
    for number, key in enumerate(("Apple/0.png", "Apple/1.png", "/Pear/3.png", "Apple//x.png")):
        root = put_keys(key, content=photograph(number))
    put_keys("Apple_$folder$", "Apple/", "/Pear/.keep", "Kiwi/.gitkeep", content=b"")
    skipped = {"folder_marker": 1, "skip: *_$folder$": 1, "skip: .gitkeep": 1, "skip: .keep": 1}
    assert figures(run(root, tmp_path / "lake")) == (4, 0, skipped)
    assert labels(root, tmp_path / "lake") == {
        "Apple/0.png": "Apple",
        "Apple/1.png": "Apple",
        "/Pear/3.png": "Pear",
        "Apple//x.png": "Apple",
    }
    assert figures(run(root, tmp_path / "lake")) == (0, 4, skipped)


def test_split_may_lie_below_a_part_without_a_name(put_keys: Any, tmp_path: Path) -> None:
    """What lies beside `valid` is looked for where it is."""
    root = put_keys("a//valid/0.png", content=photograph(0))
    put_keys("b//valid/1.png", content=photograph(1))
    put_keys("b//invalid/2.png", content=photograph(2))
    assert figures(run(root, tmp_path / "lake")) == (3, 0, {})
    expected = {"a//valid/0.png": "a", "b//valid/1.png": "valid", "b//invalid/2.png": "invalid"}
    assert labels(root, tmp_path / "lake") == expected


@pytest.mark.parametrize("name", ["lake", "./x/../lake", "link", "{folder}/other/lake"])
def test_lake_among_the_photographs_is_passed_over(
    photographs: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the settings name it, so that a run without news stays one."""
    add_photographs(photographs, "Apple", range(3))
    (photographs / "lake").mkdir()
    (photographs.parent / "other").symlink_to(photographs)
    (photographs.parent / "link").symlink_to("photographs/lake")
    monkeypatch.chdir(photographs if name.startswith((".", "lake")) else photographs.parent)
    lake = name.format(folder=photographs.parent)
    assert figures(run(photographs, lake)) == (3, 0, {"lake": 1})
    for images in (photographs, photographs.parent / "other"):  # by another path they are other photographs
        summary = run(images, lake)
        assert (summary["discovered"], summary["skipped_by"]) == (4, {"lake": 1})
        version = delta.existing(Workspace(load_settings(lake=lake)).lake, IMAGES).version()
        assert figures(run(images, lake)) == (0, 3, {"lake": 1})
        assert delta.existing(Workspace(load_settings(lake=lake)).lake, IMAGES).version() == version


def test_other_lakes_among_the_photographs_are_passed_over(photographs: Path) -> None:
    """As of a run under another name before."""
    add_photographs(photographs, "Apple", range(3))
    run(photographs, photographs / "old")
    assert figures(run(photographs, photographs / "sets" / "new")) == (3, 0, {"another_lake": 1, "lake": 1})


def test_photographs_may_lie_in_the_lake(tmp_path: Path) -> None:
    """Its tables beside them are nobody's photographs."""
    add_photographs(tmp_path / "lake" / "pics", "Apple", range(2))
    assert figures(run(tmp_path / "lake" / "pics", tmp_path / "lake")) == (2, 0, {})


def test_lake_is_no_folder_of_photographs(photographs: Path) -> None:
    """Neither under another name; nothing is written."""
    (photographs.parent / "link").symlink_to(photographs)
    with pytest.raises(SettingsError, match="both the lake and the photographs' folder"):
        run(photographs, photographs.parent / "link")
    assert [*photographs.iterdir()] == []


def test_lake_among_photographs_on_s3_is_passed_over(s3: Any, bucket: str) -> None:
    """As one entry, whatever is written to it: a run without news stays one."""
    s3.put_object(Bucket=bucket, Key="pics/Apple/0.png", Body=photograph(0))
    images, lake = f"s3://{bucket}/pics", f"s3a://{bucket}/pics/sets/lake/"
    assert figures(run(images, lake)) == (1, 0, {"lake": 1})
    version = delta.existing(Workspace(load_settings(lake=lake)).lake, QUARANTINE).version()
    assert figures(run(images, lake)) == (0, 1, {"lake": 1})
    assert delta.existing(Workspace(load_settings(lake=lake)).lake, QUARANTINE).version() == version


TOOLS = (
    *(".git", "__MACOSX", "@eaDir", ".ipynb_checkpoints", "node_modules", ".Trash", ".Trash-1000", "$RECYCLE.BIN"),
    *("lost+found", ".fseventsd", ".venv", "#recycle", ".thumbnails", ".dvc", ".svn", "System Volume Information"),
)


@pytest.mark.parametrize("where", ["", "Apple/"])
def test_folders_of_tools_are_passed_over_and_counted(photographs: Path, tmp_path: Path, where: str) -> None:
    """By the shipped settings, wherever they lie; a folder is one, and what is in it is not looked at."""
    add_photographs(photographs, "Apple", range(2))
    for name in TOOLS:
        add_photographs(photographs / where / name, "deep", range(10, 12))
    expected = {f"skip: {name}/": 1 for name in TOOLS if not name.startswith(".Trash")} | {"skip: .Trash*/": 2}
    assert figures(run(photographs, tmp_path / "lake")) == (2, 0, expected)
    assert {*labels(photographs, tmp_path / "lake").values()} == {"Apple"}


def test_keys_of_tools_are_passed_over_and_counted(put_keys: Any, tmp_path: Path) -> None:
    """On S3 each key, as there all are listed."""
    root = put_keys(
        "Apple/0.png", "Apple/.ipynb_checkpoints/0-checkpoint.png", ".git/a", ".git/b/c", content=photograph(0)
    )
    expected = {"skip: .git/": 2, "skip: .ipynb_checkpoints/": 1}
    assert figures(run(root, tmp_path / "lake")) == (1, 0, expected)


@pytest.mark.parametrize("pattern", ["a/b", "/", "a//", ""])
def test_pattern_that_matches_nothing_is_an_error(pattern: str) -> None:
    """It would be passed over in silence itself."""
    with pytest.raises(SettingsError, match=r"`skip` in --skip is .* matches nothing: a pattern is of one name"):
        load_settings(skip=[".DS_Store", pattern])


def test_photographs_that_are_passed_over_later_stay(photographs: Path, tmp_path: Path) -> None:
    """By the name of a file or of a folder: what is passed over is not removed."""
    add_photographs(photographs, "Apple", range(2))
    add_photographs(photographs, "Kiwi", range(2, 4))
    run(photographs, tmp_path / "lake")
    summary = run(photographs, tmp_path / "lake", removed_images="delete", skip=["Kiwi/", "0.*"])
    assert figures(summary) == (0, 1, {"skip: 0.*": 1, "skip: Kiwi/": 1})
    assert (summary["removed"], summary["unlisted"]) == (0, 2)
    assert len(labels(photographs, tmp_path / "lake")) == 4


def test_linked_label_folder_is_followed(photographs: Path, tmp_path: Path) -> None:
    """Eight photographs behind a link, with its label; the folder that it leads to may lie among them, too."""
    add_photographs(tmp_path / "store", "apples", range(8))
    (photographs / "Apple").symlink_to("../store/apples")
    assert figures(run(photographs, tmp_path / "lake")) == (8, 0, {})
    assert labels(photographs, tmp_path / "lake") == {f"Apple/{number}.png": "Apple" for number in range(8)}
    (photographs / "Apfel").symlink_to("Apple")
    (photographs / "all").symlink_to("..")
    assert figures(run(photographs, tmp_path / "other")) == (8, 0, {"link_in_a_circle": 1, "linked_twice": 1})
    assert {*labels(photographs, tmp_path / "other").values()} == {"Apfel"}


def test_link_to_a_disk_that_is_not_there_removes_nothing(photographs: Path, tmp_path: Path) -> None:
    """It is counted; with the disk its photographs are there again, and those removed from it go."""
    apples = add_photographs(tmp_path / "store", "apples", range(3))
    add_photographs(photographs, "Kiwi", range(3, 5))
    (photographs / "Apple").symlink_to("../store/apples")
    lake = tmp_path / "lake"
    run(photographs, lake, removed_images="delete")
    (tmp_path / "store").rename(tmp_path / "unmounted")
    for _ in range(2):
        summary = run(photographs, lake, removed_images="delete")
        assert (figures(summary), summary["unlisted"]) == ((0, 2, {"broken_link": 1}), 3)
    (tmp_path / "unmounted").rename(tmp_path / "store")
    apples[0].unlink()
    summary = run(photographs, lake, removed_images="delete")
    assert (figures(summary), summary["unlisted"], summary["removed"]) == ((0, 4, {}), 0, 1)


@pytest.mark.parametrize("removed_images", ["keep", "delete"])
def test_unreadable_folder_removes_nothing(open_folder: Path, removed_images: str) -> None:
    """It is passed over and counted, its photographs and its quarantine stay, and the run goes on."""
    photographs, lake = open_folder / "photographs", open_folder / "lake"
    add_photographs(photographs, "Apple/red", range(3))
    add_photographs(photographs, "Kiwi", range(3, 5))
    (photographs / "Apple" / "page.jpg").write_bytes(b"<html>")
    run(photographs, lake, removed_images=removed_images)
    for path in [lake, *lake.rglob("*")]:
        path.chmod(0o777)
    with closed(photographs / "Apple"):
        for _ in range(2):
            summary = run(photographs, lake, removed_images=removed_images)
            assert figures(summary) == (0, 2, {"unreadable_folder": 1})
            assert (summary["unlisted"], summary["removed"]) == (3, 0)
    held = delta.existing(Workspace(load_settings(lake=str(lake))).lake, QUARANTINE).to_pyarrow_table()
    assert held.num_rows == 1
    (photographs / "Apple" / "red" / "0.png").unlink()
    summary = run(photographs, lake, removed_images=removed_images)
    assert figures(summary) == (0, 5, {})
    assert (summary["unlisted"], summary["removed"]) == (0, int(removed_images == "delete"))


def test_replaced_photograph_that_cannot_be_read_keeps_its_row(open_folder: Path) -> None:
    """Whatever it holds: nobody knows. It is held back, and taken when it can be read."""
    photographs, lake = open_folder / "photographs", open_folder / "lake"
    (first, _) = add_photographs(photographs, "Apple", range(2))
    run(photographs, lake, removed_images="delete")
    for path in [lake, *lake.rglob("*")]:
        path.chmod(0o777)
    first.write_bytes(photograph(9, (9, 9)))
    with closed(first):
        summary = run(photographs, lake, removed_images="delete")
    assert (summary["quarantined"], summary["unchanged"], len(labels(photographs, lake))) == (1, 1, 2)
    assert figures(run(photographs, lake, removed_images="delete")) == (1, 1, {})


def test_folder_that_vanishes_while_it_is_listed_ends_no_run(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its photographs stay for this run; the next one knows that they have gone."""
    add_photographs(photographs, "Apple", range(3))
    add_photographs(photographs, "Kiwi", range(3, 5))
    run(photographs, tmp_path / "lake", removed_images="delete")

    def slowly(uri: str, rules: FolderRules, **how: Any) -> Iterator[FileStatus]:
        shutil.rmtree(photographs / "Apple", ignore_errors=True)
        return walk(uri, rules, **how)

    with monkeypatch.context() as patch:
        patch.setattr("bronze.discover.walk", slowly)
        summary = run(photographs, tmp_path / "lake", removed_images="delete")
    assert figures(summary) == (0, 2, {"vanished_folder": 1})
    assert (summary["unlisted"], summary["removed"]) == (3, 0)
    summary = run(photographs, tmp_path / "lake", removed_images="delete")
    assert (figures(summary), summary["unlisted"], summary["removed"]) == ((0, 2, {}), 0, 3)


def test_file_that_vanishes_before_it_is_read_is_counted(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is held back for no reason: there is nothing."""
    gone, _ = add_photographs(photographs, "Apple", range(2))

    def slowly(uri: str, limit: int) -> bytes:
        gone.unlink(missing_ok=True)
        return read_file(uri, limit)

    with monkeypatch.context() as patch:
        patch.setattr("bronze.ingest.read_file", slowly)
        summary = run(photographs, tmp_path / "lake")
    assert (figures(summary), summary["quarantined"]) == ((1, 0, {"in_motion": 1}), 0)
    assert figures(run(photographs, tmp_path / "lake")) == (0, 1, {})


def test_names_that_are_no_utf8_are_counted(photographs: Path, tmp_path: Path) -> None:
    """Each file below such a folder, and a link of such a name."""
    add_photographs(photographs, os.fsdecode(b"\xff"), range(2))
    (photographs / os.fsdecode(b"l\xff")).symlink_to(photographs)
    assert figures(run(photographs, tmp_path / "lake")) == (0, 0, {"name_is_not_utf8": 3})
