"""Take photographs' names out of the history of runs."""

from collections.abc import Collection

import pyarrow as pa

from lakehouse.runs.table import RUNS
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.erase import erase_history

ERASED = "The message named a photograph that has been forgotten."


def erase_names(lake: Lake, names: Collection[str]) -> int:
    """Replace the messages that hold one of these names; returns how many.

    The table's older files go too, for they hold the messages.
    """
    if delta.open_table(lake, RUNS) is None:
        return 0
    rows = [row for part in delta.read_columns(lake, RUNS, RUNS.schema.names) for row in part.to_pylist()]
    naming = [row for row in rows if row["error"] and any(name in row["error"] for name in names)]
    if naming:
        for row in naming:
            row["error"] = ERASED
        batch = pa.RecordBatch.from_pylist(rows, RUNS.schema)
        delta.write_small(pa.Table.from_batches([batch]), lake, RUNS, mode="overwrite")
    erase_history(lake, RUNS)
    return len(naming)
