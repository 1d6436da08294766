"""The budgets of speed and memory, and whether the rounds hold them."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bench.process import Run

Round = Mapping[str, Run]
"""The runs of one round by name; a name may be missing."""

GIGABYTE = 1e9


class Unit(StrEnum):
    """What a budget bounds; the value stands between the number and the row's name in a text."""

    SECONDS = "s"
    RATIO = "×"
    GIGABYTES = "GB"


@dataclass(frozen=True)
class Budget:
    """A bound of one row.

    Attributes:
        row: the row's name.
        at_most: the greatest value that is within.
        unit: median seconds, median of the rounds' ratios to another row, or peak memory.
        of: the other row of a ratio.
    """

    row: str
    at_most: float
    unit: Unit
    of: str = ""

    def __str__(self) -> str:
        return f"≤ {self.at_most:g} {self.unit} {self.of}".strip()


@dataclass(frozen=True)
class Verdict:
    """A budget and what was measured; None where a row that it needs was not measured."""

    budget: Budget
    value: float | None

    @property
    def held(self) -> bool | None:
        """Whether the value is within the budget; None where there is none."""
        return None if self.value is None else self.value <= self.budget.at_most

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.budget}: not judged"
        return f"{self.budget}: {self.value:.2f}, {'held' if self.held else 'MISSED'}"


BUDGETS = (
    Budget("local-first", 1.4, Unit.RATIO, "bare"),
    Budget("local-40-more", 0.15, Unit.RATIO, "bare"),
    Budget("local-nothing-new", 1.0, Unit.SECONDS),
    Budget("test-local", 1.0, Unit.RATIO, "test-reference"),
    Budget("test-local", 1.0, Unit.RATIO, "test-plain"),
    Budget("large-local-10-more", 0.35, Unit.RATIO, "bare"),
    Budget("large-local-10-more", 1.3, Unit.GIGABYTES),
    Budget("large-local-nothing-new", 3.0, Unit.SECONDS),
)


def spark_budget(baseline: float) -> Budget:
    """Spark's first run may take half as long again as it took with release 0.1.0 on the same machine."""
    return Budget("spark-first", 1.5 * baseline, Unit.SECONDS)


def judge(rounds: Sequence[Round], budgets: Sequence[Budget] = BUDGETS) -> list[Verdict]:
    """Hold what was measured against budgets."""
    return [Verdict(budget, _value(rounds, budget)) for budget in budgets]


def paired_ratio(rounds: Sequence[Round], name: str, of: str) -> float | None:
    """The median of one row's ratios to another's, both of the same round: a machine that slows down slows both."""
    ratios = [turn[name].seconds / turn[of].seconds for turn in rounds if name in turn and of in turn]
    return statistics.median(ratios) if ratios else None


def peak_memory(rounds: Sequence[Round], name: str) -> int | None:
    """The most memory that a row took in any round, bytes."""
    return max((turn[name].memory or 0 for turn in rounds if name in turn), default=0) or None


def _value(rounds: Sequence[Round], budget: Budget) -> float | None:
    if budget.unit == Unit.RATIO:
        return paired_ratio(rounds, budget.row, budget.of)
    if budget.unit == Unit.GIGABYTES:
        peak = peak_memory(rounds, budget.row)
        return None if peak is None else peak / GIGABYTE
    seconds = [turn[budget.row].seconds for turn in rounds if budget.row in turn]
    return statistics.median(seconds) if seconds else None
