"""One measured run: a whole process from its start to its end, its memory, and what it says about its stages."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.memory import PeakMemory


class RunFailedError(RuntimeError):
    """A program that was to be measured failed, or did something else than what was to be measured."""


@dataclass(frozen=True)
class Run:
    """What one process took.

    Attributes:
        seconds: from its start to its end, by the clock on the wall.
        memory: the peak of its whole process tree in bytes; None where it cannot be sampled.
        stages: seconds by stage as it printed them, and what was outside of all: the interpreter's start, imports.
    """

    seconds: float
    memory: int | None
    stages: Mapping[str, float]


def run_module(module: str, *arguments: object) -> tuple[Run, dict[str, Any]]:
    """Run `python -m module`, which prints a JSON object with `seconds` by stage; returns the object as well.

    Raises:
        RunFailedError: the exit status was not 0.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    # Files, not pipes: nobody has to read along, and nothing waits for a reader.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as log:
        begun = time.perf_counter()
        with subprocess.Popen(command, stdout=out, stderr=log) as process, PeakMemory(process.pid) as memory:
            status = process.wait()
            seconds = time.perf_counter() - begun
        if status != 0:
            log.seek(0)
            tail = log.read().decode(errors="replace")[-2000:]
            raise RunFailedError(f"{' '.join(command[1:])} ended with status {status}:\n{tail}")
        out.seek(0)
        printed = json.loads(out.read())
    stages = {name: float(value) for name, value in printed["seconds"].items()}
    return Run(seconds, memory.peak, {**stages, "outside": round(seconds - stages["total"], 2)}), printed
