"""What this process may have of addresses and threads, where libraries wait without end for what they do not get."""

import os
import sys
from pathlib import Path

from lakehouse.errors import LakehouseError

_ADDRESS_SPACE = 3_500_000_000
"""Bytes of addresses that a command may come to reserve: at most 3.4 GB were measured for a run, 2.9 GB for a query."""
_THREADS, _THREADS_PER_PROCESSOR = 48, 8
"""Threads that a run may come to start: with two processors it ended with 60 and never did with 40."""
_MANY = 4096
"""A limit of processes from which on nobody counts how many there are."""
_CGROUPS = Path("/sys/fs/cgroup")


def need_address_space() -> None:
    """End where less may be reserved than we come to need: OpenBLAS, as it is loaded, asks for it again without end.

    Raises:
        SystemExit: it is so, and this process may not raise the limit.
    """
    try:
        from resource import RLIM_INFINITY, RLIMIT_AS, getrlimit, setrlimit
    except ImportError:  # a system without such limits
        return
    soft, hard = getrlimit(RLIMIT_AS)
    if soft == RLIM_INFINITY or soft >= _ADDRESS_SPACE:
        return
    if hard == RLIM_INFINITY or hard >= _ADDRESS_SPACE:  # a default, which a process may raise for itself
        setrlimit(RLIMIT_AS, (hard, hard))
        return
    sys.exit(
        f"Error: This process may have {hard / 1e9:.1f} GB of addresses, and needs {_ADDRESS_SPACE / 1e9:.1f} GB, most "
        "of which it never fills. Raise the limit (`ulimit -v`); to limit memory, limit what is used (a container, "
        "`systemd-run -p MemoryMax=…`)."
    )


def need_threads() -> None:
    """Refuse to open a lake with fewer threads than that takes: delta-rs waits without end for one that cannot start.

    Raises:
        LakehouseError: the limit is of the user's processes or of the container, and leaves too few.
    """
    needed = _THREADS + _THREADS_PER_PROCESSOR * len(os.sched_getaffinity(0)) if sys.platform == "linux" else 0
    for left, limit in (_left_to_the_user(), "`ulimit -u`"), (left_in_cgroups(), "a container's `--pids-limit`"):
        if left is not None and left < needed:
            raise LakehouseError(
                f"At most {max(left, 0)} more threads can be started here, and {needed} may be needed. Raise the "
                f"limit of processes ({limit}), or end other processes."
            )


def _left_to_the_user() -> int | None:
    """How many threads the user may still start; None where that is not limited, or by a number that is large."""
    try:
        from resource import RLIM_INFINITY, RLIMIT_NPROC, getrlimit, setrlimit
    except ImportError:
        return None
    soft, hard = getrlimit(RLIMIT_NPROC)
    if hard == RLIM_INFINITY or hard >= _MANY:
        if soft != RLIM_INFINITY and soft < _MANY:
            setrlimit(RLIMIT_NPROC, (hard, hard))
        return None
    return None if os.geteuid() == 0 else soft - _threads_of(os.getuid())


def _threads_of(user: int) -> int:
    """How many threads a user has."""
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid == user:
                count += len(os.listdir(process / "task"))
        except OSError:  # it has ended, or is hidden
            continue
    return count


def left_in_cgroups(membership: Path = Path("/proc/self/cgroup"), mounted: Path = _CGROUPS) -> int | None:
    """How many threads the control groups of this process allow to start; None where none limits them.

    Each line of `membership` is `number:controllers:path` (see cgroups(7)): the second version has no controllers.
    """
    try:
        lines = [line.split(":", 2) for line in membership.read_text().splitlines()]
    except OSError:
        return None
    left = None
    for _, controllers, path in (line for line in lines if len(line) == 3):
        if controllers not in ("", "pids"):
            continue
        root = mounted / controllers
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            allowed = _number(folder / "pids.max")
            if allowed is not None:
                here = allowed - (_number(folder / "pids.current") or 0)
                left = here if left is None else min(left, here)
            if folder == root:
                break
    return left


def _number(file: Path) -> int | None:
    """The number in a file; None for one that is not there, or says `max`."""
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
