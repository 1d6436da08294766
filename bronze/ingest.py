"""Read candidate files and validate them: a photograph's row, or a reason for quarantine."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict

import pyarrow as pa

from bronze.judgement import Limits, Photograph, Problem
from bronze.labels import Corrections, labelled
from bronze.reasons import Reason
from bronze.tables import PHOTOGRAPH, QUARANTINE
from lakehouse.engine.port import Batches, Given
from lakehouse.storage import read_file
from lakehouse.tables.table import Row


class _Candidate(TypedDict):
    path: str
    label: str | None
    split: str | None
    length: int
    modification_time: datetime


CANDIDATE = tuple(_Candidate.__annotations__)
"""The columns of a candidate: all that is known of a file before it is read."""
_BYTES_A_BATCH = 32 << 20
_VANISHED = "vanished"  # no reason for quarantine: there is no such file


@dataclass(frozen=True)
class Reader:
    """Reads and judges candidates.

    It holds at most 32 MiB of content, or one file, at a time, and reads with several threads: against a store that
    answers late, the waiting is what takes the time.

    Attributes:
        limits: what is taken.
        threads: files read at once.
        batch: the number of the ingest.
        now: when it began.
        corrections: what people said certain contents are of.
    """

    limits: Limits
    threads: int
    batch: int
    now: datetime
    corrections: Corrections = field(default_factory=dict)

    def judged(self, candidates: Given) -> Iterator[list[Row]]:
        """Candidates as rows of both bronze tables, some at a time; `reason` is None for a photograph."""
        known = {"batch": self.batch, "first_batch": self.batch, "ingested_at": self.now, "quarantined_at": self.now}
        with ThreadPoolExecutor(self.threads) as pool:
            for batch in candidates:
                for rows in _bounded(batch.to_pylist(), self.limits.max_bytes):
                    # Decoded here, one at a time, while the pool reads ahead: pictures take more memory than files.
                    contents = pool.map(lambda row: _read(row, self.limits), rows)
                    yield [
                        {**row, **known, **_judge(found, self.limits)}
                        for row, found in zip(rows, contents, strict=True)
                    ]


@dataclass(frozen=True)
class Photographs(Reader):
    """From candidates to PHOTOGRAPH, columns of `bronze.images` and `bronze.contents`: those that are photographs."""

    def __call__(self, candidates: Given) -> Batches:
        """Read the candidates, and leave out what is no photograph."""
        for rows in self.judged(candidates):
            photographs = [row | self._labels(row) for row in rows if row["reason"] is None]
            yield pa.RecordBatch.from_pylist(photographs, schema=PHOTOGRAPH)

    def _labels(self, row: Row) -> Row:
        return labelled(row["label"], row["split"], row["sha256"], self.corrections)


@dataclass(frozen=True)
class HeldBack(Reader):
    """From candidates to rows of `bronze.quarantine`: those that are no photographs."""

    def __call__(self, candidates: Given) -> Batches:
        """Read the candidates, and leave out what is a photograph, or not there, by now."""
        for rows in self.judged(candidates):
            held = [row for row in rows if row["reason"] not in (None, _VANISHED)]
            yield pa.RecordBatch.from_pylist(held, schema=QUARANTINE.schema)


def killing(files: pa.Table, batch: int, now: datetime) -> pa.Table:
    """The rows of `bronze.quarantine` for files that have killed each process that read them.

    Args:
        files: with the columns of a candidate.
        batch: the number of the ingest.
        now: when it began.
    """
    detail = "Each process that read it ended: there was not enough memory, or its decoder crashed."
    held = {"reason": Reason.KILLS_THE_READER, "detail": detail, "batch": batch, "quarantined_at": now}
    return pa.Table.from_pylist([{**row, **held} for row in files.to_pylist()], schema=QUARANTINE.schema)


def _bounded(rows: list[_Candidate], max_bytes: int) -> Iterator[list[_Candidate]]:
    """Cut rows into runs of at most _BYTES_A_BATCH of content (a file over the limit is not read)."""
    run: list[_Candidate] = []
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


def _read(row: _Candidate, limits: Limits) -> bytes | Problem | None:
    """The content; None where the file has gone since it was listed."""
    if row["length"] > limits.max_bytes:
        return limits.refusal(Reason.TOO_LARGE, f"{row['length']} bytes;")
    try:
        content = read_file(row["path"], limits.max_bytes + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Problem(Reason.UNREADABLE, f"{type(error).__name__}: {error.strerror}")
    if len(content) > limits.max_bytes:  # it has grown since it was listed
        return limits.refusal(Reason.TOO_LARGE, "It has grown while it was read;")
    return content


def _judge(found: bytes | Problem | None, limits: Limits) -> Row:
    if found is None:
        return {"reason": _VANISHED}
    from bronze.photograph import inspect  # and with it Pillow, for which a run without news has no use

    verdict = found if isinstance(found, Problem) else inspect(found, limits)
    if isinstance(verdict, Problem):
        return {"reason": verdict.reason, "detail": verdict.detail}
    assert isinstance(found, bytes)
    return {"reason": None, **_photograph(verdict, found)}


def _photograph(photograph: Photograph, content: bytes) -> Row:
    return {
        "format": photograph.format,
        "width": photograph.width,
        "height": photograph.height,
        "sha256": hashlib.sha256(content).hexdigest(),
        "content": content,
    }
