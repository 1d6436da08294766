"""What a run finds: the difference between a listing and the tables, with the number of its rows of each kind."""

from dataclasses import dataclass

from bronze.difference import FileChange
from lakehouse.engine.port import Engine, Rows

CANDIDATES = (FileChange.NEW, FileChange.CHANGED)
"""The files that are read."""


@dataclass(frozen=True)
class Found:
    """The files of one run: the difference, and how many rows it has of each kind.

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


def count_found(engine: Engine, files: Rows, *, removing: bool) -> Found:
    """Count the rows of a difference.

    Args:
        engine: whose rows they are.
        files: as `difference_of_files` returns them, kept.
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
    return Found(
        files,
        {(FileChange(row["change"]), row["in_images"], row["in_quarantine"]): row["files"] for row in rows},
        bytes=sum(row["bytes"] for row in rows if row["change"] in CANDIDATES),
        relabelled=sum(row["relabelled"] for row in rows if row["change"] not in leaving),
        held_relabelled=sum(row["held_relabelled"] for row in rows),
    )
