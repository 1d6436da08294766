"""The memory that this process has taken."""

import re
import resource
import sys
from pathlib import Path


def peak_memory() -> int:
    """The greatest size of this process so far, in bytes resident in memory."""
    # Linux counts into `ru_maxrss` what the parent had when it started the process: a worker as large as its driver.
    try:
        own = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except FileNotFoundError:
        own = None
    if own is not None:
        return int(own[1]) << 10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10  # bytes on macOS, KiB elsewhere
