"""What is there: the files under a folder, with label and split, as a DataFrame that is never whole in one place."""

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse.storage import list_files, list_folders

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

_Row = tuple[str, str | None, str | None, int, int, str | None]


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


@dataclass(frozen=True)
class Rules:
    """How files are taken: the folder names that are a split, and the file names (patterns) that are passed over."""

    splits: Collection[str]
    skip: Sequence[str]


@dataclass(frozen=True)
class Survey:
    """A listing in short: its files, how many a rule passes over, and digits that another listing does not have."""

    files: int = 0
    skipped: int = 0
    digits: int = 0

    def __add__(self, other: "Survey") -> "Survey":
        """Both listings, in any order."""
        digits = (self.digits + other.digits) % (1 << 128)
        return Survey(self.files + other.files, self.skipped + other.skipped, digits)


def survey(root: str, rules: Rules, threads: int) -> Survey:
    """Sum up the files under `root`, holding none of them: so that nothing is started where nothing is new."""

    def surveyed(item: tuple[str, bool]) -> Survey:
        return sum((_survey_of(row) for row in _rows(*item, root, rules)), Survey())

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(surveyed, work_items(root, threads)), Survey())


def list_photographs(spark: SparkSession, root: str, rules: Rules, parallelism: int) -> DataFrame:
    """The files under `root`, one row each: path, label, split, length, modification_time, rule.

    `rule` says why a file is passed over, and is null for a candidate. Folders are shared out among tasks.
    """
    # As bytes, because a folder's name may be no UTF-8.
    items = [(bytearray(os.fsencode(folder)), deep) for folder, deep in work_items(root, 4 * parallelism)]
    tasks = min(len(items), 4 * parallelism)
    folders = spark.createDataFrame(items, "folder binary, deep boolean").repartition(tasks)

    def listing(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for item in batch.to_pylist():
                found = _rows(os.fsdecode(item["folder"]), item["deep"], root, rules)
                while rows := list(islice(found, _ROWS_A_BATCH)):
                    yield _to_batch(rows)

    return folders.mapInArrow(listing, LISTING)


def difference_of_files(
    listing: DataFrame, images: DataFrame, quarantine: DataFrame, clauses: Mapping[str, str]
) -> DataFrame:
    """What must be read: the candidates whose length and modification time no table holds.

    A path stands in `quarantine` when its newest content could not be read; that row then speaks for it, and the row in
    `images`, if any, is of older content.

    Args:
        listing: as `list_photographs` returns it.
        images: rows of `bronze.images` under the same root.
        quarantine: rows of `bronze.quarantine` under the same root.
        clauses: by reason, the words that a detail has which was written under the limits of now.

    Returns:
        path, label, split, length, modification_time, rule, and
        change: new | changed | unchanged | skipped | gone,
        in_images, in_quarantine: whether that table holds the path.
    """
    held = quarantine.select(
        "path", _retried(clauses).alias("retried"), *_aliases("quarantined"), F.lit(True).alias("in_quarantine")
    )
    kept = images.select("path", *_aliases("ingested"), F.lit(True).alias("in_images"))
    known = kept.join(held, on="path", how="full_outer").select(
        "path",
        F.coalesce("retried", F.lit(False)).alias("retried"),
        F.coalesce("in_images", F.lit(False)).alias("in_images"),
        F.coalesce("in_quarantine", F.lit(False)).alias("in_quarantine"),
        F.coalesce("quarantined_length", "ingested_length").alias("known_length"),
        F.coalesce("quarantined_time", "ingested_time").alias("known_time"),
    )
    untouched = (F.col("length") == F.col("known_length")) & (F.col("modification_time") == F.col("known_time"))
    change = (
        F.when(F.col("length").isNull(), "gone")
        .when(F.col("rule").isNotNull(), "skipped")
        .when(F.col("known_length").isNull(), "new")
        .when(untouched & ~F.col("retried"), "unchanged")
        .otherwise("changed")
    )
    return listing.join(known, on="path", how="full_outer").select(
        *("path", "label", "split", "length", "modification_time", "rule"),
        change.alias("change"),
        F.coalesce("in_images", F.lit(False)).alias("in_images"),
        F.coalesce("in_quarantine", F.lit(False)).alias("in_quarantine"),
    )


def _retried(clauses: Mapping[str, str]) -> Column:
    """Whether a held-back file is tried again as it is: the reason lay outside it, or in limits that are no more."""
    retried = F.col("reason") == "unreadable"
    for reason, clause in clauses.items():
        retried = retried | ((F.col("reason") == reason) & ~F.col("detail").contains(clause))
    return retried


def _aliases(name: str) -> tuple[Column, Column]:
    return F.col("length").alias(f"{name}_length"), F.col("modification_time").alias(f"{name}_time")


def _rows(folder: str, deep: bool, root: str, rules: Rules) -> Iterator[_Row]:
    splits = frozenset(name.lower() for name in rules.splits)
    for file in list_files(folder, recursive=deep):
        label, split = label_and_split(file.path, root, splits)
        rule = file.rule or _skip_rule(file.path, rules.skip)
        yield file.path, label, split, file.length, file.modified, rule


def _survey_of(row: _Row) -> Survey:
    digest = hashlib.blake2b(repr(row).encode(), digest_size=16).digest()
    return Survey(files=1, skipped=int(row[-1] is not None), digits=int.from_bytes(digest))


def _to_batch(rows: Sequence[_Row]) -> pa.RecordBatch:
    columns = [pa.array(values, type=field.type) for values, field in zip(zip(*rows, strict=True), _ARROW, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=_ARROW)


def _skip_rule(path: str, skip: Sequence[str]) -> str | None:
    name = path.rpartition("/")[2]
    return next((f"skip: {pattern}" for pattern in skip if fnmatchcase(name, pattern)), None)
