"""How long exact search takes: projections of 1,000,000 photographs that do not exist, 81 components each.

Prints, for several sizes, the time to open and to ask (the inference left out), and the greatest memory.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from fruits.identify.identifier import read_projected
from gold.nearest import Labelled, chords, directions
from gold.tables import PROJECTIONS
from lakehouse.arrow import as_column
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake

SIZES = (4_000, 100_000, 250_000, 500_000, 1_000_000)
COMPONENTS, LABELS, ASKED, BATCH = 81, 131, 20, 50_000


def main() -> int:
    """Measure each size in turn; memory is the process's greatest until then."""
    print("photographs      open s   a question ms   memory GB")
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            lake = Lake(str(Path(folder) / "lake"))
            write_projections(lake, size)
            begun = time.perf_counter()
            found = read_projected(lake, COMPONENTS)
            known = Labelled.of(found.rows, [label or "" for label in found.labels])
            opened = time.perf_counter() - begun
            asked = directions(np.random.default_rng(1).standard_normal((ASKED, COMPONENTS), dtype=np.float32))
            begun = time.perf_counter()
            for one in asked:
                cosines = one[np.newaxis] @ found.rows.T
                known.nearest(cosines)
                chords(cosines[0][np.argpartition(-cosines[0], 7)[:8]])
            took = (time.perf_counter() - begun) / ASKED
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{size:11,}{opened:12.2f}{1000 * took:16.1f}{memory:12.2f}", flush=True)
    return 0


def write_projections(lake: Lake, size: int) -> None:
    """Projections of photographs that do not exist, of LABELS labels, in pieces."""
    rng = np.random.default_rng(0)
    delta.create(lake, (PROJECTIONS,))
    for first in range(0, size, BATCH):
        count = min(BATCH, size - first)
        rows = rng.standard_normal((count, COMPONENTS), dtype=np.float32)
        labels = rng.integers(0, LABELS, count)
        table = pa.table(
            {
                "path": [f"file:///photographs/{first + n}.jpg" for n in range(count)],
                "label": [f"label {label}" for label in labels],
                "split": ["Training"] * count,
                "sha256": [f"{first + n:064x}" for n in range(count)],
                **{f"pc{n + 1}": rows[:, n] for n in range(3)},
                "components": as_column(rows),
                "scaler_version": np.ones(count, np.int64),
                "pca_version": np.ones(count, np.int64),
            }
        )
        delta.write_small(table.cast(PROJECTIONS.schema), lake, PROJECTIONS, mode="append")


if __name__ == "__main__":
    sys.exit(main())
