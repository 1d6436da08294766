"""Old files and old entries of a log are removed, on a disk and on S3, and what a version needs is kept."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from fruits.settings import load_settings
from lakehouse.engine import open_engine
from lakehouse.engine.port import Engine
from lakehouse.progress import NullProgress
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.log import checkpoint, commits_since_checkpoint, keep_for
from lakehouse.tables.vacuum import WITHOUT_HISTORY, Retention, dead_files, removable, remove
from tests.lakehouse.conftest import bucket, s3, s3_server  # noqa: F401 - fixtures
from tests.lakehouse.engine.fruit import FRUIT, held, many

HOUR = Retention(timedelta(hours=1), timedelta(hours=1))
LATER = timedelta(hours=2)


@pytest.fixture(params=["disk", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """A lake with four small files, on a disk and on a real S3 server."""
    disk = request.param == "disk"
    lake = Lake(f"file://{tmp_path}/lake" if disk else f"s3://{request.getfixturevalue('bucket')}/lake")
    delta.create(lake, [FRUIT])
    for number in range(4):
        delta.write_small(many(3, 3 * number), lake, FRUIT, mode="append")
    return lake


@pytest.fixture
def engine(lake: Lake) -> Iterator[Engine]:
    """The local engine on the lake."""
    engine = open_engine(load_settings(lake=lake.uri, engine="local"), lake, NullProgress())
    yield engine
    engine.close()


def test_files_go_when_their_time_is_over(engine: Engine, lake: Lake) -> None:
    """Not a moment sooner; and a second look finds none."""
    rows = held(lake)
    assert engine.compact(FRUIT).files == 4
    dead, now = dead_files(lake, FRUIT), datetime.now(UTC)
    assert len(dead) == 4
    assert removable(lake, FRUIT, dead, HOUR, now) == []
    assert remove(lake, removable(lake, FRUIT, dead, HOUR, now + LATER))[0] == 4
    assert dead_files(lake, FRUIT) == []
    assert held(lake) == rows


def test_readers_time_is_kept_where_history_is_shorter(engine: Engine, lake: Lake) -> None:
    """And a table that has no history leaves a minute."""
    engine.compact(FRUIT)
    dead, now = dead_files(lake, FRUIT), datetime.now(UTC)
    short = Retention(timedelta(minutes=1), timedelta(hours=6))
    assert removable(lake, FRUIT, dead, short, now + LATER) == []
    without = replace(FRUIT, history=False)
    assert removable(lake, without, dead, short, now) == []
    assert len(removable(lake, without, dead, short, now + WITHOUT_HISTORY + timedelta(seconds=2))) == 4


@pytest.mark.parametrize("lake", ["disk"], indirect=True)  # objects on S3 cannot be made older
def test_old_file_that_has_just_left_the_table_stays(engine: Engine, lake: Lake) -> None:
    """It is the time of its leaving that counts, not its age."""
    for file in Path(lake.path(FRUIT)).rglob("*"):
        os.utime(file, (time.time() - 7200,) * 2)
    engine.compact(FRUIT)
    assert removable(lake, FRUIT, dead_files(lake, FRUIT), HOUR) == []


def test_log_is_summed_up_and_opens_as_before(lake: Lake) -> None:
    """Who opens the table reads no entry after that, and finds the same rows, properties and marks."""
    delta.write_metadata(lake, FRUIT, {"fruits.note": "7"})
    assert commits_since_checkpoint(lake, FRUIT, 5) == 6
    assert keep_for(lake, FRUIT, 45)
    assert not keep_for(lake, FRUIT, 45)
    checkpoint(lake, FRUIT)
    assert commits_since_checkpoint(lake, FRUIT, 6) == 0
    handle = DeltaTable(lake.path(FRUIT), storage_options=lake.options)
    assert handle.metadata().configuration["delta.logRetentionDuration"] == "interval 45 days"
    assert delta.metadata(lake, FRUIT)["fruits.note"] == "7"
    assert delta.rows_version(lake, FRUIT) == 5
    assert len(held(lake)) == 12


def test_cleaned_log_keeps_each_version_within_its_time(tmp_path: Path) -> None:
    """Entries of 40 days ago go at 30 days; versions of since then are read, whatever checkpoint they need."""
    lake = Lake(f"file://{tmp_path}/lake")
    delta.create(lake, [FRUIT])
    for number in range(12):
        delta.write_small(many(1, number), lake, FRUIT, mode="append")
        if number in (3, 7):
            checkpoint(lake, FRUIT)
    log, old = Path(lake.path(FRUIT)) / "_delta_log", time.time() - 40 * 86400
    for file in log.iterdir():
        if file.name[:20].isdecimal() and int(file.name[:20]) < 6:
            os.utime(file, (old, old))
    checkpoint(lake, FRUIT)
    assert not (log / f"{2:020}.json").exists()
    assert [len(held(lake, version)) for version in range(6, 13)] == [*range(6, 13)]
