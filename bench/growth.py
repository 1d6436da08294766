"""How the cost of each operation grows with the lake, from a thousand photographs to a million; by `make bench-growth`.

Photographs and features are synthetic (`bench.synthetic`): inference costs the same for each photograph whatever the
lake holds, and would only burn hours. All else is the product: `fruits` in a process of its own for each operation, on
files that lie on the disk. A lake and its photographs are kept in `--work`, and gone on with where they are there.

The machine's speed drifts, so exponents are taken of processor seconds; seconds by the clock are beside them.
An operation's exponent is that of its processor seconds between two sizes, without the start of the process (those of
`nothing new` in the smallest lake); 0 is constant, 1 in proportion to the lake. What listing takes is beside it.
"""

import argparse
import json
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from bench.observe import Observed, observe
from bench.process import RunFailedError
from bench.synthetic import LABELS, path_of, write_photographs
from bench.table import aligned

FRUITS = "bench.synthetic"
SIZES = (1_000, 10_000, 100_000, 1_000_000)
_GIGABYTE, _MEGABYTE = 1e9, 1e6
_AGGREGATE = (
    "SELECT label, split, count(*) AS photographs, avg(length) AS bytes FROM bronze.images GROUP BY label, split"
)


@dataclass(frozen=True)
class Measured:
    """One operation on one lake.

    Attributes:
        size: photographs that the lake was made with.
        operation: its name.
        observed: what it took.
        files: files in the lake's folder afterwards, those of history among them.
        bytes: their bytes.
        stages: seconds by stage, where the command says so.
    """

    size: int
    operation: str
    observed: Observed
    files: int
    bytes: int
    stages: dict[str, float]


class Growing:
    """A lake of some size, with its photographs, and the operations on it in their order."""

    def __init__(self, work: Path, size: int, engine: str) -> None:
        """Take a folder for lake and photographs; those that are there are gone on with."""
        self._folder, self.size, self._engine = work / str(size), size, engine
        self._photographs, self._lake = self._folder / "photographs", self._folder / f"lake-{engine}"
        self._config, self._next = self._folder / "config.yaml", self._folder / f"next-{engine}"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._config.write_text("encoder: synthetic\n")
        if not self._photographs.exists():
            write_photographs(self._photographs, range(size))

    def operations(self) -> dict[str, Callable[[], Measured]]:
        """By name, in their order."""
        return {
            "list": self._list,
            "first run": self._first,
            "nothing new": lambda: self._run("nothing new", 0),
            "10 more": lambda: self._more("10 more", 10),
            "1 % more": lambda: self._more("1 % more", self.size // 100),
            "relabel 100": self._relabel,
            "run after relabel": lambda: self._run("run after relabel", 0),
            "sql": lambda: self._measure("sql", "sql", "--lake", self._lake, _AGGREGATE),
            "report": self._report,
            "identify": self._identify,
            "models": lambda: self._measure("models", "models", "--lake", self._lake),
            "forget 1": self._forget,
            "refit": lambda: self._run("refit", 0, "--refit", "always"),
            "rollback": lambda: self._measure("rollback", "rollback", "1", *self._of_lake),
        }

    @property
    def _of_lake(self) -> tuple[object, ...]:
        return "--lake", self._lake, "--engine", self._engine, "--config", self._config

    def _list(self) -> Measured:
        observed, printed = observe("bench.listing", [self._photographs])
        return self._measured("list", observed, {"listing": float(printed)})

    def _first(self) -> Measured:
        shutil.rmtree(self._lake, ignore_errors=True)
        self._next.write_text(str(self._start))
        return self._run("first run", len([*self._photographs.rglob("*.png")]))

    @property
    def _start(self) -> int:
        return 10 * self.size  # numbers of photographs that are added; those of the first run are below

    def _more(self, name: str, count: int) -> Measured:
        first = int(self._next.read_text())
        write_photographs(self._photographs, range(first, first + count))
        self._next.write_text(str(first + count))
        return self._run(name, count)

    def _run(self, name: str, ingested: int, *options: str) -> Measured:
        arguments = ("run", "--images", self._photographs, *self._of_lake, "--format", "json", *options)
        observed, printed = observe(FRUITS, arguments)
        summary = json.loads(printed)
        if summary["bronze"]["ingested"] != ingested:
            found = summary["bronze"]["ingested"]
            raise RunFailedError(f"{name}: {found} photographs instead of {ingested}. This measures nothing.")
        return self._measured(name, observed, summary["seconds"])

    def _relabel(self) -> Measured:
        lines = [f"{path_of(self._photographs, LABELS * number)},label corrected" for number in range(100)]
        with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
            file.write("path,label\n" + "\n".join(lines[: self.size // LABELS]) + "\n")
            file.flush()
            return self._measure(
                "relabel 100", "relabel", "--from", file.name, "--lake", self._lake, "--config", self._config
            )

    def _report(self) -> Measured:
        page = self._folder / "report.html"
        return self._measure("report", "report", "--lake", self._lake, "--config", self._config, "--output", page)

    def _identify(self) -> Measured:
        asked = path_of(self._photographs, 1)
        return self._measure("identify", "identify", asked, "--lake", self._lake, "--config", self._config)

    def _forget(self) -> Measured:
        gone = next(path for path in _photographs_of(self._photographs, self._start))
        gone.unlink()
        return self._measure("forget 1", "forget", gone, *self._of_lake)

    def _measure(self, name: str, *arguments: object) -> Measured:
        observed, _ = observe(FRUITS, arguments)
        return self._measured(name, observed, {})

    def _measured(self, name: str, observed: Observed, stages: dict[str, float]) -> Measured:
        files = [path.stat().st_size for path in self._lake.rglob("*") if path.is_file()]
        return Measured(self.size, name, observed, len(files), sum(files), stages)


def _photographs_of(folder: Path, first: int) -> Iterator[Path]:
    """The photographs from a number on that are there."""
    number = first
    while True:
        path = path_of(folder, number)
        if path.exists():
            yield path
        number += 1


def exponents(measured: Sequence[Measured]) -> dict[str, list[tuple[int, int, float]]]:
    """By operation, between each two sizes that follow one another: these, and its exponent."""
    start = min((one.observed.processor for one in measured if one.operation == "nothing new"), default=0.0)
    found: dict[str, list[tuple[int, int, float]]] = {}
    for name in dict.fromkeys(one.operation for one in measured):
        last = {one.size: one for one in measured if one.operation == name}
        ones = [last[size] for size in sorted(last)]
        found[name] = [
            (small.size, large.size, _exponent(small, large, 0.0 if name == "list" else start))
            for small, large in pairwise(ones)
        ]
    return found


def _exponent(small: Measured, large: Measured, start: float) -> float:
    least = 0.01  # seconds: what is less is noise
    first, second = (max(one.observed.processor - start, least) for one in (small, large))
    return math.log(second / first) / math.log(large.size / small.size)


def format_growth(measured: Sequence[Measured]) -> str:
    """One line an operation and size, and below them the exponents."""
    header = (
        "operation", "photographs", "seconds", "processor", "driver MB", "worker MB", "read MB", "written MB",
        "files", "lake GB", "stages"
    )  # fmt: skip
    lines = [header, *(_cells(one) for one in sorted(measured, key=lambda one: (_place(measured, one), one.size)))]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    sides = "<" + ">" * (len(header) - 2) + "<"
    table = [aligned(line, widths, sides) for line in lines]
    fitted = [
        f"{name:<20}" + "   ".join(f"{small:,} to {large:,}: {value:+.2f}" for small, large, value in pairs)
        for name, pairs in exponents(measured).items()
        if pairs
    ]
    return "\n".join([*table, *(["", "exponents of processor seconds", *fitted] if fitted else [])])


def _place(measured: Sequence[Measured], one: Measured) -> int:
    return list(dict.fromkeys(other.operation for other in measured)).index(one.operation)


def _cells(one: Measured) -> tuple[str, ...]:
    seen = one.observed
    megabytes = (f"{value / _MEGABYTE:,.0f}" for value in (seen.driver, seen.worker, seen.read, seen.written))
    stages = " ".join(f"{name} {seconds:.2f}" for name, seconds in one.stages.items())
    seconds = (f"{seen.seconds:.2f}", f"{seen.processor:.2f}")
    return (
        one.operation, f"{one.size:,}", *seconds, *megabytes, f"{one.files:,}", f"{one.bytes / _GIGABYTE:.2f}", stages
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 2 where something failed."""
    parser = _parser()
    options = parser.parse_args(arguments)
    measured: list[Measured] = []
    try:
        for size in options.sizes:
            growing = Growing(options.work, size, options.engine)
            operations = growing.operations()
            for name in options.only or operations:
                if name not in operations:
                    parser.error(f"There is no operation {name!r}. Operations: {', '.join(operations)}.")
                measured.append(operations[name]())
                seen = measured[-1].observed
                print(
                    f"{time.strftime('%H:%M:%S')} {size:>9,} {name}: {seen.seconds:.2f} s, processor "
                    f"{seen.processor:.2f} s, driver {seen.driver / _MEGABYTE:,.0f} MB",
                    file=sys.stderr,
                    flush=True,
                )
    except RunFailedError as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        options.json.write_text(json.dumps({"engine": options.engine, "measured": [asdict(one) for one in measured]}))
    print(f"engine {options.engine}; photographs and features are synthetic\n\n{format_growth(measured)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bench.growth", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="Folder for photographs and lakes, which are kept.")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="Photographs in each lake.")
    parser.add_argument(
        "--engine", choices=("local", "spark"), default="local", help="Where rows are computed. [local]"
    )
    parser.add_argument("--only", nargs="+", metavar="OPERATION", help="These alone, in this order; all by default.")
    parser.add_argument("--json", type=Path, help="Also write everything to this file.")
    return parser


if __name__ == "__main__":
    sys.exit(main())
