"""From rounds of runs to rows, and from rows to a table for people or an object for programs."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.budgets import GIGABYTE, Round, Verdict, paired_ratio, peak_memory

_HEADER = ("name", "seconds (min–max)", "× bare", "peak memory", "budget")


@dataclass(frozen=True)
class Row:
    """What one name took in all rounds.

    Attributes:
        name: of what was run.
        seconds: one value a round.
        ratio: median of the ratios to the bare loop of the same round; None for the bare loop itself.
        memory: the peak in any round, bytes; None where it was not sampled.
        stages: median seconds by stage.
    """

    name: str
    seconds: tuple[float, ...]
    ratio: float | None
    memory: int | None
    stages: Mapping[str, float]


def summarize(rounds: Sequence[Round], bases: Mapping[str, str]) -> list[Row]:
    """One row a name, in the order of `bases`.

    Args:
        rounds: what was measured.
        bases: for each name the one of the bare loop over the same photographs; that of a bare loop is its own.
    """
    measured = [name for name in bases if any(name in turn for turn in rounds)]
    return [_row(rounds, name, bases[name]) for name in measured]


def _row(rounds: Sequence[Round], name: str, basis: str) -> Row:
    runs = [turn[name] for turn in rounds if name in turn]
    stages = {
        stage: statistics.median(run.stages[stage] for run in runs if stage in run.stages) for stage in runs[0].stages
    }
    ratio = None if name == basis else paired_ratio(rounds, name, basis)
    return Row(name, tuple(run.seconds for run in runs), ratio, peak_memory(rounds, name), stages)


def format_table(rows: Sequence[Row], verdicts: Sequence[Verdict]) -> str:
    """The table, aligned, and below it the seconds by stage."""
    lines = [_HEADER, *(_cells(row, verdicts) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADER))]
    table = [aligned(line, widths, "<>>><") for line in lines]
    stages = [
        f"{row.name:<{widths[0]}}  " + "  ".join(f"{stage} {seconds:.2f}" for stage, seconds in row.stages.items())
        for row in rows
    ]
    return "\n".join([*table, "", "seconds by stage (medians)", *stages])


def aligned(line: Sequence[str], widths: Sequence[int], sides: str) -> str:
    """Words to the left (`<` in `sides`), numbers to the right (`>`)."""
    cells = zip(line, sides, widths, strict=True)
    return "  ".join(f"{cell:{side}{width}}" for cell, side, width in cells).rstrip()


def _cells(row: Row, verdicts: Sequence[Verdict]) -> tuple[str, str, str, str, str]:
    return (
        row.name,
        f"{statistics.median(row.seconds):.2f} ({min(row.seconds):.2f}–{max(row.seconds):.2f})",
        "–" if row.ratio is None else f"{row.ratio:.2f}",
        "–" if row.memory is None else f"{row.memory / GIGABYTE:.2f} GB",
        "; ".join(str(verdict) for verdict in verdicts if verdict.budget.row == row.name),
    )


def as_json(rows: Sequence[Row], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The same as an object: seconds of every round, bytes, and each budget with `held` true, false or null."""
    return {
        "rows": [
            {
                "name": row.name,
                "seconds": list(row.seconds),
                "median": statistics.median(row.seconds),
                "ratio": row.ratio,
                "memory": row.memory,
                "stages": dict(row.stages),
            }
            for row in rows
        ],
        "budgets": [
            {"name": one.budget.row, "budget": str(one.budget), "value": one.value, "held": one.held}
            for one in verdicts
        ],
    }
