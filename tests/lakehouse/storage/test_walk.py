"""Walking a tree on a disk: what is passed over is told, with its rule, and nothing is left out."""

import os
import resource
from pathlib import Path

import pytest

from lakehouse.errors import StorageError
from lakehouse.storage import walk
from lakehouse.storage.folder_rules import FolderRules, Patterns, hides
from tests.conftest import closed


def made(root: Path, *names: str) -> None:
    """Empty files, and the folders that they lie in."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def walked(root: Path, rules: FolderRules | None = None, folder: str = "") -> dict[str, str | None]:
    """The rule of each entry below a folder, by its path from the root."""
    rules = rules or FolderRules()
    start = f"file://{root}{folder}"
    found = [*walk(start, rules, recursive=True, required=not folder)]
    assert len({file.path for file in found}) == len(found)
    return {file.path.removeprefix(f"file://{root}/"): file.rule for file in found}


def test_folder_of_a_tool_is_one_entry(tmp_path: Path) -> None:
    """With the pattern's rule, whatever is in it; a file of that name is a file."""
    made(tmp_path, "Apple/1.jpg", "Apple/@eaDir/1.jpg/thumb.jpg", ".git/objects/0/1", "Kiwi/.git", ".Trash-1000/2.jpg")
    rules = FolderRules(names=Patterns([".git", "@eaDir", ".Trash*"], "/"))
    assert walked(tmp_path, rules) == {
        "Apple/1.jpg": None,
        "Apple/@eaDir": "skip: @eaDir/",
        ".git": "skip: .git/",
        "Kiwi/.git": None,
        ".Trash-1000": "skip: .Trash*/",
    }
    assert walked(tmp_path, rules, folder="/.git") == {".git": "skip: .git/"}


def test_folder_is_known_under_each_of_its_names(tmp_path: Path) -> None:
    """A folder that rules name is passed over by what it is on the disk, and not by how it is spelled."""
    made(tmp_path, "pics/Apple/1.jpg", "pics/lake/a.parquet")
    (tmp_path / "elsewhere").symlink_to(tmp_path / "pics")
    rules = FolderRules(folders={f"file://{tmp_path}/elsewhere/lake": "lake"})
    assert walked(tmp_path / "pics", rules) == {"Apple/1.jpg": None, "lake": "lake"}


def test_folder_is_known_by_what_it_holds(tmp_path: Path) -> None:
    """As a lake that another run has made."""
    made(tmp_path, "old/bronze/images/_delta_log/0.json", "bronze/1.jpg")
    rules = FolderRules(holding={"bronze/images/_delta_log": "another_lake"})
    assert walked(tmp_path, rules) == {"old": "another_lake", "bronze/1.jpg": None}


def test_links_are_told_and_not_followed(tmp_path: Path) -> None:
    """To a folder, to nowhere, in a circle; a link to a file is that file."""
    made(tmp_path, "Apple/1.jpg", "store/2.jpg")
    for name, target in {
        "Kiwi": "store",
        "up": "..",
        "gone": "nowhere",
        "self": "self",
        "3.jpg": "store/2.jpg",
    }.items():
        (tmp_path / name).symlink_to(target)
    (tmp_path / ".git").symlink_to("store")
    assert walked(tmp_path, FolderRules(names=Patterns([".git"], "/"))) == {
        "Apple/1.jpg": None,
        "store/2.jpg": None,
        "3.jpg": None,
        "Kiwi": "linked_folder",
        "up": "linked_folder",
        "gone": "broken_link",
        "self": "broken_link",
        ".git": "skip: .git/",
    }
    assert walked(tmp_path, folder="/Kiwi") == {"Kiwi/2.jpg": None}


def test_folder_that_cannot_be_listed_is_told(open_folder: Path) -> None:
    """A deep one, and the one that the walk begins with unless it is required; the others are listed."""
    made(open_folder, "Apple/1.jpg", "Kiwi/closed/2.jpg")
    with closed(open_folder / "Kiwi" / "closed"):
        assert walked(open_folder) == {"Apple/1.jpg": None, "Kiwi/closed": "unreadable_folder"}
        assert walked(open_folder, folder="/Kiwi/closed") == {"Kiwi/closed": "unreadable_folder"}
        with pytest.raises(StorageError, match="cannot be listed: Permission denied"):
            walked(open_folder / "Kiwi" / "closed")


def test_folder_and_file_that_vanish_are_told(tmp_path: Path) -> None:
    """Between the moment that they are seen in their folder and that when they are looked at."""
    made(tmp_path, *(f"{number}/1.jpg" for number in range(3)))
    found = walk(f"file://{tmp_path}", FolderRules(), recursive=True, required=True)
    first = next(found)  # all three folders have been seen by now
    (other, file) = (path for path in sorted(tmp_path.iterdir()) if not first.path.startswith(f"file://{path}/"))
    (other / "1.jpg").unlink()
    other.rmdir()
    rules = {file.path.removeprefix(f"file://{tmp_path}/"): file.rule for file in found}
    assert rules == {other.name: "vanished_folder", f"{file.name}/1.jpg": None}
    with pytest.raises(StorageError, match="cannot be listed: No such file"):
        walked(tmp_path / "none")

    found = walk(f"file://{file}", FolderRules(), recursive=False, required=True)
    made(tmp_path, *(f"{file.name}/{number}.jpg" for number in range(2, 100)))
    next(found)
    for path in file.iterdir():
        path.unlink()
    assert {status.rule for status in found} == {"vanished_file"}


def test_no_folder_is_blamed_where_the_process_is_at_its_end(tmp_path: Path) -> None:
    """Without file handles nothing can be listed, and nothing is passed over for it."""
    made(tmp_path, "Apple/1.jpg")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(StorageError, match="Apple cannot be listed: Too many open files"):
            walked(tmp_path, folder="/Apple")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_name_that_is_no_utf8_is_told(tmp_path: Path) -> None:
    """Of files, of folders that are passed over, and of links."""
    odd = tmp_path / os.fsdecode(b"\xff")
    made(odd, "1.jpg", ".git/config")
    (tmp_path / os.fsdecode(b"l\xff")).symlink_to(odd)
    assert walked(tmp_path, FolderRules(names=Patterns([".git"], "/"))) == {
        "\\xff/1.jpg": "name_is_not_utf8",
        "\\xff/.git": "skip: .git/",
        "l\\xff": "name_is_not_utf8",
    }


def test_rule_says_whether_files_may_be_hidden_behind_it() -> None:
    """Behind folders that nobody has looked into, and not behind what another entry stands for."""
    hiding = ["skip: .git/", "unreadable_folder", "vanished_folder", "broken_link", "unreadable_entry"]
    assert [rule for rule in (*hiding, "skip: *.crc", "lake", "linked_twice", "not_a_file") if hides(rule)] == hiding
