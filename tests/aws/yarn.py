"""YARN's rule for memory, for executors of Spark's own cluster on one machine, which has none."""

import os
import signal
from contextlib import suppress
from pathlib import Path

_BACKEND = b"CoarseGrainedExecutorBackend"
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Yarn:
    """Kills executors whose processes hold more memory than they were given.

    Attributes:
        killed: how many it killed.
        most: the most bytes that one of them held, with its Python workers.
        most_of_children: the most that the Python workers of one of them held.
    """

    def __init__(self, process: int, limit: int) -> None:
        """Watch the executors that descend from a process; the limit is in bytes."""
        self._process, self._limit = process, limit
        self.killed, self.most, self.most_of_children = 0, 0, 0

    def look(self) -> None:
        """Look at each executor once."""
        children = _children()
        for one in _below(self._process, children):
            if _BACKEND in _read(one, "cmdline"):
                self._judge(one, children)

    def _judge(self, executor: int, children: dict[int, list[int]]) -> None:
        of_children = sum(_held(one) for one in _below(executor, children))
        held = _held(executor) + of_children
        self.most, self.most_of_children = max(self.most, held), max(self.most_of_children, of_children)
        if held > self._limit:
            self.killed += 1
            with suppress(ProcessLookupError):
                os.kill(executor, signal.SIGKILL)


def _children() -> dict[int, list[int]]:
    """All processes, by the process ID of their parent."""
    found: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _read(int(entry.name), "stat")):
            found.setdefault(int(stat.rpartition(b")")[2].split()[1]), []).append(int(entry.name))
    return found


def _below(process: int, children: dict[int, list[int]]) -> list[int]:
    """All descendants of a process."""
    found = [*children.get(process, ())]
    for one in found:
        found += children.get(one, ())
    return found


def _held(process: int) -> int:
    """Bytes of a process that lie in memory; 0 where it has ended."""
    pages = _read(process, "statm").split()
    return int(pages[1]) * _PAGE if pages else 0


def _read(process: int, name: str) -> bytes:
    """A file that the kernel has of a process; empty where it has ended."""
    try:
        return Path(f"/proc/{process}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
