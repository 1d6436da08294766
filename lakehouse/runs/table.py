"""The table of runs, and how a run ends."""

from enum import StrEnum

import pyarrow as pa

from lakehouse.tables.table import INSTANT, Table, column


class Status(StrEnum):
    """How a run ended; the last two are of runs that have no row yet.

    A run is `killed` if it ended without writing so: it was killed, the machine stopped, or it lost its lease.
    """

    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    KILLED = "killed"
    RUNNING = "running"
    DIED = "died"


COUNTS = {
    "discovered": "Files found in the images' folder.",
    "ingested": "Photographs that were read and appended.",
    "replaced": "Those of `ingested` whose path was there with other content.",
    "relabelled": "Photographs that got another label or split.",
    "quarantined": "Files that could not be read as photographs.",
    "removed": "Photographs that went from the lake.",
    "featurized": "Photographs whose features were computed.",
    "scaled": "Rows that were scaled.",
    "projected": "Rows that were projected.",
}
"""Columns with what a run did, in photographs; null where it did not come to that."""

SECONDS = {
    "start": "Seconds until the engine had started.",
    "bronze": "Seconds in bronze.",
    "silver": "Seconds in silver.",
    "gold": "Seconds in gold.",
}
"""Columns `<name>_seconds`; null where a run did not come to that."""

RUNS = Table(
    name="runs",
    description="One row a run of a command that writes, appended when it ends; of one that was killed, by the next "
    "run. The last three columns are JSON objects. `fruits history` shows it.",
    schema=pa.schema(
        [
            column("id", pa.string(), "ID of the lease under which it ran; it makes the row one."),
            column("command", pa.string(), "As it is typed, without its arguments: `run`, `rollback --unpin`."),
            column("status", pa.string(), "`done`, `failed`, `interrupted` or `killed`."),
            column("engine", pa.string(), "`local` or `spark`."),
            column("user", pa.string(), "Name of the user who ran it."),
            column("machine", pa.string(), "Name of the machine."),
            column("process", pa.int64(), "Number of the process on that machine."),
            column("started_at", INSTANT, "When it held the lease."),
            column("ended_at", INSTANT, "When it ended; null of one that was killed."),
            column("seconds", pa.float64(), "Seconds that it took in all."),
            *(column(f"{name}_seconds", pa.float64(), what) for name, what in SECONDS.items()),
            column("photographs", pa.int64(), "Rows of bronze.images at its end."),
            *(column(name, pa.int64(), what) for name, what in COUNTS.items()),
            column("driver_peak_bytes", pa.int64(), "Most memory that the process itself held, in bytes."),
            column("worker_peak_bytes", pa.int64(), "Most memory that one of its workers held, in bytes."),
            column("error_class", pa.string(), "Class of the error that ended it."),
            column("error", pa.string(), "The sentence that the user saw."),
            column("versions_before", pa.string(), "Version of each table by its name, when it began."),
            column("versions_after", pa.string(), "Version of each table by its name, when it ended."),
            column("summary", pa.string(), "What each layer said of its work."),
        ]
    ),
    key=("id",),
    statistics=("id",),
)
