"""What a run finds: the difference between a listing and the tables, with the number of its rows of each kind."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from bronze.difference import FileChange
from bronze.survey import ListingFingerprint
from lakehouse.engine.port import Engine, Rows
from lakehouse.portions import portions_of, within

CANDIDATES = (FileChange.NEW, FileChange.CHANGED)
"""The files that are read."""
_AS_THEY_WERE = (FileChange.UNCHANGED, FileChange.SKIPPED)


@dataclass(frozen=True)
class Found:
    """The files of one run: the difference, and how many rows it has of each kind.

    Of files that are as they were nobody knows which table holds them; the listing alone counts them.
    `relabelled` and `held_relabelled` count rows of images, and of quarantine, that need another label. `before` and
    `total` are the candidates of the portions before this one, and of all of them; None where this is no portion.
    """

    files: Rows
    counts: dict[tuple[FileChange, bool, bool], int]
    bytes: int
    relabelled: int
    held_relabelled: int
    before: int = 0
    total: int | None = None

    def count(self, *changes: FileChange, images: bool | None = None, quarantine: bool | None = None) -> int:
        """How many files had one of these changes, and are, or are not, in a table."""
        return sum(
            rows
            for (change, in_images, in_quarantine), rows in self.counts.items()
            if change in changes and images in (None, in_images) and quarantine in (None, in_quarantine)
        )


def count_found(engine: Engine, files: Rows, seen: ListingFingerprint, *, removing: bool) -> Found:
    """Count the rows of a difference, and by the listing those files that are as they were.

    Args:
        engine: whose rows they are.
        files: as `difference_of_files` returns them, kept.
        seen: the listing in short.
        removing: whether rows of files that are gone will be removed: these take no other label.
    """
    found = _counted(engine, files, {FileChange.GONE} if removing else set())
    counts = {which: count for which, count in found.counts.items() if which[0] not in _AS_THEY_WERE}
    read = sum(count for (change, _, _), count in counts.items() if change in CANDIDATES)
    counts[FileChange.UNCHANGED, False, False] = seen.files - seen.skipped - read
    counts[FileChange.SKIPPED, False, False] = seen.skipped
    return replace(found, counts=counts)


def _counted(engine: Engine, files: Rows, leaving: Collection[FileChange] = ()) -> Found:
    """Count the rows of a difference, or of a portion of it; those that are leaving take no other label."""
    counted = engine.sql(
        """
        SELECT change, in_images, in_quarantine, count(*) AS files, CAST(coalesce(sum(length), 0) AS BIGINT) AS bytes,
               count(*) FILTER (WHERE relabelled) AS relabelled,
               count(*) FILTER (WHERE held_relabelled) AS held_relabelled
        FROM files GROUP BY change, in_images, in_quarantine
        """,
        files=files,
    )
    rows = engine.arrow(counted).to_pylist()
    return Found(
        files,
        {(FileChange(row["change"]), row["in_images"], row["in_quarantine"]): row["files"] for row in rows},
        bytes=sum(row["bytes"] for row in rows if row["change"] in CANDIDATES),
        relabelled=sum(row["relabelled"] for row in rows if row["change"] not in leaving),
        held_relabelled=sum(row["held_relabelled"] for row in rows),
    )


def in_portions(engine: Engine, found: Found, most_rows: int, most_bytes: int) -> Iterator[Found]:
    """What a run found, in portions that are worked off and committed one after the other; all of it where it is small.

    New files come in the order of their paths, so that each data file that is written holds neighbours, and a reader
    of some paths passes over the others. All else comes at the end: each merge reads the files that hold its rows.

    Args:
        engine: whose rows they are.
        found: what there is, kept.
        most_rows: the most new files of a portion.
        most_bytes: the most bytes of them; the last file may exceed it.
    """
    if found.count(FileChange.NEW) <= most_rows and found.bytes <= most_bytes:
        yield found
        return
    new = engine.sql("SELECT path, length FROM files WHERE change = 'new'", files=found.files)
    for portion in portions_of(engine, new, most_rows, most_bytes):
        with engine.kept(within(engine, found.files, portion, "change = 'new'")) as files:
            yield replace(_counted(engine, files), before=portion.before, total=portion.total)
    if found.count(FileChange.CHANGED):
        with engine.kept(engine.sql("SELECT * FROM files WHERE change = 'changed'", files=found.files)) as files:
            yield _counted(engine, files)
