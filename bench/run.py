"""A first run and a run without news, as whole processes, against the bare inference loop over the same photographs.

Reads FRUITS_IMAGES (or FRUITS_TEST_IMAGES). The bare loop and the runs take turns, so that a machine whose speed drifts
does not favour either; medians are printed.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.bare import bare_seconds

FIRST_RUN = 3.5  # × the bare loop, at the most
NO_NEWS = 6.0  # seconds beyond Spark's start, at the most


def main(rounds: int = 3) -> int:
    """Measure, print both ratios, and return 1 where one is beyond its bound."""
    folder = os.environ.get("FRUITS_IMAGES") or os.environ.get("FRUITS_TEST_IMAGES")
    if folder is None:
        print("Set FRUITS_IMAGES to a folder of photographs.", file=sys.stderr)
        return 2
    photographs = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    processes = os.cpu_count() or 1
    bare, start, first, quiet = [], [], [], []
    with tempfile.TemporaryDirectory() as work:
        for turn in range(rounds):
            lake = Path(work) / f"lake-{turn}"
            first.append(_run(folder, lake))
            quiet.append(_run(folder, lake))
            start.append(_start_seconds())
            (model,) = (lake / "models").glob("*.tflite")
            bare.append(bare_seconds(photographs, model, processes))
            print(f"round {turn + 1}: bare {bare[-1]:.1f} s, first {first[-1]}, no news {quiet[-1]}", file=sys.stderr)
    ratio = statistics.median(run["process"] for run in first) / statistics.median(bare)
    beyond = statistics.median(run["process"] for run in quiet) - statistics.median(start)
    print(f"{len(photographs):,} photographs, {processes} processes, median of {rounds} rounds")
    print(
        f"bare loop       {statistics.median(bare):6.1f} s, {len(photographs) / statistics.median(bare):.0f} images/s"
    )
    print(f"Spark's start   {statistics.median(start):6.1f} s, a process that does nothing else")
    print(f"first run       {ratio:6.2f} × the bare loop (at most {FIRST_RUN})")
    print(f"run with no news {beyond:5.1f} s beyond Spark's start (at most {NO_NEWS})")
    return 0 if ratio <= FIRST_RUN and beyond <= NO_NEWS else 1


def _start_seconds() -> float:
    code = "from lakehouse import session, settings; session.spark_session(settings.load_settings())"
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begun


def _run(images: str, lake: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "fruits", "run", "--images", images, "--lake", str(lake), "--format", "json"]
    begun = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    seconds: dict[str, Any] = json.loads(done.stdout)["seconds"]
    return {**seconds, "process": round(time.perf_counter() - begun, 2)}


if __name__ == "__main__":
    sys.exit(main())
