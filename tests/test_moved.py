"""A lake is the same lake at another place: moved, copied, or reached by a link."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from fruits.operations.health import examine_files, examine_lake
from fruits.operations.rollback import roll_back
from fruits.operations.run import run_layers
from fruits.query.models import list_models
from fruits.settings import Settings, load_settings
from gold.tables import PCA
from lakehouse.workspace import Workspace
from tests import stub
from tests.comparing import contents_of
from tests.conftest import add_photographs
from tests.world import World

Move = Callable[[Path, Path], object]


def link(old: Path, new: Path) -> None:
    """Reach a lake by another name."""
    new.symlink_to(old)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, stub_encoder: str, blank_pictures: None) -> World:
    """A lake with two versions of the PCA."""
    world = World(tmp_path_factory.mktemp("moved"))
    for number, label in enumerate(("Apple", "Kiwi")):
        add_photographs(world.photographs, label, range(8 * number, 8 * number + 8))
        run_layers(settings_of(world.photographs, world.lake, refit="always"))
    world.keep("two versions")
    return world


def settings_of(photographs: Path, lake: Path, **options: str) -> Settings:
    """Of a lake, wherever it is."""
    return load_settings(images=str(photographs), lake=str(lake), encoder=stub.NAME, **options)


@pytest.mark.parametrize("move", [shutil.move, shutil.copytree, link], ids=["moved", "copied", "linked"])
def test_everything_works_where_the_lake_is_now(world: World, tmp_path: Path, move: Move) -> None:
    """New photographs, a refit, a rollback and doctor; plots are found; of a copy the original keeps every byte."""
    world.go_back("two versions")
    old, new = world.lake, tmp_path / "b" / "lake"
    new.parent.mkdir()
    before = contents_of(old)
    move(old, new)
    there = settings_of(world.photographs, new)
    add_photographs(world.photographs, "Lemon", range(16, 20))
    assert run_layers(there)["bronze"]["ingested"] == 4
    add_photographs(world.photographs, "Mango", range(20, 30))
    assert run_layers(there.model_copy(update={"refit": "always"}))["gold"]["refit"] is not None
    assert roll_back(there, 1)["projected"] == 30
    assert [finding.name for finding in (*examine_lake(there), *examine_files(there)) if not finding.ok] == []
    assert [model["pca_version"] for model in list_models(there) if model["champion"]] == [1]
    workspace = Workspace(there)
    client = MlflowClient(workspace.mirror.tracking_uri)
    for version in client.search_model_versions(f"name = '{PCA}'"):
        run = client.get_run(str(version.run_id))
        assert client.list_artifacts(run.info.run_id, "figures")
        for place in (Path(str(version.source)), Path(str(run.info.artifact_uri))):
            assert place.is_relative_to(new)
            assert place.is_dir()
    if move is shutil.copytree:
        assert contents_of(old) == before
