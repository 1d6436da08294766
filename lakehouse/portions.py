"""Cut long work into portions by the order of paths: each is committed by itself, so that a death costs one of them."""

from collections.abc import Iterator
from dataclasses import dataclass

from lakehouse.engine.port import Engine, Rows


@dataclass(frozen=True)
class Portion:
    """The rows from one path to another, both included.

    Attributes:
        first: the least path.
        last: the greatest path.
        rows: how many there are.
        before: how many rows the portions before it have.
        total: how many rows all portions have.
    """

    first: str
    last: str
    rows: int
    before: int
    total: int


def portions_of(engine: Engine, rows: Rows, most_rows: int, most_bytes: int) -> Iterator[Portion]:
    """Cut rows into portions, in the order of their paths, which is that of the paths' UTF-8 bytes.

    A portion ends at each multiple of `most_rows`, and with the row that reaches a multiple of `most_bytes`: so it has
    at most so many rows, and at most so many bytes but for its last row's.

    Args:
        engine: whose rows they are.
        rows: path, each once, and length: the bytes that a row stands for.
        most_rows: the most rows of a portion.
        most_bytes: the most bytes of a portion.
    """
    cut = engine.sql(
        """
        WITH placed AS (
            SELECT path, row_number() OVER (ORDER BY path) - 1 AS place,
                   sum(length) OVER (ORDER BY path ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) - length AS size
            FROM rows_to_cut
        )
        SELECT min(path) AS first, max(path) AS last, count(*) AS n
        FROM placed GROUP BY floor(place / :most_rows) + floor(size / :most_bytes)
        """,
        {"most_rows": most_rows, "most_bytes": most_bytes},
        rows_to_cut=rows,
    )
    found = sorted(engine.arrow(cut).to_pylist(), key=lambda row: str(row["first"]))
    before, total = 0, sum(row["n"] for row in found)
    for row in found:
        yield Portion(row["first"], row["last"], row["n"], before, total)
        before += row["n"]


def within(engine: Engine, rows: Rows, portion: Portion, condition: str) -> Rows:
    """The rows of a portion that fulfil a condition in SQL, in the order of their paths where the engine has one."""
    chosen = f"SELECT * FROM rows_cut WHERE path BETWEEN :first AND :last AND {condition} ORDER BY path"
    return engine.sql(chosen, {"first": portion.first, "last": portion.last}, rows_cut=rows)
