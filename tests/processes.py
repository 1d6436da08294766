"""The processes that this test run has started: found by their ancestry, never by name alone."""

import os
import re
from pathlib import Path

PROC = Path("/proc")
WORKER = "lakehouse.engine.local.worker"


def descendants(pid: int) -> list[int]:
    """The processes below one, whatever started them in between."""
    parents = {int(path.name): _parent(path) for path in PROC.iterdir() if path.name.isdigit()}
    found = [pid]
    for ancestor in found:
        found += [child for child, parent in parents.items() if parent == ancestor]
    return found[1:]


def command(pid: int) -> str:
    """The command line of a process; empty for one that has ended."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def local_workers(pid: int) -> list[int]:
    """The worker processes of the local engines that a process has, as far as they live."""
    return [child for child in descendants(pid) if WORKER in command(child)]


def peak(pid: int) -> int:
    """The greatest size of a process so far, in bytes resident in memory."""
    return _resident(pid)["VmHWM"]


class DriverPeak:
    """How far this process has grown since this was made, in bytes resident in memory."""

    def __init__(self) -> None:
        (PROC / str(os.getpid()) / "clear_refs").write_text("5")  # the greatest size so far is forgotten
        self._before = peak(os.getpid())

    def growth(self) -> int:
        """The greatest size since then, less what it was."""
        return peak(os.getpid()) - self._before


def _parent(path: Path) -> int | None:
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def _resident(pid: int) -> dict[str, int]:
    found = re.findall(r"(Vm\w+):\s+(\d+) kB", (PROC / str(pid) / "status").read_text())
    return {name: int(size) << 10 for name, size in found}
