"""The report's drawings of the runs, and the table below them that says the same."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

import bronze.tables
from fruits.query.sql import connect
from fruits.report.contents import Report
from fruits.report.ran import DRAWN, Ran, read_runs
from fruits.report.section_runs import Durations, Growth, history
from fruits.settings import Settings
from lakehouse.runs.table import RUNS
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from tests.fruits.report.test_report import THEN, cells, page_of, write

NASTY = "<b>&\"' of a folder's name"


def ran(number: int, photographs: int | None, seconds: float | None = 1.0, status: str = "done") -> Ran:
    """A run a day, whose layers took as long as all of it."""
    layers: list[float | None] = [seconds, None, None] if status == "failed" else [(seconds or 0) / 4] * 3
    return Ran(number, THEN + timedelta(days=number), "run", status, seconds, layers, 1, photographs, None)


def drawn(*runs: Ran) -> tuple[Growth | None, Durations | None]:
    """The drawings of a lake with these runs."""
    found = history(Report("file:///lake", datetime.now(UTC), runs=[*runs]))
    assert found is not None
    return found.growth, found.durations


def test_line_steps_at_each_run_to_what_the_lake_held_then() -> None:
    """Flat between two runs; the higher, the more, and days apart as they were. What was killed is left out."""
    growth, _ = drawn(ran(1, 100), ran(2, None, None, "killed"), ran(3, 400), ran(5, 300))
    assert growth is not None
    (x1, y1), (x3, y3), (x5, y5) = growth.dots
    assert growth.steps == [(x1, y1), (x3, y1), (x3, y3), (x5, y3), (x5, y5)]
    assert (x3 - x1) / (x5 - x3) == pytest.approx(1.0)
    assert Growth.top <= y3 < y5 < y1 <= Growth.floor
    assert (y1 - y3) / (y5 - y3) == pytest.approx(3.0)
    assert [photographs for _, photographs in growth.lines] == [0, 100, 200, 300, 400]
    assert growth.last == 300


def test_bar_is_as_high_as_a_run_was_long_and_made_of_its_layers() -> None:
    """The rest of a run is a part, too; what was not done is marked."""
    _, durations = drawn(ran(1, 1, 8.0), ran(2, 1, 2.0, "failed"), ran(3, None, None, "killed"))
    assert durations is not None
    done, failed, killed = durations.bars
    heights = [sum(part.height for part in bar.parts) for bar in durations.bars]
    assert heights == pytest.approx([heights[0], heights[0] / 4, 0])
    assert [part.layer for part in done.parts] == [0, 1, 2, 3]
    assert [part.height for part in done.parts] == pytest.approx([heights[0] / 4] * 4)
    assert [part.layer for part in failed.parts] == [0]
    assert done.mark is None
    assert failed.mark is not None
    assert killed.mark is not None
    assert all(above.top + above.height == pytest.approx(below.top) for below, above in pairwise(done.parts))


@pytest.mark.parametrize("greatest", [0, 1, 2, 7, 10, 99, 3936, 1_000_000])
def test_scale_has_a_few_round_lines_and_holds_the_greatest(greatest: int) -> None:
    """Whole photographs, and never less than one."""
    growth, _ = drawn(ran(1, 0), ran(2, greatest))
    assert growth is not None
    values = [value for _, value in growth.lines]
    assert 2 <= len(values) <= 6
    assert values == sorted({*values})
    assert values[-1] >= greatest
    assert all(Growth.top - 0.01 <= y <= Growth.floor for _, y in growth.dots)


def row(number: int, **figures: Any) -> dict[str, Any]:
    """A row of the table."""
    known = {"id": f"{number:05}", "command": "run", "status": "done", "started_at": THEN + timedelta(hours=number)}
    return {name: (known | figures).get(name) for name in RUNS.schema.names}


def test_table_lists_the_runs_the_newest_first(settings: Settings) -> None:
    """What a failed one said is text, whatever is in it; a killed one has no seconds."""
    lake = Lake(settings.lake)
    delta.create(lake, [*bronze.tables.TABLES, RUNS])
    done = row(1, seconds=12.34, bronze_seconds=2.0, ingested=1500, photographs=1500)
    failed = row(2, status="failed", command="bronze", seconds=0.1, photographs=1500, error=NASTY)
    write(lake, RUNS, [done, failed, row(3, status="killed")])
    page = page_of(settings)
    _, killed, told, first = cells(page, "Runs, the newest first")
    assert killed[:1] + killed[2:] == ["3", "run", "killed", "–", "–", "–", ""]
    assert told[2:] == ["bronze", "failed", "0.1", "–", "1,500", NASTY]
    assert first == ["1", f"{THEN + timedelta(hours=1):%Y-%m-%d %H:%M}", "run", "done", "12.3", "1,500", "1,500", ""]
    assert "<b>&" not in page
    assert page.count('class="mark">×') == 2


def test_of_many_runs_the_newest_are_drawn_and_numbered_as_they_came(settings: Settings) -> None:
    """The history may hold thousands."""
    lake = Lake(settings.lake)
    write(lake, RUNS, [row(number, seconds=1.0, photographs=number) for number in range(1, DRAWN + 8)])
    runs = read_runs(connect(lake))
    assert [run.number for run in runs] == [*range(8, DRAWN + 8)]
    assert [run.photographs for run in runs] == [*range(8, DRAWN + 8)]
    assert "of 207, `fruits history --all` lists all" in page_of(settings)


def test_lake_without_history_says_so(settings: Settings) -> None:
    """One that an older release has filled."""
    delta.create(Lake(settings.lake), bronze.tables.TABLES)
    assert "There is no history yet" in page_of(settings)
