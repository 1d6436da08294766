"""The runs that the history of the lake holds."""

from dataclasses import dataclass
from datetime import datetime

from duckdb import DuckDBPyConnection

DRAWN = 200
"""The newest runs that are drawn."""

_QUERY = f"""
    SELECT count(*) OVER () - row_number() OVER newest + 1, started_at, command, status, seconds,
           [bronze_seconds, silver_seconds, gold_seconds], ingested, photographs, error
    FROM runs WINDOW newest AS (ORDER BY started_at DESC, id) ORDER BY started_at DESC, id LIMIT {DRAWN}
"""


@dataclass(frozen=True)
class Ran:
    """A run.

    Attributes:
        number: 1 for the first that the history holds.
        started_at: UTC, without a zone.
        command: as it was typed, without its arguments.
        status: how it ended.
        seconds: how long it took; None for one that was killed.
        layers: the seconds in bronze, silver and gold; None in a layer that it did not come to.
        ingested: photographs that it took up; None where it did not come to that.
        photographs: those in the lake when it had ended; None where that is not known.
        error: what the user was told, of a run that failed.
    """

    number: int
    started_at: datetime
    command: str
    status: str
    seconds: float | None
    layers: list[float | None]
    ingested: int | None
    photographs: int | None
    error: str | None


def read_runs(connection: DuckDBPyConnection) -> list[Ran]:
    """The newest runs, the oldest of them first."""
    return [Ran(*row) for row in reversed(connection.execute(_QUERY).fetchall())]
