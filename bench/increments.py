"""Many increments of a few photographs on one lake: what the last costs beside the tenth, with readers all the while.

Reads FRUITS_IMAGES (or FRUITS_TEST_IMAGES). Each increment is `fruits run` in a process of its own; meanwhile another
process opens the lake again and again, as `fruits sql` and `fruits identify` do, and counts what fails. Files and bytes
are told along the way, and at the end `--as-of` and `fruits forget` are tried. With `--history-minutes` time passes
faster: a lake that keeps 30 days of history removes nothing in the hours that this takes.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from deltalake.exceptions import DeltaError

from bench.folders import add_photographs, link_folder, list_photographs
from bench.process import RunFailedError, run_module
from bronze.tables import IMAGES
from fruits.catalog import OF_PHOTOGRAPHS
from fruits.console import format_bytes
from fruits.operations.upkeep import examine_upkeep
from fruits.settings import load_settings
from lakehouse.errors import LakehouseError
from lakehouse.storage.uri import absolute_uri
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.erase import contents_held
from silver.tables import MOMENTS

BUDGET = 1.3
"""× the tenth increment, that the last may cost."""
WINDOW = 10
"""Increments whose median a point of the curve has; twice as many stand for the tenth, and for the last, those left out
that fitted a model anew: a lake that is young does so often, and it takes longer than the rest."""
EACH = 25
"""Increments from one point of the curve to the next."""

READER = """
import json, sys, time
from fruits.identify.identifier import Identifier
from fruits.query.sql import answer
from fruits.settings import load_settings
from lakehouse.tables.delta import Lake

settings = load_settings(lake=sys.argv[1])
reads, failures = 0, []
while True:
    for name, read in (
        ("sql", lambda: answer(Lake(settings.lake), "SELECT label, count(*), avg(components[1]) FROM gold.projections "
                               "JOIN silver.features USING (path, label) GROUP BY label")),
        ("identify", lambda: Identifier.open(settings)),
    ):
        try:
            read()
        except Exception as error:
            failures.append(f"{name}: {type(error).__name__}: {error}")
        reads += 1
    print(json.dumps({"reads": reads, "failures": failures}), flush=True)
    time.sleep(float(sys.argv[2]))
"""


@dataclass(frozen=True)
class Point:
    """The lake after some increments.

    Attributes:
        increment: how many there were.
        seconds: median of the WINDOW increments up to it.
        files: data files of the newest versions.
        live: their bytes.
        dead: bytes of data files of older versions.
        moments: of these, the bytes of `silver.moments`.
        entries: files in the tables' logs.
    """

    increment: int
    seconds: float
    files: int
    live: int
    dead: int
    moments: int
    entries: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns 1 where the budget, a read, history or erasure does not hold."""
    options = _options(arguments)
    source = os.environ.get("FRUITS_IMAGES") or os.environ.get("FRUITS_TEST_IMAGES")
    if source is None:
        print("Set FRUITS_IMAGES to a folder of photographs.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        found = _measure(Path(source), Path(work), options)
    print(json.dumps(found, indent=2) if options.json else _format(found))
    return 0 if found["good"] else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--increments", type=int, default=1000)
    parser.add_argument("--photographs", type=int, default=5, help="of each increment")
    parser.add_argument("--first", type=int, default=200, help="photographs of the first run")
    parser.add_argument("--minutes", type=float, default=None, help="begin no increment after so long")
    parser.add_argument("--history-minutes", type=float, default=None, help="keep so much history instead of 30 days")
    parser.add_argument("--pause", type=float, default=2.0, help="seconds between two reads of the reader")
    parser.add_argument("--never", action="store_true", help="without upkeep, to compare with")
    parser.add_argument("--work", default=None, help="folder to work in")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def _measure(source: Path, work: Path, options: argparse.Namespace) -> dict[str, Any]:
    photographs, folder, lake = list_photographs(source), work / "photographs", work / "lake"
    link_folder(_few(source, work / "first", photographs, options.first), folder)
    given = _given(options)
    config = work / "settings.yaml"
    config.write_text("".join(f"{name}: {value}\n" for name, value in given.items()))
    run = ("run", "--images", folder, "--lake", lake, "--config", config, "--format", "json")
    run_module("fruits", *run)
    begun, seconds, plain, curve = time.monotonic(), list[float](), list[float](), list[Point]()
    with Reader(lake, options.pause) as reader:
        for number in range(options.increments):
            if options.minutes is not None and time.monotonic() - begun > 60 * options.minutes:
                break
            add_photographs(folder, photographs, source, options.photographs, number * options.photographs)
            took, said = run_module("fruits", *run)
            if said["bronze"]["ingested"] != options.photographs:
                raise RunFailedError(f"Increment {number + 1} ingested {said['bronze']['ingested']} photographs.")
            seconds.append(took.seconds)
            if not said["silver"]["refit"] and not said["gold"]["refit"]:
                plain.append(took.seconds)
            if number + 1 in (WINDOW, options.increments) or (number + 1) % EACH == 0:
                curve.append(_point(lake, given, seconds))
                print(json.dumps(asdict(curve[-1])), file=sys.stderr, flush=True)
        reads, failures = reader.told()
    early, late = _ends(plain)
    nothing, _ = run_module("fruits", *run)
    history, erased = (
        _history(lake, _kept(options)),
        _erasure_holds(lake, config, sorted(folder.rglob("added-0.jpg"))[0]),
    )
    return {
        "good": late <= BUDGET * early and not failures and not history["failures"] and erased,  # never of NaN
        "increments": len(seconds),
        "refits": len(seconds) - len(plain),
        "tenth": _rounded(early),
        "last": _rounded(late),
        "ratio": _rounded(late / early),
        "nothing_new": round(nothing.seconds, 2),
        "reads": reads,
        "failures": failures,
        "history": history,
        "erasure": erased,
        "curve": [asdict(point) for point in curve],
    }


def _ends(plain: Sequence[float]) -> tuple[float, float]:
    """The median seconds of the first increments that fitted nothing, and of the last; NaN where all fitted."""
    if not plain:
        return math.nan, math.nan
    return statistics.median(plain[: 2 * WINDOW]), statistics.median(plain[-2 * WINDOW :])


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 2)


def _few(source: Path, target: Path, photographs: Sequence[Path], count: int) -> Path:
    """A folder with some of the photographs, of all labels."""
    for path in photographs[:: max(1, len(photographs) // count)][:count]:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return target


def _given(options: argparse.Namespace) -> dict[str, object]:
    given: dict[str, object] = {"upkeep": "never" if options.never else "auto"}
    if options.history_minutes is not None:
        given |= {"history_days": options.history_minutes / 1440, "reader_hours": options.history_minutes / 60}
    return given


def _kept(options: argparse.Namespace) -> timedelta:
    """Half a minute less than what is kept: the check itself takes a moment."""
    if options.history_minutes is None:
        return timedelta(days=30)
    return timedelta(minutes=options.history_minutes, seconds=-30)


class Reader:
    """A process that opens a lake again and again while the block runs."""

    def __init__(self, lake: Path, pause: float) -> None:
        self._command = [sys.executable, "-c", READER, str(lake), str(pause)]

    def __enter__(self) -> "Reader":
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()

    def _follow(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines[:] = [line]

    def told(self) -> tuple[int, list[str]]:
        """How many reads there were so far, and what those that failed said."""
        if self._process.poll() is not None or not self._lines:
            raise RunFailedError(f"The reader ended with status {self._process.poll()}, or has read nothing.")
        said = json.loads(self._lines[-1])
        return said["reads"], said["failures"]


def _point(lake: Path, given: Mapping[str, object], seconds: Sequence[float]) -> Point:
    states = examine_upkeep(load_settings(lake=str(lake), **given))
    return Point(
        increment=len(seconds),
        seconds=round(statistics.median(seconds[-WINDOW:]), 2),
        files=sum(one.files for one in states),
        live=sum(one.bytes for one in states),
        dead=sum(one.dead_bytes for one in states),
        moments=sum(one.dead_bytes for one in states if one.table == MOMENTS.name),
        entries=sum(1 for _ in lake.glob("*/*/_delta_log/*.json")),
    )


def _history(lake: Path, kept: timedelta) -> dict[str, Any]:
    """Whether `bronze.images` is read as it was at versions that history is kept of; by version what failed."""
    opened = Lake(load_settings(lake=str(lake)).lake)
    since = (datetime.now(UTC) - kept).timestamp() * 1000
    commits = delta.existing(opened, IMAGES).history()
    versions = sorted(int(one["version"]) for one in commits if one["timestamp"] >= since)
    rows, failures = dict[int, int](), dict[int, str]()
    for version in versions[:: max(1, len(versions) // 8)]:
        try:
            rows[version] = delta.dataset(opened, IMAGES, version).count_rows()
        except (LakehouseError, DeltaError, OSError) as error:
            failures[version] = str(error).splitlines()[0]
    if [*rows.values()] != sorted(rows.values()):
        failures[versions[-1]] = "a later version has fewer rows than one before it"
    return {"versions": len(commits), "kept": len(versions), "rows": rows, "failures": failures}


def _erasure_holds(lake: Path, config: Path, photograph: Path) -> bool:
    """Whether no data file names a photograph after `fruits forget`."""
    subprocess.run(
        [sys.executable, "-m", "fruits", "forget", str(photograph), "--lake", str(lake), "--config", str(config)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    opened = Lake(load_settings(lake=str(lake)).lake)
    name = absolute_uri(str(photograph))
    tables = [table for table in OF_PHOTOGRAPHS if delta.open_table(opened, table) is not None]
    return not any(contents_held(opened, table, [name]) for table in tables)


def _format(found: Mapping[str, Any]) -> str:
    lines = [f"{'increment':>10}{'seconds':>9}{'files':>7}{'live':>10}{'dead':>10}{'moments':>10}{'entries':>9}"]
    lines += [
        f"{one['increment']:>10}{one['seconds']:>9.2f}{one['files']:>7}{format_bytes(one['live']):>10}"
        f"{format_bytes(one['dead']):>10}{format_bytes(one['moments']):>10}{one['entries']:>9}"
        for one in found["curve"]
    ]
    failures = found["failures"][:5]
    return "\n".join(
        [
            *lines,
            f"{found['increments']} increments, of which {found['refits']} fitted anew; of the others the first "
            f"{found['tenth']} s, the last {found['last']} s, {found['ratio']} × (at most {BUDGET}); nothing new "
            f"{found['nothing_new']} s",
            f"{found['reads']} reads meanwhile, {len(found['failures'])} failed {failures or ''}".rstrip(),
            f"history: {found['history']}",
            f"erasure {'holds' if found['erasure'] else 'DOES NOT HOLD'}",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
