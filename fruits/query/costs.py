"""What runs cost by what they did: bytes and files written, by the log; and what helps where that is too much.

The figures are taken when a run ends, from the entries that it has made in the logs, and kept in its row of `runs`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict

from fruits.catalog import WITHOUT_HISTORY
from fruits.console import format_bytes
from lakehouse.tables.delta import Lake
from lakehouse.tables.log import Entry, entries
from lakehouse.tables.table import Row, Table

WRITTEN = "written"
"""Where the figures stand in a run's summary."""
MUCH_BYTES = 64 << 20
"""Bytes of one table that are no matter: a disk writes them in a second, S3 in a few."""
MUCH_MORE = 20
"""Bytes written for each byte of rows that changed. A file that is written anew for one row of its thousands is far
above that, one in which every twentieth row changed is not."""
MANY_FILES = 16
"""Files of one table and run; more than that a run's end merges again (`SMALL_FILES` of upkeep)."""
SMALL_BYTES = 8 << 20
"""Bytes of a file below which the opening takes as long as the reading: S3's some 50 ms a request."""


class Written(TypedDict):
    """What a run did to a table's files, commits that changed no row left out."""

    files_added: int
    files_removed: int
    bytes_added: int
    bytes_removed: int
    rows_added: int


def measure_written(
    lake: Lake, tables: Sequence[Table], before: Mapping[str, int], after: Mapping[str, int]
) -> dict[str, Written]:
    """What was written between two versions of each table; tables that nothing was written to are left out.

    Raises:
        OSError: an entry of a log cannot be read.
        ValueError: one is damaged.
    """
    changed = [table for table in tables if after.get(table.name, -1) > before.get(table.name, -1)]
    found = {
        table.name: _summed([*entries(lake, table, before.get(table.name, -1), after[table.name])]) for table in changed
    }
    return {name: written for name, written in found.items() if any(written.values())}


def _summed(commits: Sequence[Entry]) -> Written:
    added = [file for commit in commits for file in commit.added]
    removed = [file for commit in commits for file in commit.removed]
    return Written(
        files_added=len(added),
        files_removed=len(removed),
        bytes_added=sum(file.size for file in added),
        bytes_removed=sum(file.size for file in removed),
        rows_added=sum(file.rows or 0 for file in added),
    )


def warnings(run: Row, summary: Mapping[str, Any] | None) -> list[str]:
    """Why a run cost more than it should by what it did, and what helps, a sentence for each table; mostly none.

    Args:
        run: its row of `runs`.
        summary: that of the row, as an object; None where there is none.
    """
    known = summary or {}
    tables = (known.get(WRITTEN) or {}).items()
    return [said for table, written in tables for said in _of_table(table, written, run, known)]


def _of_table(table: str, written: Written, run: Row, summary: Mapping[str, Any]) -> Iterator[str]:
    rows, size, files = written["rows_added"], written["bytes_added"], written["files_added"]
    counts = {name: run[name] or 0 for name in ("ingested", "featurized", "relabelled", "removed")}
    changed = max(counts["ingested"], counts["featurized"]) + counts["relabelled"] + counts["removed"]
    anew = written["files_removed"] and table not in WITHOUT_HISTORY
    if anew and rows and size >= MUCH_BYTES and size > MUCH_MORE * max(changed, 1) * size / rows:
        yield (
            f"{table}: {format_bytes(size)} written for {changed:,} rows that changed. "
            f"{_what_helps(table, run, summary)}"
        )
    if files >= MANY_FILES and size < files * SMALL_BYTES:
        yield (
            f"{table}: {files:,} files of {format_bytes(size / files)} written at once. `fruits maintain` merges them; "
            "on Spark fewer tasks write fewer (`spark.sql.shuffle.partitions`)."
        )


def _what_helps(table: str, run: Row, summary: Mapping[str, Any]) -> str:
    if table == "silver.scaled" and (summary.get("silver") or {}).get("refit"):
        return (
            "The scaler was fitted anew; a higher `scaler_mean_limit` or a wider `scaler_variance_range` does so less "
            "often."
        )
    if table == "gold.projections" and (summary.get("gold") or {}).get("refit"):
        return "The PCA was fitted anew; a higher `threshold_slack` or `refit: never` does so less often."
    if run["relabelled"]:
        return "Each file that holds such a row is written anew: many corrections in one run cost what one does."
    if run["removed"]:
        return "Each file that held such a row is written anew: `removed_images: keep`, or remove many at once."
    return (
        "Each file that holds such a row is written anew: keep modification times when files are copied (`cp -p`, "
        "`rsync -t`, `aws s3 sync --exact-timestamps`), and replace many at once."
    )
