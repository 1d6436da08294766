"""What is there: the files under a folder, with label and split, as a DataFrame that is never whole in one place."""

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import islice

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse.storage import FileStatus, list_files, list_folders

LISTING = "path string, label string, split string, length long, modification_time timestamp, rule string"
_ARROW = pa.schema(
    [
        ("path", pa.string()),
        ("label", pa.string()),
        ("split", pa.string()),
        ("length", pa.int64()),
        ("modification_time", pa.timestamp("us", "UTC")),
        ("rule", pa.string()),
    ]
)
_ROWS_A_BATCH = 10_000


def label_and_split(path: str, root: str, splits: Collection[str]) -> tuple[str | None, str | None]:
    """Label and split by the folders: `…/<split>/<label>/<file>`.

    Args:
        path: the file's URI, at or below `root`.
        root: the folder that was asked for; a file directly in it has no label, unless `root` itself is below a split.
        splits: the names, in lower case, of folders that are a split.

    Returns:
        (label, split): the file's folder, and the folder above it where that is a split; else None.
    """
    folder, _, _ = path.rpartition("/")
    above, _, name = folder.rpartition("/")
    if name.lower() in splits:
        return None, name
    above = above.rpartition("/")[2]
    split = above if above.lower() in splits else None
    return (name if folder != root or split else None), split


def work_items(root: str, wanted: int) -> list[tuple[str, bool]]:
    """Cut a tree into folders to list, each with whether to go below it, until there are `wanted` or no more.

    The driver looks at folders only, level by level, so that what it holds does not grow with the number of files.
    """
    flat: list[tuple[str, bool]] = []
    frontier = [root]
    while frontier and len(flat) + len(frontier) < wanted:
        below = [folder for parent in frontier for folder in list_folders(parent)]
        flat += [(folder, False) for folder in frontier]
        frontier = below
    return flat + [(folder, True) for folder in frontier]


def list_photographs(
    spark: SparkSession, root: str, splits: Collection[str], skip: Sequence[str], parallelism: int
) -> DataFrame:
    """The files under `root`, one row each: path, label, split, length, modification_time, rule.

    `rule` says why a file is passed over, and is null for a candidate. Folders are shared out among tasks.
    """
    lowered = frozenset(name.lower() for name in splits)
    # As bytes, because a folder's name may be no UTF-8.
    items = [(bytearray(os.fsencode(folder)), deep) for folder, deep in work_items(root, 4 * parallelism)]
    tasks = min(len(items), 4 * parallelism)
    folders = spark.createDataFrame(items, "folder binary, deep boolean").repartition(tasks)

    def listing(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for item in batch.to_pylist():
                files = list_files(os.fsdecode(item["folder"]), recursive=item["deep"])
                while rows := list(islice(files, _ROWS_A_BATCH)):
                    yield _to_batch(rows, root, lowered, skip)

    return folders.mapInArrow(listing, LISTING)


def difference_of_files(listing: DataFrame, images: DataFrame, quarantine: DataFrame) -> DataFrame:
    """What must be read: the candidates whose length and modification time no table holds.

    A path stands in `quarantine` when its newest content could not be read; that row then speaks for it, and the row in
    `images`, if any, is of older content.

    Args:
        listing: as `list_photographs` returns it.
        images: rows of `bronze.images` under the same root.
        quarantine: rows of `bronze.quarantine` under the same root.

    Returns:
        path, label, split, length, modification_time, rule, and
        change: new | changed | unchanged | skipped | gone,
        in_images, in_quarantine: whether that table holds the path.
    """
    held = quarantine.select("path", "reason", *_aliases("quarantined"), F.lit(True).alias("in_quarantine"))
    kept = images.select("path", *_aliases("ingested"), F.lit(True).alias("in_images"))
    known = kept.join(held, on="path", how="full_outer").select(
        "path",
        "reason",
        F.coalesce("in_images", F.lit(False)).alias("in_images"),
        F.coalesce("in_quarantine", F.lit(False)).alias("in_quarantine"),
        F.coalesce("quarantined_length", "ingested_length").alias("known_length"),
        F.coalesce("quarantined_time", "ingested_time").alias("known_time"),
    )
    # What could not be read for a reason outside the file is tried again.
    retried = F.coalesce(F.col("reason") == "unreadable", F.lit(False))
    same = ~retried & (F.col("length") == F.col("known_length")) & (F.col("modification_time") == F.col("known_time"))
    change = (
        F.when(F.col("length").isNull(), "gone")
        .when(F.col("rule").isNotNull(), "skipped")
        .when(F.col("known_length").isNull(), "new")
        .when(same, "unchanged")
        .otherwise("changed")
    )
    return listing.join(known, on="path", how="full_outer").select(
        *("path", "label", "split", "length", "modification_time", "rule"),
        change.alias("change"),
        F.coalesce("in_images", F.lit(False)).alias("in_images"),
        F.coalesce("in_quarantine", F.lit(False)).alias("in_quarantine"),
    )


def _aliases(name: str) -> tuple[Column, Column]:
    return F.col("length").alias(f"{name}_length"), F.col("modification_time").alias(f"{name}_time")


def _to_batch(files: Sequence[FileStatus], root: str, splits: Collection[str], skip: Sequence[str]) -> pa.RecordBatch:
    rows = []
    for file in files:
        label, split = label_and_split(file.path, root, splits)
        rule = file.rule or _skip_rule(file.path, skip)
        rows.append((file.path, label, split, file.length, file.modified, rule))
    columns = [pa.array(values, type=field.type) for values, field in zip(zip(*rows, strict=True), _ARROW, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=_ARROW)


def _skip_rule(path: str, skip: Sequence[str]) -> str | None:
    name = path.rpartition("/")[2]
    return next((f"skip: {pattern}" for pattern in skip if fnmatchcase(name, pattern)), None)
