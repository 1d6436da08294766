"""Erase rows permanently: from every data file under a table's folder, not only from the current version.

Deleting rows leaves them in the files of older versions, in the change feed, and in what dead runs have left. Whatever
file holds a row that must go, and is not part of the current version, is removed; other history stays readable.
"""

from collections.abc import Collection, Iterator
from contextlib import suppress

import pyarrow as pa

from lakehouse.arrow import pc, pq
from lakehouse.storage import list_files, open_file
from lakehouse.storage.uri import absolute_uri
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import Table
from lakehouse.tables.vacuum import remove_data_file

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
    current = _current(lake, table)
    erased = 0
    for file in data_files(lake, table):
        if _holds(file, paths, contents):
            if file in current:
                raise ValueError(f"{file} is current and still holds what is to be erased.")
            remove_data_file(file)
            erased += 1
    return erased


def erase_dead(lake: Lake, table: Table) -> int:
    """Remove the files of older versions that hold a row whose key is in the table no more; returns how many.

    For a table whose rows never change under their keys: history that holds nothing else stays.
    """
    (key,) = table.key
    current = _current(lake, table)
    old = [file for file in data_files(lake, table) if file not in current]
    if not old:
        return 0
    tables = [pa.table({key: pa.array([], pa.string())}), *delta.read_columns(lake, table, [key])]
    alive = pa.concat_tables(tables).column(key).unique()
    dead = [file for file in old if _holds_other(file, key, alive)]
    for file in dead:
        remove_data_file(file)
    return len(dead)


def erase_history(lake: Lake, table: Table) -> int:
    """Remove every file that is not of the current version; returns how many."""
    current = _current(lake, table)
    old = [file for file in data_files(lake, table) if file not in current]
    for file in old:
        remove_data_file(file)
    return len(old)


def data_files(lake: Lake, table: Table) -> list[str]:
    """The URIs of all data files in a table's folder: current, old, of the change feed, and of runs that died."""
    folder = absolute_uri(lake.path(table))
    files = (file.path for file in list_files(folder, recursive=True) if file.path.endswith(".parquet"))
    return sorted(file for file in files if not file.startswith(f"{folder}/_delta_log/"))


def _current(lake: Lake, table: Table) -> set[str]:
    return {absolute_uri(name) for name in delta.data_files(lake, table)}


def _holds(file: str, paths: Collection[str], contents: Collection[str]) -> bool:
    try:
        return any(_matches(batch, paths, contents) for batch in _keys_of(file))
    except pa.ArrowInvalid:
        return True  # a run died while it wrote this file: nobody can read it, nor say what it holds


def _holds_other(file: str, key: str, alive: pa.Array) -> bool:
    try:
        return not all(pc.all(pc.is_in(batch.column(key), alive)).as_py() for batch in _keys_of(file))
    except pa.ArrowInvalid:
        return True  # see above


def _readable_keys_of(file: str) -> Iterator[pa.RecordBatch]:
    with suppress(pa.ArrowInvalid):
        yield from _keys_of(file)


def _matches(batch: pa.RecordBatch, paths: Collection[str], contents: Collection[str]) -> bool:
    wanted = {"path": paths, "sha256": contents}
    return any(
        pc.any(pc.is_in(batch.column(name), pa.array(wanted[name], pa.string()))).as_py() for name in batch.schema.names
    )


def _keys_of(file: str) -> Iterator[pa.RecordBatch]:
    with open_file(file) as source, pq.ParquetFile(source) as data:
        yield from data.iter_batches(columns=[name for name in _KEYS if name in data.schema_arrow.names])
