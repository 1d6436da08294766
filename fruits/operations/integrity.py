"""Lost, damaged and foreign files of a lake's tables: found by a listing and the log of each, and repaired."""

import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from fruits.catalog import ALL_TABLES
from lakehouse.errors import LakehouseError
from lakehouse.progress import NullProgress, Progress
from lakehouse.storage import exists, list_files, list_folders, read_file, remove_file, write_file
from lakehouse.storage.base import FileStatus
from lakehouse.tables import delta
from lakehouse.tables.damage import DamagedEntry, content_problem, damaged_entries, footer_problem
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import DataFile, Table
from lakehouse.workspace import Workspace

FEW = 50
"""Data files of a table whose footers are read without being asked for."""

_SIDE_BY_SIDE = 16  # footers read at once: on S3 each waits
_OURS = re.compile(
    r"(_change_data/)?\.?(part-[\w.-]+\.parquet|cdc-[\w.-]+\.parquet)(\.crc)?"
    r"|_delta_log/\.?(\d{20}\.[\w.-]+|_last_checkpoint|_commit_[\w.-]+|_sidecars/[\w.-]+|_staged_commits/[\w.-]+)"
    r"|_open/[\w.-]+\.json"  # of a run that goes on
)
_PUT_ASIDE = ".broken"


@dataclass(frozen=True)
class Integrity:
    """What is wrong with the files of a table.

    Attributes:
        table: which.
        entries: files of the log that cannot be read; then the others are not known.
        lost: data files of the newest version that are gone.
        damaged: data files of the newest version that are damaged, with what is wrong.
        foreign: names of files that no writer of Delta tables makes.
        files: data files of the newest version.
        older: the bytes of data files that are of older versions, or that dead runs have left.
        problem: why the table cannot be opened otherwise.
    """

    table: Table
    entries: list[DamagedEntry] = field(default_factory=list)
    lost: list[DataFile] = field(default_factory=list)
    damaged: list[tuple[DataFile, str]] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    files: int = 0
    older: int = 0
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is lost; foreign files harm nobody."""
        return not (self.entries or self.lost or self.damaged or self.problem)


def examine_tables(lake: Lake, progress: Progress | None = None, *, thorough: bool = False) -> list[Integrity]:
    """Compare the folder of each table with its log; no data is read, and nothing changed.

    Costs a listing and a reading of the log for each table, and the footers of data files where there are FEW of them.

    Args:
        lake: whose tables.
        progress: shows how many tables are done.
        thorough: read all that is in the data files.
    """
    there = [table for table in ALL_TABLES if _folder(lake, table) in _folders(lake)]
    show, found = (progress or NullProgress()).stage("tables examined", len(there)), []
    for number, table in enumerate(there, 1):
        found.append(_examined(lake, table, thorough=thorough))
        show(number)
    return found


def repair_tables(workspace: Workspace, *, thorough: bool = False) -> list[str]:
    """Make tables usable again whose files are lost or damaged; returns what was done, a sentence each.

    The newest commit, where it is half a one, and a damaged checkpoint are put aside, under names that say so. Lost and
    damaged data files are taken out of the table, with the rows that they held: a run makes these anew.
    """
    done = []
    for found in examine_tables(workspace.lake, thorough=thorough):
        log = workspace.lake.log(found.table)
        for entry in found.entries:
            if entry.newest or (entry.checkpoint and all(one.checkpoint for one in found.entries)):
                workspace.lake.guard()
                if entry.checkpoint:  # first the file that points to it
                    _put_aside(log, "_last_checkpoint")
                _put_aside(log, entry.name)
                done.append(f"Put {log}/{entry.name} aside, as {entry.name}{_PUT_ASIDE}.")
        gone = [*found.lost, *(file for file, _ in found.damaged)]
        if gone:
            delta.commit(workspace.lake, found.table, removed=gone)
            done.append(f"Took {_files(len(gone))} out of {found.table.name}, with {_rows(gone)}.")
    return done


def _folders(lake: Lake) -> set[str]:
    """The folders of all tables, whether or not these can be opened."""
    layers = {table.name.partition(".")[0] for table in ALL_TABLES}
    try:
        found = list_folders(lake.uri)
    except LakehouseError:  # there is no lake yet, or none that can be listed, which others say
        return set()
    ours = [folder for folder in found if folder.rpartition("/")[2] in layers]
    return {*ours, *(table for layer in ours for table in list_folders(layer))}


def _folder(lake: Lake, table: Table) -> str:
    return lake.uri_of(table.name.replace(".", "/"))


def _examined(lake: Lake, table: Table, *, thorough: bool) -> Integrity:
    folder = _folder(lake, table)
    files = {file.path.removeprefix(f"{folder}/"): file for file in list_files(folder, recursive=True)}
    foreign = sorted(name for name in files if not _OURS.fullmatch(name))
    log = [file for name, file in files.items() if re.fullmatch("_delta_log/[^/]+", name)]
    if not log and any(name.endswith(".parquet") for name in files):
        return Integrity(table, foreign=foreign, problem=f"its log, {lake.log(table)}, is gone")
    if entries := damaged_entries(lake.log(table), log):
        return Integrity(table, entries, foreign=foreign)
    try:
        handle = delta.find_table(lake, table)
    except LakehouseError as error:
        return Integrity(table, foreign=foreign, problem=str(error))
    current = {_name(lake, table, file): file for file in delta.files_of(lake, table, handle)} if handle else {}
    lost = [file for name, file in current.items() if name not in files]
    there = {name: file for name, file in current.items() if name in files}
    damaged = {name: problem for name, file in there.items() if (problem := _size_problem(file, files[name]))}
    if thorough or len(current) <= FEW:
        examine = content_problem if thorough else footer_problem
        damaged |= _problems(folder, {name: file for name, file in there.items() if name not in damaged}, examine)
    older = sum(file.length for name, file in files.items() if name.endswith(".parquet") and name not in current)
    return Integrity(
        table, [], lost, [(current[name], said) for name, said in damaged.items()], foreign, len(current), older
    )


def _name(lake: Lake, table: Table, file: DataFile) -> str:
    return file.name.removeprefix(f"{lake.path(table)}/")


def _size_problem(file: DataFile, found: FileStatus) -> str | None:
    return None if found.length == file.size else f"it has {found.length:,} bytes, and the log says {file.size:,}"


def _problems(
    folder: str, files: dict[str, DataFile], examine: Callable[[str, int | None], str | None]
) -> dict[str, str]:
    def problem(name: str) -> str | None:
        return examine(f"{folder}/{name}", files[name].rows)

    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        return {name: said for name, said in zip(files, pool.map(problem, files), strict=True) if said}


def _put_aside(log: str, name: str) -> None:
    # Copied and removed, as S3 knows no renaming: killed in between, the next repair does it again.
    if not exists(f"{log}/{name}"):
        return
    write_file(f"{log}/{name}{_PUT_ASIDE}", read_file(f"{log}/{name}"))
    remove_file(f"{log}/{name}")


# ---- words ----------------------------------------------------------------------------------------------------------

_FROM_PHOTOGRAPHS = "`fruits run` reads the photographs again that are where they were"
_BACK: dict[str, str] = {
    "bronze": _FROM_PHOTOGRAPHS,
    "bronze.corrections": "those corrections are lost: say them again by `fruits relabel`",
    "silver": "`fruits run` computes them again from bronze.images",
    "gold": "`fruits run` computes them again from silver",
    "gold.models": "MLflow still has the runs of those versions, and `fruits run --refit always` fits a new one",
    "registry.models": "those versions are lost: `fruits run` fits new ones, where the lake needs them",
    "registry.choices": "those choices are lost: `fruits run` makes a fit champion, and `fruits rollback` pins",
    "runs": "those runs are lost, and nothing needs them",
    "gold.explained_variance": "MLflow still has the curves, and `fruits run --refit always` fits a new version",
}
"""By table, or by layer: how lost rows come back."""


def describe(found: Integrity) -> tuple[str, str]:
    """What is wrong with a table that is not well, and how to get it back."""
    name = found.table.name
    back = _BACK[name] if name in _BACK else _BACK[name.partition(".")[0]]
    if found.problem:
        return f"{name}: {found.problem}", f"Restore it from a backup; else move the table's folder away, and {back}."
    if found.entries:
        said = "; ".join(f"_delta_log/{entry.name} {entry.flaw}" for entry in found.entries)
        return f"{name} cannot be relied on: {said}. {_lost_with(found.entries)}", _way_back(found.entries, back)
    files = [*(f"{_short(file)} is gone" for file in found.lost)]
    files += [f"{_short(file)} is damaged ({said})" for file, said in found.damaged]
    gone = [*found.lost, *(file for file, _ in found.damaged)]
    return (
        f"{name}: {len(gone):,} of {_files(found.files)} with {_rows(gone)}: {_listed(files)}",
        "Restore them under their names from a backup, or from the bucket's older versions; else `fruits doctor "
        f"--repair` takes them out of the table, and {back}.",
    )


def _lost_with(entries: list[DamagedEntry]) -> str:
    if all(entry.checkpoint for entry in entries):
        return "It only sums up commits that are there: nothing is lost."
    if all(entry.newest for entry in entries):
        return "Lost is what that commit wrote; the table before it is whole."
    return "Lost is all that was written since."


def _way_back(entries: list[DamagedEntry], back: str) -> str:
    if all(entry.newest or entry.checkpoint for entry in entries):
        return f"Restore the file from a backup; else `fruits doctor --repair` puts it aside, and {back}."
    return f"Restore the file from a backup; else move the table's folder away, and {back}."


def summary(found: Iterable[Integrity]) -> str:
    """A line on all tables, and the foreign files by their names."""
    tables = list(found)
    older, foreign = sum(one.older for one in tables), [f"{one.table.name}/{n}" for one in tables for n in one.foreign]
    said = f"{_files(sum(one.files for one in tables))} in {len(tables)} tables"
    said += f"; {older / 1e6:,.1f} MB of older versions" if older else ""
    return said + (f"; files that are not the tables', and harm nobody: {_listed(foreign)}" if foreign else "")


def _files(count: int) -> str:
    return f"{count:,} data file{'s' * (count != 1)}"


def _rows(files: Iterable[DataFile]) -> str:
    counts = [file.rows for file in files]
    return f"{sum(n for n in counts if n is not None):,} rows" if None not in counts else "an unknown number of rows"


def _short(file: DataFile) -> str:
    return file.name.rpartition("/")[2]


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
