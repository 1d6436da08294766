"""The laws of `Engine.compact`, held by every engine, and what is left when old files are removed after it."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lakehouse.engine.port import CHANGE, Engine
from lakehouse.errors import LeaseLostError
from lakehouse.sync import FOLLOWS, is_in_sync_with, record_upstream, snapshot_id
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.vacuum import Retention, dead_files, removable, remove
from tests.conftest import Opening
from tests.lakehouse.engine.conftest import Guard
from tests.lakehouse.engine.fruit import FRUIT, fruit, held, many

HOUR = Retention(timedelta(hours=1), timedelta(hours=1))


def fill(lake: Lake, files: int = 4) -> None:
    """Append a few rows so many times: a small file each."""
    for number in range(files):
        delta.write_small(many(3, 3 * number), lake, FRUIT, mode="append")


def version(lake: Lake) -> int:
    """The table's newest version."""
    return delta.existing(lake, FRUIT).version()


def changes(engine: Engine, before: int, after: int) -> list[tuple[str, str]]:
    """What the engine tells of changes, in order."""
    rows = engine.arrow(engine.changes(FRUIT, ["path"], before, after)).to_pylist()
    return sorted((row["path"], row[CHANGE]) for row in rows)


def test_small_files_become_one_with_the_same_rows_and_statistics(engine: Engine, lake: Lake) -> None:
    """In one commit; a second call finds nothing to do, and commits nothing."""
    fill(lake)
    before, rows = version(lake), held(lake)
    done = engine.compact(FRUIT)
    assert (done.files, done.written, version(lake)) == (4, 1, before + 1)
    assert held(lake) == rows
    (file,) = delta.snapshot(lake, FRUIT)
    assert (file.rows, file.minimum["batch"], file.maximum["batch"]) == (12, 0, 11)
    assert (file.minimum["path"], file.maximum["path"]) == ("fruit 000000", "fruit 000011")
    assert engine.compact(FRUIT).files == 0
    assert version(lake) == before + 1


@pytest.mark.parametrize("engine_name", ["spark"], indirect=True)
def test_compaction_is_no_change_of_rows_to_either_engine(engine: Engine, lake: Lake, opened: Opening) -> None:
    """Nor are rows lost that came before it: the other engine, too, tells what came and went, and nothing else."""
    local = opened("local")
    for first, second in ((engine, local), (local, engine)):
        start = version(lake)
        for number in range(3):
            first.append(first.of(many(3, 3 * number)), FRUIT)
        middle = version(lake)
        first.compact(FRUIT)
        assert changes(second, middle, version(lake)) == []
        second.delete(second.of(fruit(("fruit 000004", "", 0)).select(["path"])), FRUIT)
        both = [changes(one, start, version(lake)) for one in (first, second)]
        for told in both:
            net = {path: 0 for path, _ in told}
            for path, kind in told:
                net[path] += 1 if kind == "insert" else -1
            assert net.pop("fruit 000004", 0) == 0
            assert net == {f"fruit {number:06}": 1 for number in range(9) if number != 4}
        second.replace(second.of(fruit()), FRUIT)


def test_table_stays_in_sync_and_its_follower_too(engine: Engine, lake: Lake) -> None:
    """Marks are carried over, and the name of its content stays; the next real commit ends both."""
    fill(lake)
    record_upstream(lake, FRUIT, "upstream 7", {"fruits.note": "12"})
    name, made = snapshot_id(lake, FRUIT), delta.rows_version(lake, FRUIT)
    engine.compact(FRUIT)
    assert is_in_sync_with(lake, FRUIT, "upstream 7")
    assert delta.metadata(lake, FRUIT)["fruits.note"] == "12"
    assert (snapshot_id(lake, FRUIT), delta.rows_version(lake, FRUIT)) == (name, made)
    engine.append(engine.of(fruit(("new", "1", 1))), FRUIT)
    assert FOLLOWS not in delta.metadata(lake, FRUIT)
    assert snapshot_id(lake, FRUIT) != name
    engine.compact(FRUIT)
    assert snapshot_id(lake, FRUIT).endswith(f"@{version(lake) - 1}")


def test_large_files_and_one_alone_are_left(engine: Engine, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of one file is not written anew, and with a limit of bytes nothing that is above it."""
    fill(lake, 1)
    assert engine.compact(FRUIT).files == 0
    fill(lake, 3)
    assert engine.compact(FRUIT, at_most=100).files == 0
    assert version(lake) == 4


def test_no_commit_without_the_guards_leave(engine: Engine, lake: Lake, guard: Guard) -> None:
    """And nothing is left of what was written."""
    fill(lake)
    guard.error = LeaseLostError("The lease is lost.")
    with pytest.raises(LeaseLostError):
        engine.compact(FRUIT)
    assert len(dead_files(lake, FRUIT)) == 0
    assert version(lake) == 4


def test_files_are_removed_when_no_version_within_the_retention_needs_them(engine: Engine, lake: Lake) -> None:
    """Two hours after a compaction: the old files go, those of a later deletion stay, and what is there is read."""
    fill(lake)
    engine.compact(FRUIT)
    now = datetime.now(UTC)
    assert removable(lake, FRUIT, dead_files(lake, FRUIT), HOUR, now) == []
    age(lake, now - timedelta(hours=2))
    compacted, rows = version(lake), held(lake)
    engine.delete(engine.of(fruit(("fruit 000004", "", 0)).select(["path"])), FRUIT)
    dead = dead_files(lake, FRUIT)
    going = removable(lake, FRUIT, dead, HOUR, now)
    assert len(going) == 4
    assert remove(lake, going) == (4, sum(file.length for file in going))
    assert held(lake, compacted) == rows
    assert len(held(lake)) == 11


def test_file_of_a_run_that_died_is_removed_when_it_is_old(engine: Engine, lake: Lake) -> None:
    """Not before: it may be of one that is about to commit it."""
    fill(lake)
    stray = Path(lake.path(FRUIT)) / "part-stray.parquet"
    stray.write_bytes(b"PAR1")
    now = datetime.now(UTC)
    assert removable(lake, FRUIT, dead_files(lake, FRUIT), HOUR, now) == []
    age(lake, now - timedelta(hours=2))
    (found,) = removable(lake, FRUIT, dead_files(lake, FRUIT), HOUR, now)
    assert found.path.endswith("part-stray.parquet")


def age(lake: Lake, moment: datetime) -> None:
    """Have all files of the table be of a moment."""
    for file in Path(lake.path(FRUIT)).rglob("*"):
        os.utime(file, (moment.timestamp(), moment.timestamp()))


def test_log_says_that_no_data_changed(engine: Engine, lake: Lake) -> None:
    """As Delta's protocol has it for who reads it otherwise."""
    fill(lake)
    engine.compact(FRUIT)
    entry = Path(lake.path(FRUIT)) / "_delta_log" / f"{version(lake):020}.json"
    actions = [json.loads(line) for line in entry.read_text().splitlines()]
    flags = [one[kind]["dataChange"] for one in actions for kind in ("add", "remove") if kind in one]
    assert flags == [False] * 5
