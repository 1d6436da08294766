"""Counts over all rows: by label and split, by batch, and duplicate contents."""

from dataclasses import dataclass
from datetime import datetime

from duckdb import DuckDBPyConnection

COPIES_SHOWN = 10

_COUNTS = "SELECT label, split, count(*) FROM bronze.images GROUP BY ALL ORDER BY ALL NULLS LAST"
_BATCHES = "SELECT batch, max(ingested_at), count(*) FROM bronze.images GROUP BY batch ORDER BY batch"
_COPIES = """
    SELECT count(*) AS copies, array_agg(path ORDER BY path)[:2], count(DISTINCT label) > 1 OR
           count(DISTINCT split) > 1 AS apart
    FROM bronze.images GROUP BY sha256 HAVING count(*) > 1 ORDER BY apart DESC, copies DESC, min(path)
"""


@dataclass(frozen=True)
class Copies:
    """The same bytes under several paths: how many, two of the paths, and whether label or split differ."""

    count: int
    paths: list[str]
    apart: bool


@dataclass(frozen=True)
class Holdings:
    """The photographs in `bronze.images`.

    Attributes:
        counts: photographs by (label, split); None where the folders say none.
        batches: number, time and photographs of each batch that photographs are of now.
        surplus: photographs whose bytes are held under another path too, but for one of each.
        copies: some of those, the gravest first.
    """

    counts: dict[tuple[str | None, str | None], int]
    batches: list[tuple[int, datetime, int]]
    surplus: int
    copies: list[Copies]

    @property
    def images(self) -> int:
        """Photographs in all."""
        return sum(self.counts.values())

    @property
    def labels(self) -> list[str | None]:
        """The labels, by name; None last."""
        return list(dict.fromkeys(label for label, _ in self.counts))

    @property
    def splits(self) -> list[str | None]:
        """The splits, by name; None last."""
        return sorted({split for _, split in self.counts}, key=lambda split: (split is None, split or ""))

    def of_label(self, label: str | None) -> int:
        """Photographs of a label."""
        return sum(count for (one, _), count in self.counts.items() if one == label)


def read_holdings(connection: DuckDBPyConnection) -> Holdings:
    """Ask `bronze.images`, of which the column `content` is not read."""
    counts = {(label, split): count for label, split, count in connection.execute(_COUNTS).fetchall()}
    batches = connection.execute(_BATCHES).fetchall()
    surplus = connection.execute("SELECT count(*) - count(DISTINCT sha256) FROM bronze.images").fetchall()[0][0]
    copies = connection.execute(f"{_COPIES} LIMIT {COPIES_SHOWN}").fetchall() if surplus else []
    return Holdings(counts, batches, surplus, [Copies(*row) for row in copies])
