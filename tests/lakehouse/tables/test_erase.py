"""Files of history go that hold erased rows; those whose rows are all there still stay, and are readable."""

from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.erase import data_files, erase_dead
from lakehouse.tables.table import Table

JAMS = Table(
    "garden.jams", pa.schema([pa.field("sha256", pa.string()), pa.field("grams", pa.int64())]), ("sha256",), ("sha256",)
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with an empty table of jams."""
    lake = Lake(f"file://{tmp_path}/lake")
    delta.create(lake, [JAMS])
    return lake


def write(lake: Lake, *names: str, mode: str = "append") -> str:
    """Write jams in a file of their own; returns it."""
    before = {*data_files(lake, JAMS)}
    delta.write_small(pa.table({"sha256": names, "grams": [1] * len(names)}), lake, JAMS, mode=mode)
    (new,) = {*data_files(lake, JAMS)} - before
    return new


def test_history_whose_rows_are_all_there_still_is_kept(lake: Lake) -> None:
    """What holds a row that is gone, beside others too, is removed, and so is what nobody can read."""
    alive = [write(lake, "a"), write(lake, "b", "c")]
    version = delta.existing(lake, JAMS).version()
    dead = [write(lake, "d"), write(lake, "c", "e")]
    current = write(lake, "a", "b", "c", mode="overwrite")
    cut = Path(current.removeprefix("file://")).with_name("cut.parquet")
    cut.write_bytes(b"PAR1 and no more")
    assert {*alive, *dead, current} < {*data_files(lake, JAMS)}
    assert erase_dead(lake, JAMS) == len(dead) + 1
    assert data_files(lake, JAMS) == sorted([*alive, current])
    assert delta.existing(lake, JAMS, version).to_pyarrow_table().column("sha256").to_pylist() == ["b", "c", "a"]
    assert erase_dead(lake, JAMS) == 0


def test_all_history_goes_where_no_row_is_left(lake: Lake) -> None:
    """Of an empty table."""
    write(lake, "a")
    delta.commit(lake, JAMS, removed=delta.snapshot(lake, JAMS))
    assert delta.count(lake, JAMS) == 0
    assert erase_dead(lake, JAMS) == 1
    assert data_files(lake, JAMS) == []
