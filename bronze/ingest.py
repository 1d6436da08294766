"""Read candidates and judge them: one row each, a photograph or a reason."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from bronze.photograph import Limits, Photograph, Problem, inspect
from bronze.tables import IMAGES, QUARANTINE
from lakehouse.storage import read_file

READING = (
    "path string, label string, split string, format string, width int, height int, length long, "
    "modification_time timestamp, sha256 string, content binary, reason string, detail string"
)
_ARROW = pa.schema(
    [
        ("path", pa.string()),
        ("label", pa.string()),
        ("split", pa.string()),
        ("format", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("length", pa.int64()),
        ("modification_time", pa.timestamp("us", "UTC")),
        ("sha256", pa.string()),
        ("content", pa.binary()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
_BYTES_A_BATCH = 32 << 20


def read_photographs(candidates: DataFrame, limits: Limits, readers: int, count: Callable[[int], None]) -> DataFrame:
    """Read and judge each candidate; `reason` is null for a photograph.

    A task holds at most 32 MiB of content, or one file, at a time, and reads with `readers` threads: against a store
    that answers late, the waiting is what takes the time.

    Args:
        candidates: path, label, split, length, modification_time.
        limits: what is taken.
        readers: files read at once by a task.
        count: told how many were read, as they are read.
    """

    def reading(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with ThreadPoolExecutor(readers) as pool:
            for batch in batches:
                for rows in _bounded(batch.to_pylist(), limits.max_bytes):
                    # Decoded here, one at a time, while the pool reads ahead: pictures take more memory than files.
                    contents = pool.map(lambda row: _read(row, limits), rows)
                    judged = [{**row, **_judge(found, limits)} for row, found in zip(rows, contents, strict=True)]
                    count(len(judged))
                    yield pa.RecordBatch.from_pylist(judged, schema=_ARROW)

    columns = ("path", "label", "split", "length", "modification_time")
    return candidates.select(*columns).mapInArrow(reading, READING)


def photographs(judged: DataFrame, batch: int) -> DataFrame:
    """The rows for `bronze.images` among what `read_photographs` returned."""
    rows = judged.where(F.col("reason").isNull())
    return rows.withColumns({"batch": F.lit(batch).cast("long"), "ingested_at": F.current_timestamp()}).select(
        *IMAGES.schema.names
    )


def quarantined(judged: DataFrame, batch: int) -> DataFrame:
    """The rows for `bronze.quarantine` among what `read_photographs` returned."""
    rows = judged.where(F.col("reason").isNotNull())
    return rows.withColumns({"batch": F.lit(batch).cast("long"), "quarantined_at": F.current_timestamp()}).select(
        *QUARANTINE.schema.names
    )


def _bounded(rows: list[dict[str, Any]], max_bytes: int) -> Iterator[list[dict[str, Any]]]:
    """Cut rows into runs of at most _BYTES_A_BATCH of content (a file over the limit is not read)."""
    run: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        length = row["length"] if row["length"] <= max_bytes else 0
        if run and size + length > _BYTES_A_BATCH:
            yield run
            run, size = [], 0
        run.append(row)
        size += length
    if run:
        yield run


def _read(row: Mapping[str, Any], limits: Limits) -> bytes | Problem:
    if row["length"] > limits.max_bytes:
        return limits.refusal("too_large", f"{row['length']} bytes;")
    try:
        content = read_file(row["path"], limits.max_bytes + 1)
    except OSError as error:
        return Problem("unreadable", f"{type(error).__name__}: {error.strerror}")
    if len(content) > limits.max_bytes:  # it has grown since it was listed
        return limits.refusal("too_large", "It has grown while it was read;")
    return content


def _judge(found: bytes | Problem, limits: Limits) -> dict[str, Any]:
    verdict = found if isinstance(found, Problem) else inspect(found, limits)
    if isinstance(verdict, Problem):
        return {"reason": verdict.reason, "detail": verdict.detail}
    assert isinstance(found, bytes)
    return _photograph(verdict, found)


def _photograph(photograph: Photograph, content: bytes) -> dict[str, Any]:
    return {
        "format": photograph.format,
        "width": photograph.width,
        "height": photograph.height,
        "sha256": hashlib.sha256(content).hexdigest(),
        "content": content,
    }
