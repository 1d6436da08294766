"""`fruits identify`, through the command, on a lake of drawn photographs."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from fruits.app.known import LakeView
from fruits.cli import app
from fruits.demo.draw import draw_photograph, draw_photographs
from fruits.identify.identifier import Identifier, NothingKnownError
from fruits.operations.rollback import roll_back, unpin
from fruits.operations.run import run_layers
from fruits.settings import Settings, load_settings
from gold.tables import CALIBRATIONS, PCA
from lakehouse.tables import delta
from lakehouse.workspace import Workspace
from silver.encoders.base import WeightsNotFoundError

pytestmark = pytest.mark.usefixtures("blank_pictures")

KINDS = ("Apple Red", "Banana", "Kiwi")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A lake of three kinds, in a training and a test split."""
    folder = tmp_path_factory.mktemp("identify")
    draw_photographs(folder / "photographs", views=12, kinds=KINDS, size=48)
    settings = load_settings(images=str(folder / "photographs"), lake=str(folder / "lake"), weights="untrained")
    run_layers(settings)
    return settings


@pytest.fixture
def kiwi(tmp_path: Path) -> Path:
    """A photograph of a kiwi that is not in the lake."""
    draw_photograph("Kiwi", view=15, size=48).save(tmp_path / "new kiwi.png")
    return tmp_path / "new kiwi.png"


def ask(settings: Settings, photos: Sequence[Path | str]) -> tuple[int, list[dict[str, Any]]]:
    """Exit status and answers of the command."""
    found = CliRunner().invoke(
        app, ["identify", *map(str, photos), "--lake", settings.lake, "--format", "json"], catch_exceptions=False
    )
    return found.exit_code, json.loads(found.stdout)


def test_new_photograph_is_told_with_its_neighbours(settings: Settings, kiwi: Path) -> None:
    """Label, how sure, and the nearest ones with paths that are in the lake."""
    status, (answer,) = ask(settings, [kiwi])
    assert status == 0
    assert answer["photo"] == str(kiwi)
    assert (answer["label"], answer["known"]) == ("Kiwi", True)
    assert 0.5 <= answer["confidence"] <= 1
    distances = [one["distance"] for one in answer["neighbours"]]
    assert distances == sorted(distances)
    assert answer["neighbours"][0]["label"] == "Kiwi"
    assert all(Path(one["path"].removeprefix("file://")).is_file() for one in answer["neighbours"])


def test_photograph_of_the_lake_is_its_own_neighbour(settings: Settings) -> None:
    """At distance 0, but for rounding."""
    photo = next(Path(str(settings.images).removeprefix("file://")).glob("Training/Banana/*"))
    _, (answer,) = ask(settings, [photo])
    assert answer["neighbours"][0] == {
        "path": f"file://{photo}",
        "label": "Banana",
        "distance": pytest.approx(0, abs=1e-3),
    }


def test_photo_that_cannot_be_read_stops_no_other(settings: Settings, kiwi: Path, tmp_path: Path) -> None:
    """Each is answered in its place, and the status says that not all were."""
    (tmp_path / "notes.txt").write_text("no photograph")
    (tmp_path / "empty.jpg").touch()
    status, answers = ask(
        settings, [tmp_path / "notes.txt", kiwi, tmp_path / "none.jpg", tmp_path / "empty.jpg", tmp_path]
    )
    assert status == 1
    assert [answer.keys() == {"photo", "error"} for answer in answers] == [True, False, True, True, True]
    assert "not_an_image" in answers[0]["error"]
    assert "No such file" in answers[2]["error"]
    assert "empty" in answers[3]["error"]


def test_something_else_has_no_label(settings: Settings, tmp_path: Path) -> None:
    """And is less sure than an even chance; its neighbours are shown all the same."""
    draw_photograph("Plum", view=15, size=48).save(tmp_path / "plum.png")
    status, (answer,) = ask(settings, [tmp_path / "plum.png"])
    assert (status, answer["label"], answer["known"]) == (0, None, False)
    assert answer["confidence"] < 0.5
    assert answer["neighbours"]


def test_table_is_for_people(settings: Settings, kiwi: Path, tmp_path: Path) -> None:
    """A line a photograph, and brackets in a name are no markup."""
    (tmp_path / "[red].txt").write_text("no photograph")
    found = CliRunner().invoke(app, ["identify", str(kiwi), str(tmp_path / "[red].txt"), "--lake", settings.lake])
    assert found.exit_code == 1
    assert "Kiwi" in found.stdout
    assert "[red].txt" in found.stdout.replace("\n", "")


def test_lake_that_knows_nothing_says_what_to_do(tmp_path: Path, kiwi: Path) -> None:
    """No lake, which is not made by asking."""
    found = CliRunner().invoke(app, ["identify", str(kiwi), "--lake", str(tmp_path / "lake")])
    assert isinstance(found.exception, NothingKnownError)
    assert "`fruits run` makes one" in str(found.exception)
    assert not (tmp_path / "lake").exists()


def test_model_that_is_lost_is_named_and_made_anew(settings: Settings, kiwi: Path) -> None:
    """By the next run, which has nothing else to do."""
    shutil.rmtree(Workspace(settings).lake.folder("models"))
    found = CliRunner().invoke(app, ["identify", str(kiwi), "--lake", settings.lake])
    assert isinstance(found.exception, WeightsNotFoundError)
    assert "-r1.tflite is not there: `fruits run`" in str(found.exception)
    run_layers(settings)
    assert ask(settings, [kiwi])[1][0]["label"] == "Kiwi"


def test_lake_of_an_older_release_is_calibrated_by_a_run(settings: Settings, kiwi: Path) -> None:
    """Which fits nothing anew."""
    shutil.rmtree(Workspace(settings).lake.folder("gold/calibrations"))
    with pytest.raises(NothingKnownError, match=r"Version 1 of the PCA is not calibrated yet: `fruits gold`"):
        Identifier.open(settings)
    run_layers(settings)
    assert ask(settings, [kiwi])[1][0]["label"] == "Kiwi"
    assert len(Workspace(settings).registry.versions(PCA)) == 1


def test_fit_logs_how_well_photographs_are_told(settings: Settings) -> None:
    """By split, with the version's other metrics; a second run logs and writes nothing."""
    workspace = Workspace(settings)
    champion = workspace.registry.champion(PCA)
    assert champion is not None
    model = workspace.mirror.model_of(workspace.registry, PCA)
    assert model is not None
    run_id = workspace.mirror.run_ids(model)[champion.number]
    metrics = MlflowClient(workspace.mirror.tracking_uri).get_run(run_id).data.metrics
    assert metrics["accuracy_training"] > 0.8
    assert metrics["accuracy_test"] > 0.8  # of an untrained network
    assert 0 <= metrics["unknown_test"] <= 1
    assert 0 < metrics["unknown_threshold"] < 1
    before = delta.existing(workspace.lake, CALIBRATIONS).version()
    run_layers(settings)
    assert delta.existing(workspace.lake, CALIBRATIONS).version() == before


def test_unlabelled_photographs_are_neighbours_alone(settings: Settings, kiwi: Path, tmp_path: Path) -> None:
    """A flat folder has no labels to tell."""
    draw_photographs(tmp_path / "drawn", views=6, kinds=KINDS[:1], size=48)
    (tmp_path / "flat").mkdir()
    for file in (tmp_path / "drawn").rglob("*.jpg"):
        file.rename(tmp_path / "flat" / file.name)
    flat = load_settings(images=str(tmp_path / "flat"), lake=str(tmp_path / "lake"), weights="untrained")
    run_layers(flat)
    (row,) = delta.existing(Workspace(flat).lake, CALIBRATIONS).to_pyarrow_table().to_pylist()
    assert (row["known_ratio_p98"], row["unknown_threshold"], row["photographs"]) == (None, None, 6)
    status, (answer,) = ask(flat, [kiwi])
    assert (status, answer["label"], answer["known"], answer["confidence"]) == (0, None, False, 0.0)
    assert {one["label"] for one in answer["neighbours"]} == {None}


def test_older_version_answers_after_a_rollback(settings: Settings, kiwi: Path) -> None:
    """With its own components. The last of these tests, for it adds photographs."""
    older = Identifier.open(settings)
    images = Path(str(settings.images).removeprefix("file://"))
    draw_photographs(images, views=12, kinds=("Plum",), size=48)
    run_layers(settings.model_copy(update={"refit": "always"}))
    newer = Identifier.open(settings)
    roll_back(settings, older.pca_version)
    again = Identifier.open(settings)
    assert (older.pca_version, newer.pca_version, again.pca_version) == (1, 2, 1)
    content = kiwi.read_bytes()
    np.testing.assert_allclose(again.identify(content).components, older.identify(content).components, atol=1e-4)
    assert len(again.map_points[2]) == len(newer.map_points[2])
    assert ask(settings, [kiwi])[1][0]["label"] == "Kiwi"
    unpin(settings)


def test_one_component_is_enough(settings: Settings, kiwi: Path, tmp_path: Path) -> None:
    """Where it explains what the settings ask for: there is an answer, and a place on the page's map."""
    small = settings.model_copy(update={"lake": f"file://{tmp_path}/lake", "threshold": 0.01})
    shutil.copytree(Path(settings.lake.removeprefix("file://")) / "models", tmp_path / "lake" / "models")
    run_layers(small)
    status, (answer,) = ask(small, [kiwi])
    assert (status, len(answer["neighbours"])) == (0, 8)
    known = LakeView(small)
    told = known.identify(kiwi.read_bytes())
    assert told["at"][1] == 0
    assert {one["at"][1] for one in told["neighbours"] if one["at"]} == {0}
    assert set(known.map()["pc2"]) == {0}
