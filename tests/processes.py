"""The processes that a Spark session of this test run has started: found by their ancestry, never by name alone."""

import re
from pathlib import Path

from pyspark.sql import SparkSession

PROC = Path("/proc")


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


def java(spark: SparkSession) -> int:
    """The Java process of this session."""
    return int(spark.sparkContext._gateway.proc.pid)


def python_workers(spark: SparkSession) -> list[int]:
    """The Python workers of this session, as far as they live: idle ones live for a minute."""
    daemons = [pid for pid in descendants(java(spark)) if "lakehouse.daemon" in command(pid)]
    return [pid for pid in daemons if _parent(PROC / str(pid)) in daemons]


class Peaks:
    """How far the Python workers of a session have grown since this was made, in bytes resident in memory."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        self._before = {}
        for pid in python_workers(spark):
            (PROC / str(pid) / "clear_refs").write_text("5")  # the greatest size so far is forgotten
            self._before[pid] = _resident(pid)["VmHWM"]

    def growth(self) -> int:
        """The greatest growth of a worker, from what it had; that of one that is new, from what the smallest had."""
        smallest = min(self._before.values())
        grown = [_resident(pid)["VmHWM"] - self._before.get(pid, smallest) for pid in python_workers(self._spark)]
        return max(grown)


def _parent(path: Path) -> int | None:
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def _resident(pid: int) -> dict[str, int]:
    found = re.findall(r"(Vm\w+):\s+(\d+) kB", (PROC / str(pid) / "status").read_text())
    return {name: int(size) << 10 for name, size in found}
