"""Whatever is done to the photographs and the lake, in whatever order: the tables hold what a plain model says."""

import hashlib
import itertools
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import bronze.tables
import gold.tables
import silver.tables
from bronze.manifest import Labelling
from fruits.operations.forget import forget
from fruits.operations.maintain import maintain_lake
from fruits.operations.relabel import relabel, undo
from fruits.operations.rollback import roll_back, unpin
from fruits.operations.run import LAYERS, run_pipeline
from fruits.settings import Settings, load_settings
from gold.tables import PCA
from lakehouse import failpoint
from lakehouse.tables import delta
from lakehouse.tables.table import Table
from lakehouse.workspace import Workspace
from silver.moments import Moments
from silver.statistics import read_moments
from silver.tables import SCALER
from tests.comparing import contents_of
from tests.conftest import photograph
from tests.fitted import fitted_champions
from tests.points import crash_points
from tests.stub import STUB, stub_features
from tests.world import World

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.usefixtures("blank_pictures")
EXAMPLES, STEPS = 5, 10
SEED = 1  # among a few that were tried, one with many kinds of steps in few seconds
LABELS = ("Apple", "Kiwi", "Lemon")
FIRST = {(label, number): 3 * at + number for at, label in enumerate(LABELS) for number in range(3)}
EMPTY, FILLED = "empty", "filled"
Label = tuple[str | None, str | None]
Copy = Callable[[str, str], object]
names = st.tuples(st.sampled_from(LABELS), st.integers(0, 5))
seeds = st.integers(0, 9)  # few, so that the same content turns up under several names


class CrashError(BaseException):
    """What a run dies of in the process that goes on: no `except Exception` may hold it up."""


def allow() -> None:
    """A guard that lets every commit pass: who has none is no writer, and puts nothing right in a lake that moved."""


class Lakehouse(RuleBasedStateMachine):
    """Files as they are, and beside them what bronze should hold after the next run; the rest follows from that."""

    world: World
    engines: Sequence[str] = ("local",)
    """The first one begins; where there are two, they are switched between."""

    def __init__(self) -> None:
        super().__init__()
        self.root, self.lake = self.world.photographs, self.world.lake
        self.left: dict[Path, Mapping[Path, str]] = {}  # lakes that were copied and are used no more, as they were
        self.files: dict[tuple[str, int], bytes] = {}
        self.images: dict[tuple[str, int], bytes] = {}
        self.quarantine: set[tuple[str, int]] = set()
        self.broken: set[tuple[str, int]] = set()
        self.held: dict[tuple[str, int], set[bytes]] = {}  # all that a name ever had in the lake
        self.labels: dict[tuple[str, int], Label] = {}  # what folders gave each image when it was listed last
        self.corrections: dict[bytes, Label] = {}  # by content
        self.listing = self.root  # the folder that is the root of the next runs
        self.splits: list[str] = []
        self.versions = 0
        self.pinned: int | None = None
        self.clock = 1_000_000_000
        self.engine, *self.other_engines = self.engines

    @initialize(removed=st.sampled_from(["keep", "delete"]), beginning=st.sampled_from([EMPTY, FILLED, FILLED]))
    def begin(self, removed: str, beginning: str) -> None:
        """A lake after a first run, or an empty one, and whether removed photographs leave it."""
        self.removed = removed
        self.world.go_back(beginning)
        if beginning == FILLED:
            self.versions = 1
            self.files = {name: photograph(seed) for name, seed in FIRST.items()}
            self._take_over(self.files)

    def teardown(self) -> None:
        """What was done to a copy has changed no byte of its original."""
        assert {lake: contents_of(lake) for lake in self.left} == self.left

    # ---- what people do to photographs --------------------------------------------------------------------------

    @rule(name=names, seed=seeds)
    def add_or_replace(self, name: tuple[str, int], seed: int) -> None:
        """A photograph under a new name, or another one under an old: repairing what was broken there."""
        self._write(name, photograph(seed))
        self.broken.discard(name)

    @precondition(lambda self: self.files)
    @rule(data=st.data(), label=st.sampled_from(LABELS))
    def move(self, data: Any, label: str) -> None:
        """To another folder, keeping its time stamp."""
        name = data.draw(st.sampled_from(sorted(self.files)))
        target = (label, name[1])
        if target not in self.files:
            self._path(target).parent.mkdir(exist_ok=True)
            self._path(name).rename(self._path(target))
            self.files[target] = self.files.pop(name)
            if name in self.broken:
                self.broken.remove(name)
                self.broken.add(target)

    @precondition(lambda self: self.files)
    @rule(data=st.data())
    def remove(self, data: Any) -> None:
        """Delete a file."""
        name = data.draw(st.sampled_from(sorted(self.files)))
        self._path(name).unlink()
        del self.files[name]
        self.broken.discard(name)

    @precondition(lambda self: self.files)
    @rule(data=st.data(), content=st.sampled_from([b"", b"no photograph", photograph(0)[:-4]]))
    def break_(self, data: Any, content: bytes) -> None:
        """Put something that is no photograph in a photograph's place."""
        name = data.draw(st.sampled_from(sorted(self.files)))
        self._write(name, content)
        self.broken.add(name)

    # ---- what people say of labels ------------------------------------------------------------------------------

    @rule(label=st.sampled_from([None, None, *LABELS]))
    def change_root(self, label: str | None) -> None:
        """One label's folder, whose photographs then have no label, or all of them."""
        root = self.root / label if label else self.root
        if root.is_dir():
            self.listing = root

    @rule(splits=st.lists(st.sampled_from(["apple", "kiwi"]), unique=True))
    def change_splits(self, splits: list[str]) -> None:
        """A folder's name is a split, or is one no more."""
        self.splits = splits

    @precondition(lambda self: self.images)
    @rule(data=st.data(), label=st.sampled_from([None, *LABELS]), split=st.sampled_from([None, "Test"]))
    def relabel(self, data: Any, label: str | None, split: str | None) -> None:
        """Correct a photograph's label or split, and that of all copies."""
        name = data.draw(st.sampled_from(sorted(self.images)))
        old_label, old_split = self.corrections.get(self.images[name], (None, None))
        if label or split:
            relabel(self._workspace().section(Settings), [Labelling(0, str(self._path(name)), label, split)])
            self.corrections[self.images[name]] = (label or old_label, split or old_split)

    @precondition(lambda self: any(content in self.corrections for content in self.images.values()))
    @rule(data=st.data())
    def undo(self, data: Any) -> None:
        """Take a correction back."""
        corrected = sorted(name for name, content in self.images.items() if content in self.corrections)
        name = data.draw(st.sampled_from(corrected))
        undo(self._workspace().section(Settings), [str(self._path(name))])
        del self.corrections[self.images[name]]

    # ---- what people do to the lake -----------------------------------------------------------------------------

    @rule()
    def run(self) -> None:
        """Run all layers."""
        if self._runs():
            self._take()

    @rule(point=st.sampled_from(crash_points()), elsewhere=st.booleans())
    def crash(self, point: str, elsewhere: bool) -> None:
        """A run that dies at a point, if it comes by it, and then another one, by the other engine if there is one."""
        if not self._runs():
            return
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(failpoint.VARIABLE, point)
            patch.setattr(failpoint, "die", self._die)
            try:
                self._take()
            except CrashError:
                patch.delenv(failpoint.VARIABLE)
                if elsewhere:
                    self.lake = self.lake.rename(self._free_place())
                self._switch()
                self._take()

    @precondition(lambda self: self.versions)
    @rule()
    def refit(self) -> None:
        """Fit both models anew: a pin is released."""
        if self._runs():
            self.pinned = None
            self._take(refit="always")

    @precondition(lambda self: self.versions)
    @rule(data=st.data())
    def roll_back(self, data: Any) -> None:
        """Go back to any version there is."""
        self.pinned = data.draw(st.integers(1, self.versions))
        roll_back(self._workspace().section(Settings), self.pinned)
        self._assert_one_version()

    @precondition(lambda self: self.pinned is not None)
    @rule()
    def unpin(self) -> None:
        """Let the next run decide again."""
        assert unpin(self._workspace().section(Settings)) == self.pinned
        self.pinned = None

    @precondition(lambda self: self.versions)
    @rule(aged=st.booleans())
    def maintain(self, aged: bool) -> None:
        """Merge files and remove old ones; where `aged`, hours after all that was done, and with little history."""
        if aged:
            for file in self.lake.rglob("*.*"):
                if "mlflow" not in file.parts and file.is_file():
                    then = file.stat().st_mtime - 7200
                    os.utime(file, (then, then))
        settings = self._workspace().section(Settings)
        maintain_lake(settings.model_copy(update={"history_days": 1 / 24, "reader_hours": 1.0}))
        self._assert_one_version()

    @rule(copy=st.sampled_from([None, shutil.copy2, shutil.copy]), left=st.booleans())
    def move_lake(self, copy: Copy | None, left: bool) -> None:
        """Rename its folder, also back, or go on with a copy, with old times or new; the original is left, or goes."""
        place = self._free_place()
        if copy is None:
            self.lake.rename(place)
        else:
            shutil.copytree(self.lake, place, copy_function=copy)
            if left:
                self.left[self.lake] = contents_of(self.lake)
            else:
                shutil.rmtree(self.lake)
        self.lake = place

    @precondition(lambda self: self.other_engines)
    @rule()
    def switch_engine(self) -> None:
        """Have the other engine make the next runs."""
        self._switch()

    @precondition(lambda self: self.images or self.quarantine)
    @rule(data=st.data())
    def forget(self, data: Any) -> None:
        """Erase a photograph, with all names under which one of its contents is held; their files stay."""
        erased = {data.draw(st.sampled_from(sorted(set(self.images) | self.quarantine)))}
        while copies := self._copies(erased) - erased:
            erased |= copies
        forget(self._workspace().section(Settings), [str(self._path(name)) for name in erased])
        contents = {content for name in erased for content in self.held.pop(name, ())}
        self.images = {name: content for name, content in self.images.items() if name not in erased}
        self.corrections = {one: label for one, label in self.corrections.items() if one not in contents}
        self.quarantine -= erased
        self._assert_one_version()
        for file in self.lake.rglob("*"):
            assert not file.is_file() or not any(one[60:90] in file.read_bytes() for one in contents), file

    # ---- what must be so ----------------------------------------------------------------------------------------

    @invariant()
    def tables_hold_what_the_model_says(self) -> None:
        """Bronze by the model; silver and gold one row each for bronze's images."""
        lake = self._workspace().lake
        if delta.open_table(lake, bronze.tables.IMAGES) is None:
            return
        images = self._rows(bronze.tables.IMAGES)
        assert {name: row["sha256"] for name, row in images.items()} == {
            name: hashlib.sha256(content).hexdigest() for name, content in self.images.items()
        }
        assert set(self._rows(bronze.tables.QUARANTINE)) == self.quarantine
        contents = delta.read_rows(lake, bronze.tables.CONTENTS, ["sha256", "content"])
        held = {row["sha256"]: hashlib.sha256(row["content"]).hexdigest() for row in contents}
        assert len(held) == len(contents)
        assert held == {sha256: sha256 for sha256 in held}
        assert {row["sha256"] for row in images.values()} <= {*held}

    def _assert_one_version(self) -> None:
        features, scaled, projections = (
            self._rows(table) for table in (silver.tables.FEATURES, silver.tables.SCALED, gold.tables.PROJECTIONS)
        )
        content = {name: hashlib.sha256(content).hexdigest() for name, content in self.images.items()}
        assert {name: row["sha256"] for name, row in features.items()} == content
        self._assert_labels_agree(self._rows(bronze.tables.IMAGES), features, projections)
        self._assert_moments()
        registry = self._workspace().registry
        scaler, pca = registry.champion(SCALER), registry.champion(PCA)
        self.versions = len(registry.versions(PCA))
        for table, rows in (("scaled", scaled), ("projections", projections)):
            if rows or (scaler if table == "scaled" else pca):
                assert {name: row["sha256"] for name, row in rows.items()} == content, table
        assert {row["scaler_version"] for row in scaled.values()} <= {scaler.number if scaler else None}
        assert {row["pca_version"] for row in projections.values()} <= {pca.number if pca else None}
        if pca is not None and self.pinned is not None:
            assert pca.number == self.pinned
        if projections and pca is not None and scaler is not None:
            assert pca.tags["scaler_version"] == str(scaler.number)
            self._assert_numbers(features, projections, *fitted_champions(registry))

    def _assert_labels_agree(self, images: dict[Any, Any], *others: dict[Any, Any]) -> None:
        labels = {name: (row["label"], row["split"]) for name, row in images.items()}
        for rows in others:
            assert all((row["label"], row["split"]) == labels[name] for name, row in rows.items())

    def _assert_labels(self) -> None:
        expected = {}
        for name, content in self.images.items():
            given, correct = self.labels[name], self.corrections.get(content, (None, None))
            expected[name] = (correct[0] or given[0], correct[1] or given[1])
        found = {name: (row["label"], row["split"]) for name, row in self._rows(bronze.tables.IMAGES).items()}
        assert found == expected

    def _assert_moments(self) -> None:
        covered = read_moments(self._workspace().lake)
        if covered is None:
            assert not self.images
            return
        expected = Moments.of(self._features()) if self.images else None
        assert covered.moments.count == len(self.images)
        if expected is not None:
            np.testing.assert_allclose(covered.moments.mean, expected.mean, rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(covered.moments.scatter, expected.scatter, rtol=1e-9, atol=1e-6)

    def _assert_numbers(self, features: dict[Any, Any], projections: dict[Any, Any], scaler: Any, pca: Any) -> None:
        names = sorted(self.images)
        np.testing.assert_allclose([features[name]["features"] for name in names], self._features())
        expected = pca.transform(((self._features() - scaler.mean_) / scaler.scale_).astype(np.float32))
        found = [projections[name]["components"] for name in names]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)

    # ---- the model ----------------------------------------------------------------------------------------------

    def _runs(self) -> bool:
        """Whether a run is not refused: a missing folder is none, and an empty one erases nothing."""
        if not self.listing.is_dir():
            self.listing = self.root
        held = [name for name in {*self.images, *self.quarantine} if self._listed(name)]
        return bool(self._listed_files()) or self.removed == "keep" or not held

    def _listed(self, name: tuple[str, int]) -> bool:
        return self.listing in (self.root, self.root / name[0])

    def _listed_files(self) -> dict[tuple[str, int], bytes]:
        return {name: content for name, content in self.files.items() if self._listed(name)}

    def _given(self, name: tuple[str, int]) -> Label:
        is_split = name[0].lower() in self.splits
        return (None if is_split or self.listing != self.root else name[0]), (name[0] if is_split else None)

    def _take(self, **changes: object) -> None:
        files = self._listed_files()
        self._take_over(files)
        workspace = self._workspace(**changes)
        summary = run_pipeline(workspace, LAYERS, lambda: STUB)["bronze"]
        accounted = summary["ingested"] + summary["unchanged"] + summary["quarantined"] + summary["skipped"]
        assert summary["discovered"] == accounted == len(files)
        self._assert_labels()
        self._assert_one_version()

    def _take_over(self, files: Mapping[tuple[str, int], bytes]) -> None:
        for name, content in files.items():
            self.labels[name] = self._given(name)
            if name in self.broken:
                self.quarantine.add(name)
                if self.removed == "delete":
                    self.images.pop(name, None)
            else:
                self.quarantine.discard(name)
                self.images[name] = content
                self.held.setdefault(name, set()).add(content)
        self.quarantine = {name for name in self.quarantine if name in files or not self._listed(name)}
        if self.removed == "delete":
            kept = {name: one for name, one in self.images.items() if name in files or not self._listed(name)}
            self.images = kept

    def _copies(self, names: set[tuple[str, int]]) -> set[tuple[str, int]]:
        contents = {content for name in names for content in self.held.get(name, ())}
        return {name for name, content in self.images.items() if content in contents}

    def _features(self) -> Any:
        return np.stack([stub_features(memoryview(self.images[name])) for name in sorted(self.images)]).astype(
            np.float64
        )

    # ---- the world ----------------------------------------------------------------------------------------------

    def _workspace(self, **changes: object) -> Workspace:
        options: dict[str, object] = {"removed_images": self.removed, "weights": "untrained", **changes}
        options |= {"splits": self.splits, "engine": self.engine}
        settings = load_settings(images=str(self.listing), lake=str(self.lake), **options)
        return Workspace(settings, guard=allow)

    def _switch(self) -> None:
        self.engine, *self.other_engines = *self.other_engines, self.engine

    def _free_place(self) -> Path:
        places = (self.world.lake.with_name(f"lake-{number}") for number in itertools.count())
        return next(place for place in places if not place.exists())

    def _rows(self, table: Table) -> dict[tuple[str, int], dict[str, Any]]:
        found = delta.existing(self._workspace().lake, table).to_pyarrow_table().to_pylist()
        rows = {(Path(row["path"]).parent.name, int(Path(row["path"]).stem)): row for row in found}
        assert len(rows) == len(found)
        return rows

    def _path(self, name: tuple[str, int]) -> Path:
        return self.root / name[0] / f"{name[1]}.png"

    def _write(self, name: tuple[str, int], content: bytes) -> None:
        path = self._path(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        self.clock += 1  # two writes within a clock's tick would look like one
        os.utime(path, (self.clock, self.clock))
        self.files[name] = content

    @staticmethod
    def _die() -> None:
        raise CrashError


LIMITS = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],  # a step takes seconds: what fails is printed, not shrunk
    print_blob=True,
    database=None,
)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, tracking_store: Path, blank_pictures: None) -> type[Lakehouse]:
    """The machine, with both beginnings to go back to."""
    world = Lakehouse.world = World(tmp_path_factory.mktemp("machine"))
    (world.lake / "mlflow").mkdir(parents=True)
    shutil.copy(tracking_store, world.lake / "mlflow")
    world.keep(EMPTY)
    for (label, number), seed in FIRST.items():
        (world.photographs / label).mkdir(exist_ok=True)
        (world.photographs / label / f"{number}.png").write_bytes(photograph(seed))
    settings = load_settings(images=str(world.photographs), lake=str(world.lake), weights="untrained")
    run_pipeline(Workspace(settings, guard=allow), LAYERS, lambda: STUB)
    world.keep(FILLED)
    return Lakehouse


def test_lake_holds_what_a_plain_model_says(machine: type[Lakehouse]) -> None:
    """A few dozen steps, the same ones each time."""
    limits = settings(LIMITS, max_examples=EXAMPLES, stateful_step_count=STEPS)
    run_state_machine_as_test(seeded(SEED)(type("Seeded", (machine,), {})), settings=limits)


@pytest.mark.soak
def test_lake_holds_what_a_plain_model_says_for_hundreds_of_steps(machine: type[Lakehouse]) -> None:
    """A thousand, others each time."""
    limits = settings(LIMITS, max_examples=25, stateful_step_count=40)
    run_state_machine_as_test(machine, settings=limits)


@pytest.mark.soak
@pytest.mark.parametrize("engines", [("spark",), ("spark", "local")], ids=" and ".join)
def test_lake_holds_what_a_plain_model_says_on_spark(
    machine: type[Lakehouse], spark: "SparkSession", engines: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Spark, and switched between both: a hundred steps each."""
    monkeypatch.setattr(machine, "engines", engines)
    limits = settings(LIMITS, max_examples=4, stateful_step_count=25)
    run_state_machine_as_test(machine, settings=limits)
