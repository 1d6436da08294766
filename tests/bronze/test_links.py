"""Links among the photographs: each folder is taken once, under the name that is certain."""

from pathlib import Path

import pytest

from bronze.discover import Rules
from bronze.folders import FolderNames
from bronze.links import listed
from lakehouse.engine.port import Engine
from tests.conftest import Opening

NAMES = FolderNames.of(["train"], [])


@pytest.fixture
def engine(opened: Opening) -> Engine:
    """The local engine."""
    return opened("local")


def made(*paths: Path) -> None:
    """Empty files, and the folders that they lie in."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def linked(path: Path, target: Path | str) -> None:
    """A link, and the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def found(engine: Engine, root: Path, rules: Rules | None = None) -> dict[str, str | None]:
    """The rule of each entry, by its path from the root; the survey is of the same."""
    with listed(engine, f"file://{root}", rules or Rules(NAMES, []), 2) as (listing, seen):
        rows = engine.arrow(listing).to_pylist()
    assert seen.files == len(rows)
    assert sum(row["rule"] is not None for row in rows) == seen.skipped == sum(seen.rules.values())
    entries = {row["path"].removeprefix(f"file://{root}/"): row["rule"] for row in rows}
    assert len(entries) == len(rows)
    return entries


def test_linked_folder_is_a_folder(opened: Opening, engine_name: str, tmp_path: Path) -> None:
    """Its photographs have the link's label, on each engine; links behind links are followed, too."""
    engine, root = opened(engine_name), tmp_path / "pics"
    made(root / "Kiwi" / "1.png", tmp_path / "store" / "apples" / "2.png", tmp_path / "other" / "3.png")
    linked(root / "Apple", "../store/apples")
    linked(tmp_path / "store" / "apples" / "red", tmp_path / "other")
    with listed(engine, f"file://{root}", Rules(NAMES, []), 2) as (listing, seen):
        rows = engine.arrow(listing).to_pylist()
    assert {row["path"].removeprefix(f"file://{root}/"): (row["label"], row["rule"]) for row in rows} == {
        "Kiwi/1.png": ("Kiwi", None),
        "Apple/2.png": ("Apple", None),
        "Apple/red/3.png": ("red", None),
    }
    assert (seen.files, seen.rules) == (3, {})


def test_circles_end(engine: Engine, tmp_path: Path) -> None:
    """A link to a folder that it lies in, however it is reached, is told and not followed."""
    root, store = tmp_path / "pics", tmp_path / "store"
    made(root / "Apple" / "1.png", store / "2.png")
    linked(root / "Apple" / "here", ".")
    linked(root / "Apple" / "up", tmp_path)
    linked(root / "Kiwi", store)
    linked(store / "again", store)
    linked(store / "back", root)
    assert found(engine, root) == {
        "Apple/1.png": None,
        "Apple/here": "link_in_a_circle",
        "Apple/up": "link_in_a_circle",
        "Kiwi/2.png": None,
        "Kiwi/again": "link_in_a_circle",
        "Kiwi/back": "linked_twice",
    }


def test_folder_is_taken_once_where_it_lies_or_by_the_first_link(engine: Engine, tmp_path: Path) -> None:
    """A link never takes the label from a folder of the tree itself; of several links the first by name is followed."""
    root, store = tmp_path / "pics", tmp_path / "store"
    made(root / "Pear" / "1.png", store / "x" / "y" / "2.png", store / "3.png", store / "z" / "4.png")
    linked(root / "A", "Pear")
    linked(root / "B", store / "x" / "y")
    linked(root / "C", store / "x" / "y")
    linked(root / "D", store)
    linked(root / "E", store / "z")
    assert found(engine, root) == {
        "Pear/1.png": None,
        "A": "linked_twice",
        "B/2.png": None,
        "C": "linked_twice",
        "D/3.png": None,
        "D/x/y": "linked_twice",
        "D/z/4.png": None,
        "E": "linked_twice",
    }


def test_many_links_are_followed(engine: Engine, tmp_path: Path) -> None:
    """More than folders are shared out."""
    for number in range(100):
        made(tmp_path / "store" / f"{number}" / "a.png")
        linked(tmp_path / "pics" / f"{number:03}", tmp_path / "store" / f"{number}")
    assert found(engine, tmp_path / "pics") == {f"{number:03}/a.png": None for number in range(100)}


def test_link_into_a_folder_that_is_passed_over_is_followed(engine: Engine, tmp_path: Path) -> None:
    """As nobody else lists it; the link's own name may be one that is passed over."""
    root = tmp_path / "pics"
    made(root / ".store" / "apples" / "1.png")
    linked(root / "Apple", ".store/apples")
    linked(root / "tmp", "/")
    expected = {".store": "skip: .store/", "Apple/1.png": None, "tmp": "skip: tmp/"}
    assert found(engine, root, Rules(NAMES, [".store/", "tmp/"])) == expected


def test_lake_is_passed_over_behind_links(engine: Engine, tmp_path: Path) -> None:
    """The lake itself, a folder in it, and the folder that holds it; by whatever name the settings call it."""
    root, store = tmp_path / "pics", tmp_path / "store"
    made(root / "Apple" / "1.png", store / "lake" / "mlflow" / "plot.png", store / "2.png")
    linked(root / "a", store / "lake")
    linked(root / "b", store / "lake" / "mlflow")
    linked(root / "c", store)
    linked(tmp_path / "lake", store / "lake")
    assert found(engine, root, Rules(NAMES, [], f"file://{tmp_path}/lake")) == {
        "Apple/1.png": None,
        "a": "lake",
        "b": "lake",
        "c/2.png": None,
        "c/lake": "lake",
    }


def test_photographs_in_the_lake_may_be_linked(engine: Engine, tmp_path: Path) -> None:
    """A lake that holds its photographs is no lake among photographs."""
    root = tmp_path / "lake" / "pics"
    made(root / "Apple" / "1.png", tmp_path / "lake" / "more" / "2.png")
    linked(root / "Kiwi", "../more")
    expected = {"Apple/1.png": None, "Kiwi/2.png": None}
    assert found(engine, root, Rules(NAMES, [], f"file://{tmp_path}/lake")) == expected
