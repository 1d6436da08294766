"""The bronze job: what lies under the images folder and no table holds yet is read, judged and kept."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from bronze.discover import Rules, Survey, difference_of_files, list_photographs, survey
from bronze.ingest import photographs, quarantined, read_photographs
from bronze.photograph import Limits
from bronze.tables import IMAGES, QUARANTINE, TABLES
from lakehouse import delta
from lakehouse.errors import StorageError
from lakehouse.failpoint import reach
from lakehouse.follow import follows, mark_follows, state
from lakehouse.progress import counted
from lakehouse.workspace import Workspace

_BATCH = "fruits.batch"  # the log's transaction that numbers complete ingests
_BYTES_A_TASK = 64 << 20


class Summary(TypedDict):
    """What a run found and did, in files. discovered = ingested + unchanged + quarantined + skipped.

    `replaced` counts those of `ingested` whose path was there with other content; `batch` is the lake's newest.
    """

    discovered: int
    ingested: int
    replaced: int
    unchanged: int
    quarantined: int
    skipped: int
    removed: int
    batch: int


@dataclass(frozen=True)
class _Found:
    """The files of one run: the difference, and how many rows it has of each kind."""

    files: DataFrame
    counts: dict[tuple[str, bool, bool], int]
    bytes: int

    def count(self, *changes: str, images: bool | None = None, quarantine: bool | None = None) -> int:
        return sum(
            rows
            for (change, in_images, in_quarantine), rows in self.counts.items()
            if change in changes and images in (None, in_images) and quarantine in (None, in_quarantine)
        )

    @property
    def candidates(self) -> DataFrame:
        return self.files.where(F.col("change").isin("new", "changed"))

    @property
    def gone(self) -> DataFrame:
        return self.files.where(F.col("change") == "gone")


def run(workspace: Workspace) -> Summary:
    """Bring the bronze tables up to date with the images folder.

    Raises:
        SettingsError: no folder was named.
        StorageError: the folder cannot be listed, or is empty while rows are to be removed with it.
        ForeignTableError: a bronze table has another layout.
    """
    lake, settings = workspace.lake, workspace.settings
    delta.create(lake, TABLES)
    seen = survey(settings.source, _rules(workspace), settings.readers)
    upstream = f"{settings.source}: {seen.files} files {seen.digits:x}; {_judgement(workspace)}"
    if follows(lake, QUARANTINE, f"{upstream}; {state(lake, IMAGES)}"):
        return _nothing_new(workspace, seen)
    found = _find(workspace)
    reach("bronze.found")
    try:
        summary = _ingest(workspace, found)
    finally:
        found.files.unpersist()
    # What could not be read, for a reason outside the file, is tried again though the listing stays the same.
    if summary["skipped"] == seen.skipped and not delta.any_row(lake, QUARANTINE, "reason", "unreadable"):
        mark_follows(lake, QUARANTINE, f"{upstream}; {state(lake, IMAGES)}")
    return summary


def _nothing_new(workspace: Workspace, seen: Survey) -> Summary:
    return Summary(
        discovered=seen.files,
        ingested=0,
        replaced=0,
        unchanged=seen.files - seen.skipped,
        quarantined=0,
        skipped=seen.skipped,
        removed=0,
        batch=delta.transaction_version(workspace.lake, IMAGES, _BATCH),
    )


def _rules(workspace: Workspace) -> Rules:
    return Rules(workspace.settings.splits, workspace.settings.skip)


def _limits(workspace: Workspace) -> Limits:
    settings = workspace.settings
    return Limits(settings.formats, settings.max_bytes, settings.max_pixels)


def _judgement(workspace: Workspace) -> str:
    """What decides, beside the files, what becomes of them."""
    clauses = _limits(workspace).clauses.values()
    return "; ".join([*clauses, f"removed: {workspace.settings.removed_images}"])


def _find(workspace: Workspace) -> _Found:
    settings, spark, lake = workspace.settings, workspace.spark, workspace.lake
    root = settings.source
    listing = list_photographs(spark, root, _rules(workspace), spark.sparkContext.defaultParallelism)
    below = F.col("path").startswith(root.rstrip("/") + "/")
    images, quarantine = (delta.read(spark, lake, table).where(below) for table in TABLES)
    files = difference_of_files(listing, images, quarantine, _limits(workspace).clauses).persist()
    rows = files.groupBy("change", "in_images", "in_quarantine").agg(F.count("*"), F.sum("length")).collect()
    counts = {(change, images, quarantine): int(n) for change, images, quarantine, n, _ in rows}
    size = sum(int(length or 0) for change, _, _, _, length in rows if change in ("new", "changed"))
    found = _Found(files, counts, size)
    if settings.removed_images == "delete" and not found.count("new", "changed", "unchanged") and found.count("gone"):
        raise StorageError(
            f"{root} holds no photographs, while the lake holds {found.count('gone')} from there and `removed_images: "
            "delete` would erase them all. If that is meant, use `removed_images: keep` and `fruits forget`."
        )
    return found


def _ingest(workspace: Workspace, found: _Found) -> Summary:
    lake, candidates = workspace.lake, found.count("new", "changed")
    batch = delta.transaction_version(lake, IMAGES, _BATCH) + 1
    inserted, replaced = _write_images(workspace, found, batch) if candidates else (0, 0)
    reach("bronze.images-written")
    unread = _unread(workspace, found).persist() if inserted < candidates else None
    held_back = unread.count() if unread is not None else 0
    broken = _write_quarantine(workspace, found, unread, batch) if unread is not None and held_back else 0
    reach("bronze.quarantine-written")
    removed = _remove(workspace, found)
    reach("bronze.removed")
    _finish_batch(workspace, batch)
    reach("bronze.batch-numbered")
    return Summary(
        discovered=found.count("new", "changed", "unchanged", "skipped"),
        ingested=inserted + replaced,
        replaced=replaced,
        # With a candidate that has a new time stamp and the old bytes.
        unchanged=found.count("unchanged") + candidates - inserted - replaced - held_back,
        quarantined=broken,
        # With a file that could not be read first, and could then: it is being written to, and the next run takes it.
        skipped=found.count("skipped") + held_back - broken,
        removed=removed,
        batch=delta.transaction_version(lake, IMAGES, _BATCH),
    )


def _read(workspace: Workspace, files: DataFrame, size: int, count: Callable[[int], None]) -> DataFrame:
    tasks = max(2 * workspace.spark.sparkContext.defaultParallelism, size // _BYTES_A_TASK)
    return read_photographs(files.repartition(tasks, "path"), _limits(workspace), workspace.settings.readers, count)


def _write_images(workspace: Workspace, found: _Found, batch: int) -> tuple[int, int]:
    """Write the candidates that are photographs; returns how many were new, and how many replaced other content."""
    spark, lake = workspace.spark, workspace.lake
    total = found.count("new", "changed")
    with counted(spark, workspace.progress, "photographs read", total) as count:
        rows = photographs(_read(workspace, found.candidates, found.bytes, count), batch)
        if not found.count("new", "changed", images=True):
            return delta.append(rows, lake, IMAGES), 0
        kept = {"length": "new.length", "modification_time": "new.modification_time"}
        before = delta.existing(lake, IMAGES).version()
        inserted = delta.merge(rows, lake, IMAGES, touch=kept)
    version = delta.existing(lake, IMAGES).version()
    if version == before:
        return 0, 0
    changes = delta.read_changes(spark, lake, IMAGES, version, version)
    replaced = changes.where((F.col("_change_type") == "update_postimage") & (F.col("batch") == batch)).count()
    return inserted, replaced


def _unread(workspace: Workspace, found: _Found) -> DataFrame:
    """The candidates that did not get into `bronze.images`."""
    there = delta.read(workspace.spark, workspace.lake, IMAGES).select("path", "length", "modification_time")
    return found.candidates.join(there, on=["path", "length", "modification_time"], how="left_anti")


def _write_quarantine(workspace: Workspace, found: _Found, unread: DataFrame, batch: int) -> int:
    """Read again what could not be read, for its reason; returns how many are held back.

    Read twice, because two tables cannot be written in one pass, and the broken ones are few.
    """
    lake = workspace.lake
    rows = quarantined(_read(workspace, unread, 0, _uncounted), batch).persist()
    try:
        if workspace.settings.removed_images == "delete" and found.count("changed", images=True):
            delta.delete(rows, lake, IMAGES)
        broken = rows.count()
        delta.merge(rows, lake, QUARANTINE)
        return broken
    finally:
        rows.unpersist()


def _remove(workspace: Workspace, found: _Found) -> int:
    """Remove what has been repaired or is gone from quarantine, and what is gone from images where that is wanted."""
    spark, lake = workspace.spark, workspace.lake
    if found.count("new", "changed", "gone", quarantine=True):
        there = delta.read(spark, lake, IMAGES).select("path", "length", "modification_time")
        repaired = found.candidates.where("in_quarantine").join(
            there, on=["path", "length", "modification_time"], how="left_semi"
        )
        resolved = repaired.select("path").unionByName(found.gone.where("in_quarantine").select("path"))
        delta.delete(resolved, lake, QUARANTINE)
    if workspace.settings.removed_images == "delete" and found.count("gone", images=True):
        return delta.delete(found.gone.where("in_images"), lake, IMAGES)
    return 0


def _finish_batch(workspace: Workspace, batch: int) -> None:
    """Number the ingest as complete, if it wrote rows: one that died before this goes on under the same number."""
    newest = max(delta.maximum(workspace.lake, table, "batch") or 0 for table in TABLES)
    if newest >= batch:
        delta.mark_transaction(workspace.lake, IMAGES, _BATCH, batch)


def _uncounted(images: int) -> None:
    """Count nothing."""
