"""Erasing rows for good: from every data file under a table's folder, not only from the current version.

Deleting rows leaves them in the files of older versions, in the change feed, and in what dead runs have left. Whatever
file holds a row that must go, and is not part of the current version, is removed; other history stays readable.
"""

from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lakehouse import delta
from lakehouse.delta import Lake, Table

_KEYS = ("path", "sha256")


def contents_held(lake: Lake, table: Table, paths: Collection[str]) -> dict[str, set[str]]:
    """Which of these paths any file of a table's folder holds, current or not, each with its contents' SHA-256.

    Columns `path` and `sha256` alone are read, a batch at a time; a table without `sha256` gives empty sets.
    """
    held: dict[str, set[str]] = {}
    for file in data_files(lake, table):
        for batch in _readable_keys_of(file):
            for row in batch.filter(pc.is_in(batch.column("path"), pa.array(paths, pa.string()))).to_pylist():
                held.setdefault(row["path"], set()).update({row["sha256"]} if row.get("sha256") else set())
    return held


def erase_files(lake: Lake, table: Table, paths: Collection[str], contents: Collection[str]) -> int:
    """Remove the files that hold these paths or contents and are not of the current version; returns how many.

    Raises:
        ValueError: a file of the current version holds one: delete the rows first.
    """
    current = {Path(name) for name in delta.data_files(lake, table)}
    erased = 0
    for file in data_files(lake, table):
        if _holds(file, paths, contents):
            if file in current:
                raise ValueError(f"{file} is current and still holds what is to be erased.")
            _remove(file)
            erased += 1
    return erased


def erase_history(lake: Lake, table: Table) -> int:
    """Remove every file that is not of the current version; returns how many."""
    current = {Path(name) for name in delta.data_files(lake, table)}
    old = [file for file in data_files(lake, table) if file not in current]
    for file in old:
        _remove(file)
    return len(old)


def data_files(lake: Lake, table: Table) -> list[Path]:
    """All data files under a table's folder: current, old, of the change feed, and of runs that died."""
    folder = Path(lake.path(table))
    return sorted(file for file in folder.rglob("*.parquet") if "_delta_log" not in file.relative_to(folder).parts)


def _holds(file: Path, paths: Collection[str], contents: Collection[str]) -> bool:
    try:
        return any(_matches(batch, paths, contents) for batch in _keys_of(file))
    except pa.ArrowInvalid:
        return True  # a run died while it wrote this file: nobody can read it, nor say what it holds


def _readable_keys_of(file: Path) -> Iterator[pa.RecordBatch]:
    with suppress(pa.ArrowInvalid):
        yield from _keys_of(file)


def _matches(batch: pa.RecordBatch, paths: Collection[str], contents: Collection[str]) -> bool:
    wanted = {"path": paths, "sha256": contents}
    return any(
        pc.any(pc.is_in(batch.column(name), pa.array(wanted[name], pa.string()))).as_py() for name in batch.schema.names
    )


def _keys_of(file: Path) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(file) as data:
        yield from data.iter_batches(columns=[name for name in _KEYS if name in data.schema_arrow.names])


def _remove(file: Path) -> None:
    file.unlink()
    file.with_name(f".{file.name}.crc").unlink(missing_ok=True)
