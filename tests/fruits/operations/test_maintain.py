"""`fruits maintain` and upkeep at the end of a run: rows, marks and readers stay as they are; killed anywhere, too."""

import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bronze.tables import CONTENTS, IMAGES
from fruits.catalog import ALL_TABLES, TABLES
from fruits.operations.forget import forget
from fruits.operations.maintain import maintain_lake
from fruits.operations.run import run_layers
from fruits.operations.upkeep import examine_upkeep
from fruits.settings import Settings, load_settings
from gold.tables import PROJECTIONS
from lakehouse import failpoint
from lakehouse.errors import StorageError
from lakehouse.failpoint import VARIABLE
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.history import newest_versions
from silver.tables import FEATURES, MOMENTS, SCALED
from tests import stub
from tests.comparing import assert_same, rows_of_layers
from tests.conftest import add_photographs
from tests.points import crash_points
from tests.warm_command import run_command
from tests.world import World

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.usefixtures("blank_pictures")

INCREMENTS = 6
OF_PHOTOGRAPHS = (CONTENTS, IMAGES, FEATURES, SCALED, PROJECTIONS)


class Kept(World):
    """A world with a lake of several increments."""

    def settings(self, engine: str = "local", **options: Any) -> Settings:
        """Of the lake, for one engine."""
        given = {"encoder": stub.NAME, "refit": "auto", "upkeep": "never", "scaler_mean_limit": 1e9, **options}
        places = {"images": str(self.photographs), "lake": str(self.lake)}
        return load_settings(**places, engine=engine, scaler_variance_range=[1e-9, 1e9], threshold_slack=0.8, **given)

    def increment(self, number: int, engine: str = "local", **options: Any) -> dict[str, Any]:
        """Two photographs more, and a run."""
        add_photographs(self.photographs, ("Apple", "Kiwi")[number % 2], range(100 + 2 * number, 102 + 2 * number))
        return dict(run_layers(self.settings(engine, **options)))

    def replace_one(self) -> None:
        """Other content in a file that the lake has."""
        add_photographs(self.photographs, "Cherry", range(77, 78))
        (other,) = (self.photographs / "Cherry").iterdir()
        first = min((self.photographs / "Apple").iterdir())
        other.replace(first)

    def versions(self) -> dict[str, int]:
        """Of all tables, the history of runs left out."""
        return newest_versions(Lake(self.settings().lake), TABLES)

    def files(self) -> dict[str, int]:
        """How many data files the tables with a row a photograph have."""
        lake = Lake(self.settings().lake)
        return {table.name: len(delta.data_files(lake, table)) for table in OF_PHOTOGRAPHS}

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """All that the layers hold, but for contents that no photograph has."""
        found = rows_of_layers(Lake(self.settings().lake))
        needed = {row["sha256"] for row in found[IMAGES.name]}
        kept = [row for row in found[CONTENTS.name] if row["sha256"] in needed]
        assert {row["sha256"] for row in kept} == needed
        return found | {CONTENTS.name: kept}

    def age(self, hours: float) -> None:
        """Have all files of the tables be so much older."""
        for file in self.lake.rglob("*"):
            if file.is_file() and "mlflow" not in file.parts:
                then = file.stat().st_mtime - 3600 * hours
                os.utime(file, (then, then))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, tracking_store: Path, stub_encoder: str) -> Kept:
    """A lake of several increments, of one file each, which nobody has looked after."""
    world = Kept(tmp_path_factory.mktemp("kept"))
    add_photographs(world.photographs, "Apple", range(4))
    add_photographs(world.photographs, "Kiwi", range(4, 8))
    (world.lake / "mlflow").mkdir(parents=True)
    shutil.copy(tracking_store, world.lake / "mlflow")
    for number in range(INCREMENTS):
        world.increment(number)
    world.keep("increments")
    return world


@pytest.fixture(autouse=True)
def _again(world: Kept) -> None:
    world.go_back("increments")


def test_run_after_maintain_finds_nothing_new_and_commits_nothing(world: Kept) -> None:
    """No listing's difference, no inference, no moments: each table says what it follows as before; nor does a second
    `maintain` find anything to do.
    """
    before = world.rows()
    done = maintain_lake(world.settings())
    assert done.merged >= 5 * INCREMENTS
    assert set(world.files().values()) == {1}
    assert_same(world.rows(), before)
    versions = world.versions()
    assert not maintain_lake(world.settings())
    summary = run_layers(world.settings())
    assert world.versions() == versions
    assert (summary["bronze"]["ingested"], summary["silver"]["featurized"], summary["gold"]["projected"]) == (0, 0, 0)


def test_content_that_no_photograph_has_any_more_is_removed(world: Kept) -> None:
    """That of a replaced photograph, once: what is there, and what is new since, stays."""
    world.replace_one()
    summary = world.increment(50)
    assert summary["bronze"]["replaced"] == 1
    lake = Lake(world.settings().lake)
    count, rows = delta.count(lake, CONTENTS), world.rows()
    assert count == delta.count(lake, IMAGES) + 1
    assert maintain_lake(world.settings()).contents == 1
    assert delta.count(lake, CONTENTS) == count - 1
    assert_same(world.rows(), rows)
    versions = world.versions()
    run_layers(world.settings())
    assert world.versions() == versions
    assert maintain_lake(world.settings()).contents == 0


def test_increment_after_maintain_costs_what_is_new(world: Kept) -> None:
    """Moments are brought up to date by the change feed, not summed anew."""
    maintain_lake(world.settings())
    summary = world.increment(50)
    assert (summary["bronze"]["ingested"], summary["silver"]["featurized"], summary["silver"]["scaled"]) == (2, 2, 2)
    lake = Lake(world.settings().lake)
    (moments,) = delta.read_rows(lake, MOMENTS, ["count", "features_version"])
    assert moments == {"count": 22, "features_version": delta.rows_version(lake, FEATURES)}


def test_older_versions_are_read_within_their_time_and_removed_after_it(world: Kept) -> None:
    """A day later with a history of an hour: old files are gone, the newest version is whole, and erasure holds."""
    lake = Lake(world.settings().lake)
    old = delta.existing(lake, IMAGES).version()
    rows = delta.existing(lake, IMAGES, old).to_pyarrow_table().num_rows
    maintain_lake(world.settings())
    assert delta.existing(lake, IMAGES, old).to_pyarrow_table().num_rows == rows
    world.age(24)
    before = world.rows()
    world.increment(50)
    done = maintain_lake(world.settings(history_days=1 / 24, reader_hours=1.0))
    assert done.removed >= 4 * INCREMENTS
    names = {path.name for path in Path(lake.path(IMAGES)).glob("*.parquet")}
    assert not {Path(name).name for name in delta.data_files(lake, IMAGES, old)} & names
    assert len(before[IMAGES.name]) == 20
    assert len(world.rows()[IMAGES.name]) == 22
    gone = str(world.photographs / "Apple" / "0.png")
    forget(world.settings(), [gone])
    for file in Path(lake.path(IMAGES)).rglob("*.parquet"):
        assert b"Apple/0.png" not in file.read_bytes() or "_delta_log" in file.parts


def test_dry_run_says_what_is_done_and_changes_nothing(world: Kept) -> None:
    """Files, median, dead bytes, and what it would do; after it nothing."""
    before = world.versions()
    states = {one.table: one for one in examine_upkeep(world.settings())}
    assert world.versions() == before
    images = states[IMAGES.name]
    assert (images.files, images.merges, images.merges_into) == (INCREMENTS, INCREMENTS, 1)
    assert 0 < images.median_bytes < images.bytes
    assert states[MOMENTS.name].dead_bytes > 0
    assert images.advice.startswith(f"merge {INCREMENTS} files into 1")
    done = maintain_lake(world.settings())
    assert done.merged == sum(one.merges for one in states.values())
    assert {one.merges for one in examine_upkeep(world.settings())} == {0}


def test_run_looks_after_a_lake_where_it_is_due(world: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a number of small files on, and of commits; the run after finds nothing due."""
    monkeypatch.setattr("fruits.operations.upkeep.SMALL_FILES", INCREMENTS + 1)
    monkeypatch.setattr("fruits.operations.upkeep.COMMITS", 10)
    summary = world.increment(50, upkeep="auto")
    assert summary["upkeep"]["merged"] >= 4 * (INCREMENTS + 1)
    assert summary["upkeep"]["logs"] >= 1
    assert max(world.files().values()) <= 2
    versions = world.versions()
    assert "upkeep" not in run_layers(world.settings(upkeep="auto"))
    assert world.versions() == versions


def test_moments_keep_few_dead_copies(world: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their history is nobody's; a minute after a copy was replaced it may go."""
    world.age(1)
    world.increment(50, upkeep="auto")
    assert len([*(world.lake / "silver" / "moments").glob("*.parquet")]) <= 2


def test_upkeep_that_fails_is_told_and_fails_no_run(
    world: Kept, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run has done its work."""

    def refuse(*_: object) -> None:
        raise StorageError("The disk is full.")

    monkeypatch.setattr("fruits.operations.upkeep.SMALL_FILES", 2)
    monkeypatch.setattr("lakehouse.engine.local.commits.compact", refuse)
    assert world.increment(50, upkeep="auto")["bronze"]["ingested"] == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "not its upkeep, which `fruits maintain` or the next run does: The disk is full." in told


# ---- killed there ---------------------------------------------------------------------------------------------------

POINTS = [point for point in crash_points() if point.startswith("upkeep.")]
OF_SPARK = "upkeep.merging-by-spark"


def finish(world: Kept, undisturbed: dict[str, Any], engine: str) -> None:
    """Readers and the next run go on, and upkeep is finished."""
    assert_same(world.rows(), undisturbed)
    versions = world.versions()
    run_layers(world.settings(engine))
    assert world.versions() == versions
    maintain_lake(world.settings(engine))
    assert_same(world.rows(), undisturbed)
    assert set(world.files().values()) == {1}
    lake = Lake(world.settings().lake)
    for table in ALL_TABLES:
        assert delta.open_table(lake, table) is not None or table.name == "bronze.corrections"


def aged(world: Kept) -> None:
    """With old files, and the content of a replaced photograph, to be removed."""
    maintain_lake(world.settings())
    world.age(24)
    world.replace_one()
    for number in (50, 51):
        world.increment(number)


@pytest.mark.parametrize("point", [point for point in POINTS if point != OF_SPARK])
def test_maintain_killed_there_loses_nothing(world: Kept, point: str) -> None:
    """SIGKILL in the command: rows are those of before, the next run finds nothing new, and the next call ends it."""
    aged(world)
    rows = world.rows()
    config = world.lake.parent / "settings.yaml"
    config.write_text(f"encoder: {stub.NAME}\nhistory_days: 0.04\nreader_hours: 1\nupkeep: never\n")
    log = world.lake.parent / "log"
    arguments = ["maintain", "--config", str(config), "--lake", str(world.lake), "--engine", "local"]
    assert run_command(arguments, {VARIABLE: point}, log) == -signal.SIGKILL, log.read_text()[-3000:]
    finish(world, rows, "local")


class StruckError(BaseException):
    """What Spark's `maintain` dies of in the process that goes on."""


def _strike() -> None:
    raise StruckError


@pytest.mark.slow
@pytest.mark.parametrize("finishing", ["spark", "local"])
@pytest.mark.parametrize("point", [OF_SPARK, "upkeep.merged", "upkeep.summing-up"])
def test_maintain_that_died_on_spark_is_finished_by_either(
    world: Kept, spark: "SparkSession", point: str, finishing: str
) -> None:
    """As the local engine's."""
    aged(world)
    rows = world.rows()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, point)
        patch.setattr(failpoint, "die", _strike)
        with pytest.raises(StruckError):
            maintain_lake(world.settings("spark"))
    finish(world, rows, finishing)
