"""What runs wrote by the log, and when that is told to be too much."""

import json
from pathlib import Path
from typing import Any

import pytest

from fruits.query.costs import MANY_FILES, MUCH_BYTES, Written, measure_written, warnings
from lakehouse.engine.port import Engine
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from tests.conftest import Opening
from tests.fruits.cli.test_cli import call
from tests.fruits.query.test_history import add_run
from tests.lakehouse.engine.fruit import FRUIT, fruit, many


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with one table, without rows."""
    lake = Lake(f"file://{tmp_path}/lake")
    delta.create(lake, [FRUIT])
    return lake


@pytest.fixture
def engine(opened: Opening, lake: Lake) -> Engine:
    """The local engine on the lake."""
    return opened("local")


def measured(lake: Lake, before: int) -> Written | None:
    """What was written to the table since a version."""
    newest = delta.existing(lake, FRUIT).version()
    return measure_written(lake, [FRUIT], {FRUIT.name: before}, {FRUIT.name: newest}).get(FRUIT.name)


def test_rewritten_rows_are_counted_and_merged_ones_are_not(engine: Engine, lake: Lake) -> None:
    """Ten rows, and all ten again for one that was replaced; a compaction writes none."""
    engine.append(engine.of(many(10)), FRUIT)
    engine.merge(engine.of(fruit(("fruit 000003", "x", 7))), FRUIT)
    written = measured(lake, 0)
    assert written is not None
    assert (written["rows_added"], written["files_added"], written["files_removed"]) == (20, 2, 1)
    before = delta.existing(lake, FRUIT).version()
    engine.append(engine.of(many(1, 20)), FRUIT)
    appended = measured(lake, before)
    assert engine.compact(FRUIT).files >= 2
    assert measured(lake, before) == appended
    assert measured(lake, delta.existing(lake, FRUIT).version()) is None


def written(**figures: int) -> Written:
    """A table's figures: a thousand rows in one file of 128 MiB, written anew, unless said otherwise."""
    known = {"files_added": 1, "files_removed": 1, "rows_added": 1000}
    sizes = {"bytes_added": 2 * MUCH_BYTES, "bytes_removed": 2 * MUCH_BYTES}
    return Written(**{**known, **sizes, **figures})  # type: ignore[typeddict-item]


def told(table: str, figures: Written, summary: dict[str, Any] | None = None, **counts: int) -> list[str]:
    """What is said of a run that wrote this."""
    run = {"ingested": 0, "featurized": 0, "relabelled": 0, "removed": 0, **counts}
    return warnings(run, {"written": {table: figures}, **(summary or {})})


@pytest.mark.parametrize(
    ("table", "counts", "summary", "helps"),
    [
        ("bronze.images", {"relabelled": 3}, {}, "many corrections in one run"),
        ("silver.features", {"removed": 3}, {}, "removed_images: keep"),
        ("bronze.images", {"ingested": 3}, {}, "keep modification times"),
        ("silver.scaled", {}, {"silver": {"refit": "mean"}}, "scaler_mean_limit"),
        ("gold.projections", {}, {"gold": {"refit": "variance"}}, "threshold_slack"),
    ],
)
def test_much_written_for_little_is_told_with_what_helps(
    table: str, counts: dict[str, int], summary: dict[str, Any], helps: str
) -> None:
    """By what the run did."""
    (said,) = told(table, written(), summary, **counts)
    assert said.startswith(f"{table}: 134 MB written for {sum(counts.values())} rows that changed. ")
    assert helps in said


@pytest.mark.parametrize(
    ("table", "figures", "counts"),
    [
        ("bronze.images", written(bytes_added=MUCH_BYTES - 1), {"relabelled": 1}),
        ("bronze.images", written(), {"relabelled": 60}),
        ("bronze.images", written(files_removed=0), {}),
        ("silver.moments", written(rows_added=1), {}),
        ("bronze.images", written(files_added=MANY_FILES, bytes_added=MANY_FILES * (20 << 20), files_removed=0), {}),
    ],
    ids=["little", "every twentieth row", "appended", "moments", "large files"],
)
def test_what_costs_what_it_should_is_not_told(table: str, figures: Written, counts: dict[str, int]) -> None:
    """Below a second of a disk, in proportion, or by design."""
    assert told(table, figures, None, **counts) == []


def test_many_small_files_at_once_are_told() -> None:
    """As many as upkeep would merge."""
    (said,) = told("bronze.images", written(files_added=MANY_FILES, bytes_added=16 << 20, files_removed=0))
    assert said.startswith("bronze.images: 16 files of 1.0 MB written at once. `fruits maintain` merges them")


def test_run_without_figures_has_no_warning() -> None:
    """Of an older release, or killed."""
    assert warnings({}, None) == []
    assert warnings({"ingested": 1}, {"bronze": {}}) == []


def test_history_tells_it_below_the_table_and_to_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr for people, as a list for programs."""
    lake = Lake(f"file://{tmp_path}/lake")
    add_run(lake, 1, relabelled=2, summary=json.dumps({"written": {"bronze.images": written()}}))
    assert call("history", "--lake", lake.uri) == 0
    assert "134 MB written for 2 rows that changed" in " ".join(capsys.readouterr().err.split())
    assert call("history", "--lake", lake.uri, "--format", "json") == 0
    (run,) = json.loads(capsys.readouterr().out)
    assert len(run["warnings"]) == 1
