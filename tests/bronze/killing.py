"""Readers that a file kills, as one may whose decoder crashes; what is read in a process of its own, as a command.

Run as `python killing.py PHOTOGRAPHS LAKE` it takes photographs into bronze with such a reader.
"""

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

import bronze.job
from bronze.ingest import HeldBack, Photographs
from fruits.settings import load_settings
from lakehouse.engine.port import Batches, Given
from lakehouse.workspace import Workspace

KILLS = "kills.png"
"""The name of the file that kills its reader, as long as it has its content."""
MENDED = b"mended"
"""The content that kills nobody."""


class KilledPhotographs(Photographs):
    """Reads candidates until it comes to the file."""

    def __call__(self, candidates: Given) -> Batches:
        """Read the candidates."""
        return super().__call__(_unless_killed(candidates))


class KilledHeldBack(HeldBack):
    """Reads candidates again until it comes to the file."""

    def __call__(self, candidates: Given) -> Batches:
        """Read the candidates."""
        return super().__call__(_unless_killed(candidates))


def _unless_killed(candidates: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in candidates:
        for row in batch.to_pylist():
            if row["path"].endswith(f"/{KILLS}") and row["length"] != len(MENDED):
                os.kill(os.getpid(), signal.SIGKILL)
        yield batch


def have_readers_killed(patch: Any) -> None:
    """Have the job read with these; `patch` is pytest's monkeypatch, or what undoes nothing."""
    patch.setattr(bronze.job, "Photographs", KilledPhotographs)
    patch.setattr(bronze.job, "HeldBack", KilledHeldBack)


class _ForGood:
    setattr = staticmethod(setattr)


if __name__ == "__main__":
    images, lake = sys.argv[1:]
    # By its name, which other processes find it by.
    from tests.bronze import killing

    killing.have_readers_killed(_ForGood)
    bronze.job.run(Workspace(load_settings(images=images, lake=lake)))
