"""The sample that is drawn and compared, and the extremes of each component."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from duckdb import DuckDBPyConnection
from numpy.typing import NDArray

from lakehouse.arrow import as_matrix

MOST = 4000
"""Photographs that are drawn and compared with each other; a lake of no more is drawn whole."""

ENDS_SHOWN = 5
COMPONENTS_SHOWN = 6

# The hash of the path orders photographs at random, and alike each time: the same lake gives the same report. A fourth
# of the sample is shared evenly among the labels, so that a rare one is seen. Both ways hold few rows at a time.
_PATHS = """
    WITH spread AS (SELECT unnest(arg_min(path, md5(path), {each})) AS path FROM gold.projections GROUP BY label),
    scattered AS (SELECT path FROM gold.projections ORDER BY md5(path) LIMIT {most}),
    drawn AS (SELECT path, false AS chance FROM spread UNION ALL SELECT path, true FROM scattered)
    SELECT path FROM drawn GROUP BY path ORDER BY bool_and(chance), md5(path) LIMIT {most}
"""


@dataclass(frozen=True)
class Sample:
    """Photographs that stand for all, in random order.

    Attributes:
        of: the number of photographs that they stand for.
        paths, labels, splits, sha256: of each, as `gold.projections` has them.
        components: float32, shape (n, k).
    """

    of: int
    paths: list[str]
    labels: list[str | None]
    splits: list[str | None]
    sha256: list[str]
    components: NDArray[np.float32]

    def __len__(self) -> int:
        """Photographs that were drawn."""
        return len(self.paths)


@dataclass(frozen=True)
class End:
    """Photographs at one end of a component, the outermost first: (path, label) each."""

    photographs: list[tuple[str, str | None]]


def draw_sample(connection: DuckDBPyConnection, most: int = MOST) -> Sample:
    """At most this many rows of `gold.projections`, in memory that does not grow with the table."""
    of, labels = connection.execute("SELECT count(*), count(DISTINCT label) FROM gold.projections").fetchall()[0]
    each = max(1, most // 4 // max(1, labels))
    drawn = connection.sql(_PATHS.format(each=each, most=most)).to_arrow_table()
    connection.register("drawn", drawn)
    rows: pa.Table = connection.sql(
        "SELECT path, label, split, sha256, components FROM gold.projections SEMI JOIN drawn USING (path) "
        "ORDER BY md5(path)"
    ).to_arrow_table()
    texts = {name: rows.column(name).to_pylist() for name in ("path", "label", "split", "sha256")}
    column = rows.column("components").combine_chunks()
    matrix = as_matrix(column) if len(column) else np.empty((0, 0), np.float32)
    return Sample(of, texts["path"], texts["label"], texts["split"], texts["sha256"], matrix)


def find_ends(connection: DuckDBPyConnection, components: int) -> list[tuple[End, End]]:
    """The photographs at the low and the high end of each of the first components, of all rows, in one pass."""
    shown = range(1, min(components, COMPONENTS_SHOWN) + 1)
    one = "{{'path': path, 'label': label}}, components[{n}], {m}"
    columns = [f"arg_{end}({one.format(n=n, m=ENDS_SHOWN)})" for n in shown for end in ("min", "max")]
    if not columns:
        return []
    (row,) = connection.execute(f"SELECT {', '.join(columns)} FROM gold.projections").fetchall()
    ends = [End([(found["path"], found["label"]) for found in side or []]) for side in row]
    return list(zip(ends[::2], ends[1::2], strict=True))
