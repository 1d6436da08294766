"""The least that must be done: a process a core decodes, resizes and runs LiteRT over the files, and keeps nothing.

Usage: python -m bench.bare IMAGES MODEL
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from silver.encoders.mobilenet.inference import load_predict


def main(images: str, model: str) -> int:
    """Print how many photographs there are and the seconds that they take, as JSON."""
    photographs = sorted(path for path in Path(images).rglob("*") if path.is_file())
    seconds = bare_seconds(photographs, Path(model), os.cpu_count() or 1)
    print(json.dumps({"photographs": len(photographs), "seconds": {"total": round(seconds, 2)}}))
    return 0


def bare_seconds(photographs: Sequence[Path], model: Path, processes: int) -> float:
    """The seconds that so many plain processes take for the photographs, from their start to their end."""
    begun = time.perf_counter()
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        shares = [photographs[first::processes] for first in range(processes)]
        done = sum(pool.map(_featurize, shares, [model] * processes))
    if done != len(photographs):
        raise RuntimeError(f"{done} of {len(photographs)} photographs were featurized.")
    return time.perf_counter() - begun


def _featurize(photographs: Sequence[Path], model: Path) -> int:
    predict = load_predict(model.read_bytes())
    for path in photographs:
        predict([memoryview(path.read_bytes())])
    return len(photographs)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
