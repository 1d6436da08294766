"""Discover files under a folder, with the label and the split that the folders give."""

import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa

from bronze.folders import FolderLabels, FolderNames
from bronze.tables import IMAGES
from lakehouse.engine.port import Batches, Engine, Given, Rows
from lakehouse.errors import StorageError
from lakehouse.storage import find_folders, rule_of_folder, walk
from lakehouse.storage.folder_rules import FolderRules, Patterns, Rule
from lakehouse.tables.table import INSTANT

if TYPE_CHECKING:
    from bronze.settings import BronzeSettings  # whoever lists folders elsewhere does without what reads settings

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
"""Files: `rule` says why one is passed over, and is null for a candidate; `fingerprint` is of all the other columns.

What is passed over may be a folder: it then stands for all that is below it.
"""
_ROWS_A_BATCH = 10_000
_SLOW = (
    0.0005  # seconds a file, the folder counted as one: a disk takes a twentieth of that, a request several times it
)

_FEW_FILES = 4_000
"""Files of a folder on S3 beside which the driver looks for folders: with more, whoever lists it takes all below it."""
_OTHER_LAKES = {f"{IMAGES.name.replace('.', '/')}/_delta_log": Rule.ANOTHER_LAKE}

_Row = tuple[str, str | None, str | None, int, int, str | None]


def work_items(root: str, wanted: int, rules: FolderRules, *, required: bool = True) -> list[tuple[str, bool]]:
    """Cut a tree into folders to list, each with whether to go below it, until there are `wanted` or no more.

    The driver looks at folders only, level by level, so that what it holds does not grow with the number of files. A
    folder that a rule passes over, or that cannot be listed, is left to whoever lists it: he says so.

    Raises:
        StorageError: the root is required, and cannot be listed.
    """
    flat: list[tuple[str, bool]] = []
    frontier = [root]
    while frontier and len(flat) + len(frontier) < wanted:
        below = []
        for folder in frontier:
            found = _folders_in(folder, required=required and folder == root, rules=rules)
            flat.append((folder, found is None))
            below += found or []
        frontier = below
    return flat + [(folder, True) for folder in frontier]


def _folders_in(folder: str, *, required: bool, rules: FolderRules) -> list[str] | None:
    """The folders directly inside one; None where they are not to be known here."""
    if not required and rule_of_folder(folder, rules):
        return None
    try:
        return find_folders(folder, _FEW_FILES)
    except StorageError:
        if required:
            raise
        return None


@dataclass(frozen=True)
class Rules:
    """How files are taken, and which are passed over.

    Attributes:
        names: what folders' names say.
        skip: patterns of file names, and of folder names where they end with a slash.
        lake: the URI of the lake, which may lie among the photographs.
    """

    names: FolderNames
    skip: Sequence[str]
    lake: str | None = None

    @classmethod
    def of(cls, settings: "BronzeSettings") -> "Rules":
        """By these settings."""
        return cls(FolderNames.of(settings.splits, settings.unlabelled_folders), settings.skip, settings.lake)

    @cached_property
    def files(self) -> Patterns:
        """The names of files that are passed over."""
        return Patterns([pattern for pattern in self.skip if not pattern.endswith("/")])

    @cached_property
    def folder_names(self) -> Patterns:
        """The names of folders that are passed over."""
        return Patterns([pattern.removesuffix("/") for pattern in self.skip if pattern.endswith("/")], "/")

    def of_folders(self, entered: Iterable[str], taken: Iterable[str] = ()) -> FolderRules:
        """The folders that are not entered.

        Args:
            entered: those that are, whatever the rules say.
            taken: those that have been listed already, and are met again behind links.
        """
        folders = {**dict.fromkeys(taken, Rule.LINKED_TWICE), **({self.lake: Rule.LAKE} if self.lake else {})}
        return FolderRules(self.folder_names, folders, _OTHER_LAKES, frozenset(entered))


@dataclass(frozen=True)
class Listing:
    """From FOLDERS to LISTING: the files in folders, several folders at once.

    Attributes:
        root: the folder that was asked for.
        rules: how files are taken.
        threads: folders listed at once, where that takes longer than it should on a disk: on S3, or over a network; and
            ranges of the keys of a large folder on S3.
        entered: links that are followed.
        taken: folders that have been listed already, and are passed over where they are met again.
    """

    root: str
    rules: Rules
    threads: int
    entered: Sequence[str] = ()
    taken: Sequence[str] = ()

    def __call__(self, folders: Given) -> Batches:
        """List the folders, as they come."""
        items = ((os.fsdecode(row["folder"]), row["deep"]) for batch in folders for row in batch.to_pylist())
        with ThreadPoolExecutor(self.threads) as ranges, ThreadPoolExecutor(self.threads) as pool:
            listed = partial(self._listed, ranges if self.threads > 1 else None)
            for item in items:
                begun = time.perf_counter()
                batches = listed(item)
                seconds = time.perf_counter() - begun  # before anybody takes them, and takes his time
                yield from batches
                if seconds > _SLOW * (1 + sum(batch.num_rows for batch in batches)):
                    break
            # Where each answer waits, others are asked for meanwhile. Where none does, threads would only wait for
            # another.
            for batches in pool.map(listed, items):
                yield from batches

    def _listed(self, ranges: Executor | None, item: tuple[str, bool]) -> list[pa.RecordBatch]:
        found, batches = self._rows(ranges, *item), []
        while rows := list(islice(found, _ROWS_A_BATCH)):
            batches.append(to_batch(rows))
        return batches

    def _rows(self, ranges: Executor | None, folder: str, deep: bool) -> Iterator[_Row]:
        labels, rules = FolderLabels(self.root, self.rules.names), self.rules.of_folders(self.walked, self.taken)
        rule_of_file = self.rules.files.rule_of
        for file in walk(folder, rules, recursive=deep, required=folder == self.root, pool=ranges):
            path = file.path
            if file.rule is None:
                yield path, *labels.of(path), file.length, file.modified, rule_of_file(path.rpartition("/")[2])
            else:
                yield path, *labels.of_unusable(path), file.length, file.modified, str(file.rule)

    @property
    def walked(self) -> tuple[str, ...]:
        """The folders that are walked whatever the rules say of them."""
        return (self.root, *self.entered)


def list_photographs(engine: Engine, root: str, rules: Rules, threads: int, folders: int) -> Rows:
    """The files under `root`, as LISTING; some `folders` are shared out, as far as there are so many.

    A folder behind a link is an entry with the rule `linked_folder`: `bronze.links` follows it.
    """
    return list_below(engine, [root], Listing(root, rules, threads), folders)


def list_below(engine: Engine, starts: Sequence[str], listing: Listing, folders: int) -> Rows:
    """The files under some folders, as LISTING; some `folders` are shared out, as far as there are so many."""
    rules, each = listing.rules.of_folders(listing.walked, listing.taken), max(1, folders // len(starts))
    items = [
        {"folder": os.fsencode(folder), "deep": deep}
        for start in starts
        for folder, deep in work_items(start, each, rules, required=start == listing.root)
    ]
    return engine.map(engine.of(pa.Table.from_pylist(items, FOLDERS)), listing, LISTING)


def to_batch(rows: Sequence[_Row]) -> pa.RecordBatch:
    """Rows of LISTING, without their fingerprints, with them."""
    columns = [*zip(*rows, strict=True), [_fingerprint(row) for row in rows]]
    return pa.RecordBatch.from_arrays(
        [pa.array(values, field.type) for values, field in zip(columns, LISTING, strict=True)], schema=LISTING
    )


def _fingerprint(row: _Row) -> int:
    return int.from_bytes(hashlib.blake2b(repr(row).encode(), digest_size=8).digest(), signed=True)
