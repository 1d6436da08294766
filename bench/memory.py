"""The memory that a process and everything below it take, sampled while they run (Linux alone)."""

import os
import threading
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

PROC = Path("/proc")
INTERVAL = 0.05  # seconds between samples
_ROUNDS = 4  # samples between two looks for new processes
_STEP = 1.02  # growth of RSS after which PSS is read again
_PAGE = os.sysconf("SC_PAGE_SIZE")


class PeakMemory:
    """Samples a process tree from a thread of its own, from entering the context to leaving it.

    Memory is the sum of PSS, where pages that processes share are counted once. The kernel walks all pages to add PSS
    up (40 ms for a Java machine of 1.4 GB), and would slow down what is measured; RSS costs nothing. So RSS is read at
    every sample, and PSS only when the sum of RSS is 2 % above that of the last reading: few readings, and a peak that
    is right to about 2 %.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak, self._highest = 0, 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    @property
    def peak(self) -> int | None:
        """The most that was seen, in bytes; None where there is no /proc."""
        return self._peak or None

    def __enter__(self) -> "PeakMemory":
        if PROC.is_dir():
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _sample(self) -> None:
        pids: list[int] = []
        turn = 0
        while True:
            if turn % _ROUNDS == 0:
                pids = process_tree(self._pid)
            turn += 1
            resident = resident_bytes(pids)
            if resident > self._highest * _STEP:
                self._highest = resident
                self._peak = max(self._peak, proportional_bytes(pids))
            if self._ended.wait(INTERVAL):
                return


def process_tree(pid: int) -> list[int]:
    """A process and all below it; a process whose parent has ended is not found."""
    children = defaultdict(list)
    for name in os.listdir(PROC):
        if name.isdigit() and (stat := _read(int(name), "stat")):
            children[int(stat.rpartition(b")")[2].split()[1])].append(int(name))
    found = [pid]
    for parent in found:
        found += children[parent]
    return found


def resident_bytes(pids: Iterable[int]) -> int:
    """The sum of RSS, bytes: shared pages count once for each process; microseconds a process."""
    return sum(int(statm.split()[1]) for pid in pids if (statm := _read(pid, "statm"))) * _PAGE


def proportional_bytes(pids: Iterable[int]) -> int:
    """The sum of PSS, bytes: a page that n processes share counts 1/n for each; a millisecond for 40 MB."""
    return sum(_pss(text) for pid in pids if (text := _read(pid, "smaps_rollup")))


def _pss(smaps: bytes) -> int:
    line = next(line for line in smaps.splitlines() if line.startswith(b"Pss:"))
    return int(line.split()[1]) << 10


def _read(pid: int, name: str) -> bytes:
    """A file of a process; empty for a process that has ended."""
    try:
        return (PROC / str(pid) / name).read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""
