"""The files that the local engine writes: bounded by bytes, and read in pieces."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.engine.local import scan
from lakehouse.engine.local.engine import LocalEngine
from lakehouse.engine.local.share import cut
from lakehouse.engine.port import SHARE_BYTES, SHARE_ROWS, Work
from lakehouse.progress import NullProgress
from lakehouse.tables import delta, staged
from lakehouse.tables.delta import Lake
from tests.lakehouse.engine.fruit import FRUIT, fruit, held, many

MIB = 1 << 20


def wide(count: int, size: int, first: int = 0) -> pa.Table:
    """So many rows with content of so many bytes each."""
    return fruit(*((f"fruit {n:06}", f"{n:x}", n) for n in range(first, first + count)), content=bytes(size))


@pytest.fixture
def engine(lake: Lake) -> LocalEngine:
    """A local engine."""
    return LocalEngine(lake, NullProgress(), 2)


def test_row_groups_and_files_are_bounded_by_bytes(
    engine: LocalEngine, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row group has some 32 MiB, a file at most 256; here 1 and 3."""
    monkeypatch.setattr(staged, "GROUP_BYTES", MIB)
    monkeypatch.setattr(staged, "FILE_BYTES", 3 * MIB)
    rows = pa.concat_tables(wide(10, MIB // 5, 10 * n) for n in range(4)).combine_chunks()
    engine.append(engine.of(pa.Table.from_batches(rows.to_batches(max_chunksize=1))), FRUIT)
    files = [pq.ParquetFile(name).metadata for name in delta.data_files(lake, FRUIT)]
    assert sum(file.num_rows for file in files) == 40
    assert all(Path(name).stat().st_size <= 3 * MIB for name in delta.data_files(lake, FRUIT))
    assert len(files) == 3
    assert {file.row_group(n).num_rows for file in files for n in range(file.num_row_groups - 1)} <= {4, 5}
    assert len(held(lake)) == 40


def test_shares_are_bounded_by_rows_and_by_bytes(engine: LocalEngine) -> None:
    """Of a table's rows as of others; one row alone may have more."""
    sizes = [1, 1, SHARE_BYTES // 2, SHARE_BYTES // 2, 3 * SHARE_BYTES, 1, *[2] * (SHARE_ROWS + 1)]
    rows = fruit(*((f"fruit {n:06}", "1", size) for n, size in enumerate(sizes)))
    engine.append(engine.of(rows), FRUIT)
    for given in (engine.of(rows), engine.rows(FRUIT, ["path", "batch"])):
        shares = [*cut(given, Work("", len(sizes), 0, weight="batch"))]
        found = [[row["batch"] for batch in share.batches() for row in batch.to_pylist()] for share in shares]
        assert sorted(size for share in found for size in share) == sorted(sizes)
        for share in found:
            assert len(share) <= SHARE_ROWS
            assert sum(share) <= SHARE_BYTES or len(share) == 1
        assert len(found) <= 6


def test_file_whose_statistics_exclude_what_is_wanted_is_not_opened(engine: LocalEngine, lake: Lake) -> None:
    """By the minimum and maximum in the log: a file that is gone is not missed."""
    for first in (0, 100, 200):
        engine.append(engine.of(many(50, first)), FRUIT)
    for file in delta.snapshot(lake, FRUIT):
        if not file.minimum["path"] <= "fruit 000120" <= file.maximum["path"]:
            Path(file.name).unlink()
    scan.close_files()
    wanted = engine.of(pa.table({"path": ["fruit 000120", "fruit 000180"]}))
    found = engine.arrow(engine.rows(FRUIT, ["batch"], among=wanted))
    assert found.to_pylist() == [{"batch": 120}]


def test_large_row_group_is_read_in_pieces(engine: LocalEngine, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Spark writes them: whole, and for rows here and there."""
    monkeypatch.setattr(scan, "_KEPT_GROUP", 1000)
    monkeypatch.setattr(scan, "_BATCH_BYTES", 3000)
    engine.append(engine.of(wide(60, 500)), FRUIT)
    assert engine.arrow(engine.rows(FRUIT, FRUIT.schema.names)).num_rows == 60
    numbers = [0, 7, 8, 31, 59]
    wanted = engine.of(pa.table({"path": [f"fruit {n:06}" for n in numbers]}))
    found = engine.arrow(engine.rows(FRUIT, ["batch", "content"], among=wanted))
    assert [(row["batch"], len(row["content"])) for row in found.to_pylist()] == [(n, 500) for n in numbers]


def test_rewritten_file_keeps_its_other_rows_and_bounded_groups(
    engine: LocalEngine, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A merge and a delete write the files concerned anew, and no others."""
    monkeypatch.setattr(staged, "GROUP_BYTES", MIB)
    for first in (0, 20):
        engine.append(engine.of(wide(20, MIB // 10, first)), FRUIT)
    before = {*delta.data_files(lake, FRUIT)}
    engine.merge(engine.of(fruit(("fruit 000003", "x", 3))), FRUIT)
    engine.delete(engine.of(pa.table({"path": ["fruit 000005"]})), FRUIT)
    after = {*delta.data_files(lake, FRUIT)}
    assert len(before & after) == 1
    rows = held(lake)
    assert [row["batch"] for row in rows] == [n for n in range(40) if n != 5]
    assert {len(row["content"]) for row in rows if row["batch"] != 3} == {MIB // 10}
    for name in after:
        metadata = pq.ParquetFile(name).metadata
        groups = [metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups)]
        assert all(size <= 3 * MIB for size in groups)
