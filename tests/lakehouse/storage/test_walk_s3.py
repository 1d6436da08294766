"""Walking keys on S3: each is listed once, as it is, or told with its rule; on a server that takes any key."""

from typing import Any

from lakehouse.storage import list_folders, read_file, walk
from lakehouse.storage.base import FileStatus
from lakehouse.storage.folder_rules import FolderRules, Patterns

ODD = ("/Pear/3.png", "//4.png", "Apple//1.png", "a\x01\x7f/é 漢.png", " /5.png", "a%2Fb/+ .png")
"""Keys that are taken: of parts without a name, of control characters, of what URLs have a meaning for."""


def walked(root: str, rules: FolderRules | None = None, folder: str = "") -> dict[str, str | None]:
    """The rule of each entry below a folder, by its key."""
    found = [*walk(f"{root}{folder}", rules or FolderRules(entered=frozenset([root])), recursive=True, required=True)]
    assert len({file.path for file in found}) == len(found)
    return {file.path.removeprefix(f"{root}/"): file.rule for file in found}


def test_odd_keys_are_taken_once_and_read(put_keys: Any) -> None:
    """Whether they are listed at once or folder by folder."""
    root = put_keys(*ODD, "Apple/0.png")
    assert walked(root) == dict.fromkeys([*ODD, "Apple/0.png"])
    folders, found = [root], list[FileStatus]()
    while folders:
        folder = folders.pop()
        folders += list_folders(folder)
        found += walk(folder, FolderRules(), recursive=False, required=True)
    assert sorted(file.path for file in found) == sorted(f"{root}/{key}" for key in [*ODD, "Apple/0.png"])
    assert {read_file(file.path) for file in found} == {b"x"}


def test_keys_that_no_file_can_have_are_told(put_keys: Any) -> None:
    """Those that end in a slash, with content or without, and those with parts that a path would leave out."""
    root = put_keys("Apple/", "Kiwi/0.png", "a/../1.png", "./2.png", "b/..", content=b"")
    put_keys("full/")
    assert walked(root) == {
        "Apple/": "folder_marker",
        "full/": "key_ends_in_slash",
        "Kiwi/0.png": None,
        "a/../1.png": "dot_segment",
        "./2.png": "dot_segment",
        "b/..": "dot_segment",
    }


def test_each_key_below_a_folder_of_a_tool_is_told(put_keys: Any) -> None:
    """By the first folder on the way that a rule passes over, also where the walk begins with it."""
    root = put_keys(".git/a/1", ".git/2", "Apple/@eaDir/.git/3.png", "Apple/4.png", "Kiwi/.git")
    rules = FolderRules(names=Patterns([".git", "@eaDir"], "/"), entered=frozenset([root]))
    assert walked(root, rules) == {
        ".git/a/1": "skip: .git/",
        ".git/2": "skip: .git/",
        "Apple/@eaDir/.git/3.png": "skip: @eaDir/",
        "Apple/4.png": None,
        "Kiwi/.git": None,
    }
    assert walked(root, rules, "/.git") == {".git/a/1": "skip: .git/", ".git/2": "skip: .git/"}


def test_folder_that_rules_name_is_one_entry(put_keys: Any) -> None:
    """So that what a lake's runs write does not make the photographs' listing another one; its namesakes are others."""
    root = put_keys("x/lake/a/1.parquet", "x/lake/2", "x/lakes/3.png", "lake/4.png")
    rules = FolderRules(folders={f"{root}/x/lake": "lake"}, entered=frozenset([root]))
    expected = {"x/lake": "lake", "x/lakes/3.png": None}
    assert walked(root, rules) == expected | {"lake/4.png": None}
    assert walked(root, rules, "/x") == expected
    assert walked(root, rules, "/x/lake") == {"x/lake": "lake"}
