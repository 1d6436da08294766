"""A whole process tree, from its start to its end: seconds, memory of driver and workers, bytes read and written.

Linux alone. Bytes are those of `read` and `write` calls (`rchar` and `wchar` of /proc/PID/io), whether or not they come
from the disk or the page cache, so that a second run reads as much as the first. Memory-mapped reads are not in them.
"""

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.memory import PROC, process_tree
from bench.process import RunFailedError

_INTERVAL = 0.05  # seconds between samples


@dataclass(frozen=True)
class Observed:
    """What one process, and all below it, took.

    Attributes:
        seconds: from its start to its end, by the clock on the wall.
        processor: seconds of processor time, of all processes.
        driver: the peak of the process itself, bytes resident in memory.
        worker: the peak of the largest process below it, bytes; 0 where there was none.
        read: bytes that they read.
        written: bytes that they wrote.
    """

    seconds: float
    processor: float
    driver: int
    worker: int
    read: int
    written: int


def observe(module: str, arguments: Sequence[object]) -> tuple[Observed, str]:
    """Run `python -m module`; returns what it took, and what it printed.

    Raises:
        RunFailedError: the exit status was not 0.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as log:
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=log)
        with _Peaks(process.pid) as peaks:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # its counters stay until it is waited for
            seconds = time.perf_counter() - begun
        read, written = _bytes_of(process.pid)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            log.seek(0)
            tail = log.read().decode(errors="replace")[-2000:]
            raise RunFailedError(f"{' '.join(command[1:])} ended with status {process.returncode}:\n{tail}")
        out.seek(0)
        printed = out.read().decode()
    return Observed(seconds, used.ru_utime + used.ru_stime, peaks.driver, peaks.worker, read, written), printed


class _Peaks:
    """Samples the peaks of a process and of those below it while the block runs."""

    def __init__(self, pid: int) -> None:
        self.driver = self.worker = 0
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "_Peaks":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(_INTERVAL):
            driver, *workers = process_tree(self._pid)
            self.driver = max(self.driver, _peak_of(driver))
            self.worker = max([self.worker, *map(_peak_of, workers)])


def _peak_of(pid: int) -> int:
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", (PROC / str(pid) / "status").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(found[1]) << 10 if found else 0  # a process that has ended has no memory


def _bytes_of(pid: int) -> tuple[int, int]:
    """Bytes read and written by a process that has ended, and by those below it that it has waited for."""
    lines = (PROC / str(pid) / "io").read_text().splitlines()
    counts = {name: int(value) for name, _, value in (line.partition(": ") for line in lines)}
    return counts["rchar"], counts["wchar"]
