"""A process' own memory."""

import subprocess
import sys

from lakehouse.memory import peak_memory

MB = 1 << 20


def test_process_is_not_told_to_be_as_large_as_the_one_that_started_it() -> None:
    """As `getrusage` has it on Linux, where a worker would be as large as its driver."""
    grown = bytearray(300 * MB)
    grown[:: 4 << 10] = b"\1" * len(grown[:: 4 << 10])
    code = "from lakehouse.memory import peak_memory; print(peak_memory())"
    started = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert peak_memory() > 300 * MB
    assert 4 * MB < int(started.stdout) < 150 * MB
