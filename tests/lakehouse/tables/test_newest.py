"""A handle is kept while its version is the newest, and is a snapshot for whoever holds it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from lakehouse.errors import DamagedTableError
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from tests.lakehouse.conftest import bucket, s3, s3_server  # noqa: F401 - fixtures
from tests.lakehouse.engine.fruit import FRUIT, fruit


@pytest.fixture(params=["disk", "S3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """A lake with one table, without rows."""
    there = f"s3://{request.getfixturevalue('bucket')}" if request.param == "S3" else f"file://{tmp_path}"
    lake = Lake(f"{there}/lake")
    delta.create(lake, [FRUIT])
    return lake


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[DeltaTable]:
    """The logs that were read since."""
    handles: list[DeltaTable] = []

    def opening(*arguments: Any, **options: Any) -> DeltaTable:
        handles.append(DeltaTable(*arguments, **options))
        return handles[-1]

    monkeypatch.setattr("lakehouse.tables.newest.DeltaTable", opening)
    return handles


def add(lake: Lake, *numbers: int) -> None:
    """Write rows in one commit."""
    rows = fruit(*((f"{number}.png", "a", number) for number in numbers))
    delta.write_small(rows, lake, FRUIT, mode="append")


def test_log_is_read_once_a_version(lake: Lake, opened: list[DeltaTable]) -> None:
    """However often the table is opened; what others commit is seen at once."""
    for number in range(3):
        for _ in range(3):
            assert delta.existing(lake, FRUIT).version() == number
            assert delta.count(lake, FRUIT) == number
        opened.clear()
        add(Lake(lake.uri), number)
        assert delta.count(lake, FRUIT) == number + 1
        assert len(opened) == 1 + 1  # here, and there where it was written


def test_who_holds_a_handle_holds_a_snapshot(lake: Lake) -> None:
    """Also while the same lake commits."""
    held = delta.existing(lake, FRUIT)
    add(lake, 1)
    assert delta.existing(lake, FRUIT).version() == 1
    assert held.version() == 0
    assert delta.existing(lake, FRUIT, version=0).version() == 0


def test_table_in_anothers_place_is_another(lake: Lake, tmp_path: Path, s3: Any, bucket: str) -> None:  # noqa: F811
    """At the same version: whoever deletes a lake and makes it anew has a new one, and no rows of the old."""
    add(lake, 1)
    assert delta.count(lake, FRUIT) == 1
    if lake.uri.startswith("s3:"):
        for found in s3.list_objects_v2(Bucket=bucket)["Contents"]:
            s3.delete_object(Bucket=bucket, Key=found["Key"])
    else:
        shutil.rmtree(tmp_path / "lake")
    assert delta.open_table(lake, FRUIT) is None
    again = Lake(lake.uri)
    delta.create(again, [FRUIT])
    add(again, 1, 2)
    assert delta.existing(lake, FRUIT).version() == 1
    assert delta.count(lake, FRUIT) == 2


def cut(path: Path) -> None:
    """Half a commit."""
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize("lake", ["disk"], indirect=True)
@pytest.mark.parametrize("damage", [cut, Path.unlink])
def test_damage_to_the_newest_entry_is_seen(lake: Lake, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """By a process that has the table open, too."""
    add(lake, 1)
    assert delta.count(lake, FRUIT) == 1
    damage(tmp_path / "lake" / "garden" / "fruit" / "_delta_log" / f"{1:020}.json")
    if damage is cut:
        with pytest.raises(DamagedTableError):
            delta.count(lake, FRUIT)
    else:
        assert delta.count(lake, FRUIT) == 0
