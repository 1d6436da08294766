"""Discover files under a folder, with the label and the split that the folders give."""

import hashlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase, translate
from itertools import islice

import numpy as np
import pyarrow as pa

from bronze.folders import FolderLabels, FolderNames
from lakehouse.arrow import as_numpy
from lakehouse.engine.port import Batches, Engine, Given, Rows
from lakehouse.storage import list_files, list_folders
from lakehouse.tables.table import INSTANT

FOLDERS = pa.schema([("folder", pa.binary()), ("deep", pa.bool_())])
"""Folders to list: their URIs as bytes, for a name may be no UTF-8, and whether to go below them."""

LISTING = pa.schema(
    [
        ("path", pa.string()),
        ("label", pa.string()),
        ("split", pa.string()),
        ("length", pa.int64()),
        ("modification_time", INSTANT),
        ("rule", pa.string()),
        ("fingerprint", pa.int64()),
    ]
)
"""Files: `rule` says why one is passed over, and is null for a candidate; `fingerprint` is of all the other columns."""
_ROWS_A_BATCH = 10_000
_SLOW = (
    0.0005  # seconds a file, the folder counted as one: a disk takes a twentieth of that, a request several times it
)

_Row = tuple[str, str | None, str | None, int, int, str | None]


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
    """How files are taken: what folders' names say, and the file names (patterns) that are passed over."""

    names: FolderNames
    skip: Sequence[str]


@dataclass(frozen=True)
class Listing:
    """From FOLDERS to LISTING: the files in folders, several folders at once.

    Attributes:
        root: the folder that was asked for.
        rules: how files are taken.
        threads: folders listed at once, where that takes longer than it should on a disk: on S3, or over a network.
    """

    root: str
    rules: Rules
    threads: int

    def __call__(self, folders: Given) -> Batches:
        """List the folders, as they come."""
        items = ((os.fsdecode(row["folder"]), row["deep"]) for batch in folders for row in batch.to_pylist())
        for item in items:
            begun = time.perf_counter()
            batches = self._listed(item)
            seconds = time.perf_counter() - begun  # before anybody takes them, and takes his time
            yield from batches
            if seconds > _SLOW * (1 + sum(batch.num_rows for batch in batches)):
                break
        # Where each answer waits, others are asked for meanwhile. Where none does, threads would only wait for another.
        with ThreadPoolExecutor(self.threads) as pool:
            for batches in pool.map(self._listed, items):
                yield from batches

    def _listed(self, item: tuple[str, bool]) -> list[pa.RecordBatch]:
        labels = FolderLabels(self.root, self.rules.names)
        found, batches = _rows(*item, labels, self.rules.skip), []
        while rows := list(islice(found, _ROWS_A_BATCH)):
            batches.append(_to_batch(rows))
        return batches


def list_photographs(engine: Engine, root: str, rules: Rules, threads: int, folders: int) -> Rows:
    """The files under `root`, as LISTING; some `folders` are shared out, as far as there are so many."""
    items = [(os.fsencode(folder), deep) for folder, deep in work_items(root, folders)]
    columns = [pa.array(values, field.type) for values, field in zip(zip(*items, strict=True), FOLDERS, strict=True)]
    return engine.map(engine.of(pa.table(columns, schema=FOLDERS)), Listing(root, rules, threads), LISTING)


@dataclass(frozen=True)
class ListingFingerprint:
    """A listing in short: its files, how many a rule passes over, and a number that another listing does not have."""

    files: int
    skipped: int
    fingerprint: int

    def __add__(self, other: "ListingFingerprint") -> "ListingFingerprint":
        """Of both listings."""
        return ListingFingerprint(
            self.files + other.files, self.skipped + other.skipped, self.fingerprint ^ other.fingerprint
        )


def fingerprint_listing(engine: Engine, listing: Rows) -> ListingFingerprint:
    """Sum up a listing, in whatever order it comes."""
    return sum(_surveys_in(engine.fold(listing, PartialSurvey(), CombinedSurvey())), ListingFingerprint(0, 0, 0))


class PartialSurvey:
    """From LISTING to its fingerprint_listing, in one row where there are files."""

    schema = pa.schema([("files", pa.int64()), ("skipped", pa.int64()), ("fingerprint", pa.int64())])

    def __call__(self, listing: Given) -> Batches:
        """Sum up the files."""
        return self.summed(
            ListingFingerprint(
                batch.num_rows,
                batch.num_rows - batch.column("rule").null_count,
                int(np.bitwise_xor.reduce(as_numpy(batch.column("fingerprint")))),
            )
            for batch in listing
        )

    def summed(self, parts: Iterable[ListingFingerprint]) -> Batches:
        """Some surveys, as one row where there are any."""
        if (found := list(parts)) and (total := sum(found, ListingFingerprint(0, 0, 0))).files:
            yield pa.RecordBatch.from_pylist([asdict(total)], schema=self.schema)


class CombinedSurvey(PartialSurvey):
    """From partial surveys, several rows, to one row."""

    def __call__(self, partials: Given) -> Batches:
        """Sum up the rows."""
        return self.summed(_surveys_in(partials))


def _surveys_in(rows: Iterable[pa.RecordBatch]) -> Iterator[ListingFingerprint]:
    return (ListingFingerprint(**row) for batch in rows for row in batch.to_pylist())


def _rows(folder: str, deep: bool, labels: FolderLabels, skip: Sequence[str]) -> Iterator[_Row]:
    skipped = re.compile("|".join(translate(pattern) for pattern in skip) or "(?!)").match
    for file in list_files(folder, recursive=deep):
        label, split = labels.of_unusable(file.path) if file.rule else labels.of(file.path)
        rule = file.rule
        if rule is None and skipped(name := file.path.rpartition("/")[2]):
            rule = next(f"skip: {pattern}" for pattern in skip if fnmatchcase(name, pattern))
        yield file.path, label, split, file.length, file.modified, rule


def _to_batch(rows: Sequence[_Row]) -> pa.RecordBatch:
    columns = [*zip(*rows, strict=True), [_fingerprint(row) for row in rows]]
    return pa.RecordBatch.from_arrays(
        [pa.array(values, field.type) for values, field in zip(columns, LISTING, strict=True)], schema=LISTING
    )


def _fingerprint(row: _Row) -> int:
    return int.from_bytes(hashlib.blake2b(repr(row).encode(), digest_size=8).digest(), signed=True)
