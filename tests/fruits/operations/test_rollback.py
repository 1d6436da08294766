"""Going back to an older PCA with its scaler, staying there, and being let go."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from fruits.operations.rollback import roll_back, unpin
from fruits.operations.run import LAYERS, Summary, run_pipeline
from fruits.query.models import list_models
from fruits.settings import Settings, load_settings
from gold.tables import PCA, PROJECTIONS
from lakehouse.errors import SettingsError
from lakehouse.progress import NullProgress
from lakehouse.tables import delta
from lakehouse.tables.table import Table
from lakehouse.workspace import Workspace
from silver.encoders.base import Encoder
from silver.tables import SCALED, SCALER
from tests.conftest import add_photographs
from tests.stub import STUB
from tests.world import World

pytestmark = pytest.mark.usefixtures("blank_pictures")
READS, MANY_READS = 100, 500
READER = """
import sys, time
from deltalake import DeltaTable
table, column, reads = sys.argv[1], sys.argv[2], 0
print("ready", flush=True)
while reads < int(sys.argv[3]):
    found = set(DeltaTable(table).to_pyarrow_table(columns=[column]).column(column).to_pylist())
    reads += 1
    print(reads, *sorted(found), flush=True)
    time.sleep(0.03)  # so that several changes fall into the reads
"""

Run = Callable[..., Summary]


def take(workspace: Workspace, encoder: Encoder, **changes: object) -> Summary:
    """Take photographs through all layers under the workspace's settings, some of them changed."""
    changed = Workspace(workspace.settings.model_copy(update=changes), workspace.progress)
    return run_pipeline(changed, LAYERS, lambda: encoder)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A lake whose second PCA is of more photographs than its first."""
    world = World(tmp_path_factory.mktemp("rollback"))
    workspace = Workspace(load_settings(images=str(world.photographs), lake=str(world.lake), weights="untrained"))
    add_photographs(world.photographs, "Apple", range(8))
    take(workspace, STUB)
    add_photographs(world.photographs, "Kiwi", range(8, 14))
    assert take(workspace, STUB, refit="always")["gold"]["pca_version"] == 2
    world.keep("two versions")
    return world


@pytest.fixture
def photographs(world: World) -> Path:
    """The world's."""
    return world.photographs


@pytest.fixture
def workspace(world: World) -> Workspace:
    """The world's lake, as it was made."""
    world.go_back("two versions")
    return Workspace(load_settings(images=str(world.photographs), lake=str(world.lake), weights="untrained"))


@pytest.fixture
def run(workspace: Workspace, encoder: Encoder) -> Run:
    """Take the photographs through all layers, some settings changed."""
    return partial(take, workspace, encoder)


def column(settings: Settings, table: Table, name: str) -> set[int]:
    """The values of a column, by delta-rs."""
    rows = delta.existing(Workspace(settings).lake, table).to_pyarrow_table(columns=[name])
    return set(rows.column(name).to_pylist())


def test_rollback_brings_back_the_older_pca_and_its_scaler_for_every_image(workspace: Workspace) -> None:
    """All rows are rescaled and reprojected, the aliases follow, and the version says that it is pinned."""
    summary = roll_back(workspace.section(Settings), 1)
    figures = {key: summary[key] for key in ("scaler_version", "scaled", "projected", "images", "pca_version")}
    assert figures == {"scaler_version": 1, "scaled": 14, "projected": 14, "images": 14, "pca_version": 1}
    assert column(workspace.section(Settings), SCALED, "scaler_version") == {1}
    assert column(workspace.section(Settings), PROJECTIONS, "pca_version") == {1}
    champions = [workspace.registry.champion(name) for name in (SCALER, PCA)]
    assert [one.number for one in champions if one] == [1, 1]
    marks = [(row["pca_version"], row["champion"], row["pinned"]) for row in list_models(workspace.section(Settings))]
    assert marks == [(1, True, True), (2, False, False)]


def test_pinned_version_stays_until_it_is_released(workspace: Workspace, run: Run, photographs: Path) -> None:
    """`auto` projects what is new with it and only reports; released, the next run decides again."""
    roll_back(workspace.section(Settings), 1)
    told: list[str] = []

    class Told(NullProgress):
        def log(self, message: str) -> None:
            told.append(message)

    workspace.progress = Told()
    add_photographs(photographs, "Pear", range(14, 16))
    strict = {"scaler_mean_limit": 1e-9, "threshold": 1.0, "threshold_slack": 0.0}
    summary = run(**strict)
    assert (summary["silver"]["scaler_version"], summary["silver"]["refit"]) == (1, None)
    assert (summary["gold"]["pca_version"], summary["gold"]["projected"], summary["gold"]["refit"]) == (1, 2, None)
    assert [message.partition(";")[0] for message in told] == [
        f"{SCALER} version 1 is pinned",
        f"{PCA} version 1 is pinned",
    ]
    assert unpin(workspace.section(Settings)) == 1
    assert unpin(workspace.section(Settings)) is None
    assert run(**strict)["gold"]["pca_version"] == 3


def test_refit_always_releases_the_pin(workspace: Workspace, run: Run) -> None:
    """The models of these photographs stand in the registry: they are champions again, and not fitted twice."""
    roll_back(workspace.section(Settings), 1)
    assert run(refit="always")["gold"]["pca_version"] == 2
    assert workspace.registry.pinned(PCA) is None
    assert [len(workspace.registry.versions(name)) for name in (SCALER, PCA)] == [2, 2]


def test_rollback_that_cannot_be_is_refused_before_anything_changes(workspace: Workspace) -> None:
    """A version that is not there."""
    with pytest.raises(SettingsError, match=r"no fruits-pca version 7\. Versions: 1, 2"):
        roll_back(workspace.section(Settings), 7)
    assert workspace.registry.pinned(PCA) is None
    assert column(workspace.section(Settings), PROJECTIONS, "pca_version") == {2}


def test_rollback_to_other_features_is_refused(workspace: Workspace, run: Run, encoder: Encoder) -> None:
    """A PCA means nothing to features of other weights."""
    other = Encoder("stub-r2", encoder.dimension, encoder.load)
    run_pipeline(Workspace(workspace.settings), LAYERS, lambda: other)
    with pytest.raises(SettingsError, match="was fitted on the features stub-r1; the lake holds stub-r2"):
        roll_back(workspace.section(Settings), 1)


@pytest.mark.parametrize("reads", [READS, pytest.param(MANY_READS, marks=pytest.mark.slow)])
def test_readers_in_another_process_never_see_two_versions(workspace: Workspace, run: Run, reads: int) -> None:
    """Hundreds of reads of each table by delta-rs, while versions change under them."""
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, workspace.lake.path(table), name, str(reads)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for table, name in ((PROJECTIONS, "pca_version"), (SCALED, "scaler_version"))
    ]
    assert [reader.stdout.readline() for reader in readers if reader.stdout] == ["ready\n"] * 2
    changes = 0
    while any(reader.poll() is None for reader in readers):
        roll_back(workspace.section(Settings), 1 + changes % 2)
        changes += 1
    for reader in readers:
        lines = [line.split() for line in reader.communicate()[0].splitlines()]
        assert reader.returncode == 0
        assert len(lines) == reads
        assert {len(line) for line in lines} == {2}  # the read's number, and one version
        assert {line[1] for line in lines} == {"1", "2"}
    assert changes >= 2
