"""Runs of the lakehouse beside the bare inference loop, the pipeline of today and a plain script; by `make bench`.

Everything is measured as whole processes that take turns in rounds, so that a machine whose speed drifts favours none;
ratios are taken within a round, and their median is held against the budget. `bench.cases` says what is run,
`bench.budgets` what is promised. Exit status 1 says that a budget was missed, 2 that something failed.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from bench.budgets import BUDGETS, Round, judge, spark_budget
from bench.cases import ENGINE_OPTIONS, Bench, Case, has_java
from bench.folders import list_photographs
from bench.process import Run, RunFailedError
from bench.table import as_json, format_table, summarize


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, and return 1 where a budget was missed."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.images is None or not options.images.is_dir():
        parser.error("Set FRUITS_IMAGES or --images to a folder of photographs.")
    with tempfile.TemporaryDirectory(prefix="fruits-bench-") as work:
        bench = Bench(options.images.resolve(), Path(work))
        try:
            cases = pick_cases(bench.cases(options.engines, options.large), options.only)
        except LookupError as error:
            parser.error(str(error))
        try:
            bench.prepare()
            rounds = _measure(cases, options.rounds)
        except RunFailedError as error:
            print(error, file=sys.stderr)
            return 2
    rows = summarize(rounds, {name: case.basis for case in cases for name in case.names})
    budgets = [*BUDGETS, *([spark_budget(options.baseline)] if options.baseline else [])]
    verdicts = judge(rounds, budgets)
    shown = {row.name for row in rows}
    if options.format == "json":
        print(json.dumps({"rounds": options.rounds, **as_json(rows, verdicts)}))
    else:
        print(f"{_about(options)}\n\n{format_table(rows, [one for one in verdicts if one.budget.row in shown])}")
    return 1 if any(verdict.held is False for verdict in verdicts) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bench.run", description=(__doc__ or "").partition("\n")[0])
    images = os.environ.get("FRUITS_IMAGES") or os.environ.get("FRUITS_TEST_IMAGES")
    engines = ["local", "spark"] if has_java() else ["local"]
    parser.add_argument("--images", type=Path, default=images, help="Folder of photographs. [FRUITS_IMAGES]")
    parser.add_argument("--rounds", type=int, default=5, help="How often everything is run. [5]")
    parser.add_argument("--engines", type=_engines, default=engines, help="Engines, by commas. [those that can run]")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="Run these rows alone, and what they need; with * and ?."
    )
    parser.add_argument("--large", action="store_true", help="Also measure on 100,000 files.")
    parser.add_argument(
        "--baseline", type=float, help="Seconds that Spark's first run took with release 0.1.0 on this machine."
    )
    parser.add_argument("--format", choices=("table", "json"), default="table", help="How the result is printed.")
    return parser


def _engines(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in ENGINE_OPTIONS]:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}. Engines: {', '.join(ENGINE_OPTIONS)}.")
    if "spark" in names and not has_java():
        raise argparse.ArgumentTypeError("spark needs Java, and none was found.")
    return names


def pick_cases(cases: Sequence[Case], only: Sequence[str]) -> list[Case]:
    """The cases of which a name is asked for, and the bare loops that they refer to; all where none is asked for.

    Raises:
        LookupError: what is asked for is no case's name.
    """
    names = [name for case in cases for name in case.names]
    for pattern in only:
        if not any(fnmatch(name, pattern) for name in names):
            raise LookupError(f"Nothing is named {pattern}. Names: {', '.join(names)}.")
    asked = [case for case in cases if not only or any(fnmatch(name, one) for name in case.names for one in only)]
    bases = {case.basis for case in asked}
    return [case for case in cases if case in asked or bases.intersection(case.names)]


def _measure(cases: Sequence[Case], rounds: int) -> list[Round]:
    """Each round starts with another case, so that none is always the first."""
    found: list[Round] = []
    for turn in range(rounds):
        at = turn % len(cases)
        measured: dict[str, Run] = {}
        for case in [*cases[at:], *cases[:at]]:
            runs = dict(zip(case.names, case.measure(turn), strict=True))
            measured |= runs
            shown = ", ".join(f"{name} {run.seconds:.2f} s" for name, run in runs.items())
            print(f"round {turn + 1}: {shown}", file=sys.stderr, flush=True)
        found.append(measured)
    return found


def _about(options: argparse.Namespace) -> str:
    count, processes = len(list_photographs(options.images)), os.cpu_count() or 1
    return f"{count:,} photographs, {processes} processes of the bare loop, median of {options.rounds} rounds"


if __name__ == "__main__":
    sys.exit(main())
