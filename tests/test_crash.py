"""A run that is killed (SIGKILL), wherever that is, and run again, by either engine: as if nothing had happened."""

import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import silver.job
from bronze.manifest import Labelling
from fruits.operations.relabel import relabel
from fruits.operations.run import LAYERS, run_layers, run_pipeline
from fruits.settings import Settings, load_settings
from gold.tables import PCA
from lakehouse import failpoint
from lakehouse.failpoint import VARIABLE
from lakehouse.models.registry import Registry
from lakehouse.workspace import Workspace
from silver.tables import SCALER
from tests import stub
from tests.comparing import assert_same, rows_of_layers
from tests.conftest import add_photographs, photograph
from tests.points import crash_points
from tests.warm_command import run_command
from tests.world import World

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.usefixtures("blank_pictures")


class Killable(World):
    """A world whose runs can be killed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.config = folder / "settings.yaml"
        self.config.write_text(f"encoder: {stub.NAME}\nremoved_images: delete\nportion_rows: 3\n")

    def settings(self, engine: str) -> Settings:
        """What the command reads too."""
        places = {"images": str(self.photographs), "lake": str(self.lake)}
        return load_settings(self.config, **places, refit="always", engine=engine)

    def run_killed(self, point: str, engine: str) -> None:
        """Run the command in a process of its own that dies at a point."""
        arguments = ["run", "--config", str(self.config), "--refit", "always", "--engine", engine]
        arguments += ["--images", str(self.photographs), "--lake", str(self.lake)]
        log = self.config.with_name("log")
        assert run_command(arguments, {VARIABLE: point}, log) == -signal.SIGKILL, log.read_text()[-3000:]

    def run(self, engine: str = "local") -> None:
        """Run all layers in this process."""
        workspace = Workspace(self.settings(engine))
        run_pipeline(workspace, LAYERS, lambda: silver.job.prepare_encoder(workspace).get())
        workspace.close()

    def run_struck(self, point: str, engine: str) -> None:
        """Run all layers in this process until a point, where an error ends them that nothing catches."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(VARIABLE, point)
            patch.setattr(failpoint, "die", _strike)
            failpoint.passed.clear()
            with pytest.raises(StruckError):
                run_layers(self.settings(engine))

    def holds(self) -> dict[str, Any]:
        """All tables' rows and the registry's versions, but for what passes."""
        workspace = Workspace(self.settings("local"))
        registry = workspace.registry
        models = {
            name: [(one.number, one.tags.get("components")) for one in registry.versions(name)]
            for name in (SCALER, PCA)
        }
        champions = {name: _champion(registry, name) for name in models}
        return {**rows_of_layers(workspace.lake), "models": models, "champions": champions}


class StruckError(BaseException):
    """What a run dies of in the process that goes on: no `except Exception` may hold it up."""


def _strike() -> None:
    raise StruckError


def _champion(registry: Registry, name: str) -> int:
    champion = registry.champion(name)
    assert champion is not None, name
    return champion.number


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, tracking_store: Path, stub_encoder: str) -> Killable:
    """A lake after a run, and its photographs after that: new and replaced ones, moved ones, copies, and so on."""
    world = Killable(tmp_path_factory.mktemp("crash"))
    for label, seeds in {"Apple": range(5), "Kiwi": range(5, 10), "Lemon": range(10, 14)}.items():
        add_photographs(world.photographs, label, seeds)
    # MLflow makes a store's tables once a process, not again for a store that has been put back to nothing.
    (world.lake / "mlflow").mkdir(parents=True)
    shutil.copy(tracking_store, world.lake / "mlflow")
    world.keep("photographs")
    world.run()
    add_photographs(world.photographs, "Plum", range(20, 24))
    (world.photographs / "Apple" / "0.png").write_bytes(photograph(100))
    (world.photographs / "Apple" / "1.png").rename(world.photographs / "Kiwi" / "1.png")
    (world.photographs / "Apple" / "3.png").rename(world.photographs / "Kiwi" / "3.png")
    (world.photographs / "Apple" / "3.png").write_bytes(photograph(101))
    (world.photographs / "Plum" / "20 again.png").write_bytes(photograph(20))
    (world.photographs / "Kiwi" / "5.png").unlink()
    (world.photographs / "Lemon" / "10.png").write_bytes(photograph(10)[:-4])
    relabel(world.settings("local"), [Labelling(0, "Apple/2.png", "Pear", "Test")])
    world.keep("changed")
    return world


@pytest.fixture(scope="module")
def undisturbed(world: Killable) -> dict[str, Mapping[str, Any]]:
    """What uninterrupted runs make of a lake, by where they begin."""
    outcomes: dict[str, Mapping[str, Any]] = {}
    for beginning in ("photographs", "changed"):
        world.go_back(beginning)
        world.run()
        outcomes[beginning] = world.holds()
    return outcomes


def test_undisturbed_run_is_worth_comparing_with(undisturbed: Mapping[str, Mapping[str, Any]]) -> None:
    """The changes are all in it, and the models are fitted anew."""
    after = undisturbed["changed"]
    sizes = {name: len(after[name]) for name in ("bronze.images", "bronze.quarantine", "gold.projections")}
    assert sizes == {"bronze.images": 18, "bronze.quarantine": 1, "gold.projections": 18}
    assert after["champions"] == {SCALER: 2, PCA: 2}
    assert [row["label"] for row in after["gold.projections"] if row["split"] == "Test"] == ["Pear"]
    with pytest.raises(AssertionError):
        assert_same(undisturbed["photographs"], after)


RUN = [point for point in crash_points() if not point.startswith(("forget.", "relabel.", "upkeep."))]
OF_INCREMENTS = ("copied", "repeated", "relabelled")  # there is nothing to copy from, nor to relabel
BETWEEN_PORTIONS = ["bronze.images-written@2", "bronze.quarantine-written@2", "silver.features-computed@2"]
FIRST_RUN = [point for point in RUN if not point.startswith("silver.features-") or not point.endswith(OF_INCREMENTS)]


@pytest.mark.parametrize(
    ("beginning", "point"),
    [("changed", point) for point in [*RUN, *BETWEEN_PORTIONS]]
    + [pytest.param("photographs", point, marks=pytest.mark.soak) for point in [*FIRST_RUN, *BETWEEN_PORTIONS]],
)
def test_run_killed_there_and_run_again_is_an_undisturbed_run(
    world: Killable, undisturbed: Mapping[str, Mapping[str, Any]], beginning: str, point: str
) -> None:
    """An increment with every kind of change and both models fitted anew, and (soak) a first run."""
    world.go_back(beginning)
    world.run_killed(point, "local")
    world.run()
    assert_same(world.holds(), undisturbed[beginning])


TURNS = [("spark", "local"), ("local", "spark")]
IN_TURN = ("bronze.images-written@2", "silver.features-computed@2", "silver.scaled-written", "gold.projections-written")


def how_often(dying: str, finishing: str, point: str) -> tuple[pytest.MarkDecorator, ...]:
    """One point in each turn always, a point of each layer slowly; all else is soaked."""
    if point not in IN_TURN or (dying, finishing) not in TURNS:
        return (pytest.mark.soak,)
    always = {("spark", "local"): IN_TURN[0], ("local", "spark"): IN_TURN[-1]}
    return () if always[dying, finishing] == point else (pytest.mark.slow,)


@pytest.mark.parametrize(
    ("dying", "finishing", "point"),
    [
        pytest.param(*turn, point, marks=how_often(*turn, point))
        for turn in (("spark", "spark"), *TURNS)
        for point in [*RUN, *BETWEEN_PORTIONS]
    ],
)
def test_run_that_died_on_one_engine_is_finished_by_another(
    world: Killable,
    undisturbed: Mapping[str, Mapping[str, Any]],
    spark: "SparkSession",
    dying: str,
    finishing: str,
    point: str,
) -> None:
    """The same rows whichever engine died and whichever goes on; in Spark's one session an error is the death."""
    world.go_back("changed")
    world.run_struck(point, dying)
    world.run(finishing)
    assert_same(world.holds(), undisturbed["changed"])
