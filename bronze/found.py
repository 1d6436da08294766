"""What a run finds: the difference between a listing and the tables, with the number of its rows of each kind."""

from dataclasses import dataclass

from bronze.difference import FileChange
from bronze.survey import ListingFingerprint
from lakehouse.engine.port import Engine, Rows

CANDIDATES = (FileChange.NEW, FileChange.CHANGED)
"""The files that are read."""
_AS_THEY_WERE = (FileChange.UNCHANGED, FileChange.SKIPPED)


@dataclass(frozen=True)
class Found:
    """The files of one run: the difference, and how many rows it has of each kind.

    Of files that are as they were nobody knows which table holds them; the listing alone counts them.
    `relabelled` and `held_relabelled` count rows of images, and of quarantine, that need another label.
    """

    files: Rows
    counts: dict[tuple[FileChange, bool, bool], int]
    bytes: int
    relabelled: int
    held_relabelled: int

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
    leaving = {FileChange.GONE} if removing else set()
    counts = {(FileChange(row["change"]), row["in_images"], row["in_quarantine"]): row["files"] for row in rows}
    counts = {which: count for which, count in counts.items() if which[0] not in _AS_THEY_WERE}
    read = sum(count for (change, _, _), count in counts.items() if change in CANDIDATES)
    counts[FileChange.UNCHANGED, False, False] = seen.files - seen.skipped - read
    counts[FileChange.SKIPPED, False, False] = seen.skipped
    return Found(
        files,
        counts,
        bytes=sum(row["bytes"] for row in rows if row["change"] in CANDIDATES),
        relabelled=sum(row["relabelled"] for row in rows if row["change"] not in leaving),
        held_relabelled=sum(row["held_relabelled"] for row in rows),
    )
