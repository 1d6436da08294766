"""What MLflow shows of a lake: what a run shows there, what a person changes there, and what its loss costs."""

import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient

from fruits.operations.health import examine_lake, repair
from fruits.operations.rollback import roll_back
from fruits.operations.run import LAYERS, Summary, run_pipeline
from fruits.query.models import list_models
from fruits.settings import Settings
from gold.tables import EXPLAINED_VARIANCE, PCA, PROJECTIONS
from lakehouse.errors import LeaseLostError
from lakehouse.progress import NullProgress
from lakehouse.tables import delta
from lakehouse.workspace import Workspace
from silver.encoders.base import Encoder
from silver.tables import SCALED, SCALER
from tests.conftest import add_photographs

pytestmark = pytest.mark.usefixtures("blank_pictures")

Run = Callable[..., Summary]


class Told(NullProgress):
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def log(self, message: str) -> None:
        """Keep a message."""
        self.told.append(message)


@pytest.fixture
def told() -> Told:
    """What runs have logged."""
    return Told()


@pytest.fixture
def run(workspace: Workspace, encoder: Encoder, told: Told) -> Run:
    """Run all layers under other settings, as the next process does."""

    def run(**settings: object) -> Summary:
        again = Workspace(workspace.settings.model_copy(update=settings), told, lambda: None)
        return run_pipeline(again, LAYERS, lambda: encoder)

    return run


@pytest.fixture
def client(workspace: Workspace) -> MlflowClient:
    """A person's own way to the store."""
    return MlflowClient(f"sqlite:///{workspace.lake.folder('mlflow')}/mlflow.db")


@pytest.fixture
def refitted(run: Run, photographs: Path) -> None:
    """Two versions of the PCA, the newer one champion."""
    add_photographs(photographs / "Training", "Apple", range(8))
    add_photographs(photographs / "Test", "Lemon", range(8, 12))
    run()
    add_photographs(photographs / "Training", "Kiwi", range(12, 16))
    assert run(refit="always")["gold"]["pca_version"] == 2


def wrong(settings: Settings) -> dict[str, str]:
    """What is not well, and what was found."""
    return {finding.name: finding.found for finding in examine_lake(settings) if not finding.ok}


def rows(workspace: Workspace) -> Mapping[str, Any]:
    """What the lake holds, in the order of paths."""
    tables = (SCALED, PROJECTIONS)
    found = {one.name: delta.existing(workspace.lake, one).to_pyarrow_table().sort_by("path") for one in tables}
    return {name: table.to_pylist() for name, table in found.items()}


def test_fit_is_shown_with_its_curve_figures_and_tables(
    workspace: Workspace, refitted: None, client: MlflowClient
) -> None:
    """Parameters, metrics, the whole curve, pictures, and the versions of the tables it was fitted on."""
    shown = client.get_model_version_by_alias(PCA, "champion")
    logged = client.get_run(str(shown.run_id))
    (model,) = [one for one in list_models(workspace.section(Settings)) if one["champion"]]
    assert model["run_id"] == shown.run_id
    assert logged.data.params["components"] == str(model["components"])
    assert (logged.data.params["images"], logged.data.params["reason"]) == ("16", "the scaler changed")
    assert logged.data.metrics["explained_variance"] == pytest.approx(model["explained_variance"])
    assert logged.data.metrics["accuracy_training"] >= 0
    curve = client.get_metric_history(str(shown.run_id), "cumulative_explained_variance")
    cumulative = delta.rows_where(workspace.lake, EXPLAINED_VARIANCE, "pca_version", [2], ["component", "cumulative"])
    expected = [(row["component"], row["cumulative"]) for row in sorted(cumulative, key=lambda row: row["component"])]
    np.testing.assert_allclose(sorted((point.step, point.value) for point in curve), expected)
    figures = {artifact.path for artifact in client.list_artifacts(str(shown.run_id), "figures")}
    assert figures == {f"figures/{name}" for name in ("scree.png", "scree.html", "pc1-pc2.png", "labels.png")}
    inputs = {one.dataset.name: one.dataset.digest for one in logged.inputs.dataset_inputs}
    assert inputs.keys() == {"silver.features", "silver.moments", "silver.scaled"}
    assert inputs["silver.scaled"] == str(delta.existing(workspace.lake, SCALED).version())
    assert [int(one.version) for one in client.search_model_versions(f"name = '{SCALER}'")] == [2, 1]


def test_champion_that_a_person_moves_is_obeyed_as_a_rollback(
    workspace: Workspace, refitted: None, run: Run, told: Told, client: MlflowClient, encoder: Encoder
) -> None:
    """The next run pins it, rescales and reprojects, and says so once."""
    client.set_registered_model_alias(PCA, "champion", "1")
    summary = run()
    assert (summary["silver"]["scaler_version"], summary["gold"]["pca_version"]) == (1, 1)
    assert summary["gold"]["projected"] == 16
    assert told.told[0] == f"{PCA} version 1 is champion in MLflow: it is pinned, as by `fruits rollback 1`."
    assert client.get_registered_model(PCA).aliases == {"champion": 1, "pinned": 1}
    moved = rows(workspace)
    told.told.clear()
    assert run()["gold"]["projected"] == 0
    assert "in MLflow" not in " ".join(told.told)
    run(refit="always")
    roll_back(workspace.section(Settings), 1)
    assert rows(workspace) == moved


def test_what_mlflow_keeps_is_never_read_back(
    workspace: Workspace, refitted: None, run: Run, photographs: Path
) -> None:
    """Whatever stands in its artifacts, the lake's models are those that were fitted: nothing is deserialised."""
    before = rows(workspace)
    files = [one for one in Path(workspace.lake.folder("mlflow"), "artifacts").rglob("*") if one.is_file()]
    assert len(files) > 10
    for file in files:
        file.write_bytes(b"cos\nsystem\n(S'touch harmed'\ntR.")
    add_photographs(photographs / "Training", "Apple", range(16, 18))
    assert run(threshold_slack=0.5, scaler_mean_limit=9.0, scaler_variance_range=(0.01, 99))["gold"]["projected"] == 2
    kept = {name: [row for row in table if "/16." not in row["path"] and "/17." not in row["path"]]
            for name, table in rows(workspace).items()}  # fmt: skip
    assert kept == before
    roll_back(workspace.section(Settings), 1)
    assert not Path("harmed").exists()


@pytest.mark.parametrize("loss", ["folder", "model", "experiment"])
def test_loss_of_mlflow_costs_what_it_shows_alone(
    workspace: Workspace, refitted: None, run: Run, told: Told, client: MlflowClient, loss: str
) -> None:
    """Runs and rollbacks go on; doctor finds it, and `doctor --repair` shows again what the tables hold."""
    match loss:
        case "folder":
            shutil.rmtree(workspace.lake.folder("mlflow"))
        case "model":
            client.delete_registered_model(PCA)
        case "experiment":
            experiment = client.get_experiment_by_name("fruits")
            assert experiment is not None
            client.delete_experiment(experiment.experiment_id)
    assert run()["gold"]["projected"] == 0
    roll_back(workspace.section(Settings), 1)
    assert "MLflow" not in " ".join(told.told)
    if loss == "model":  # with the folder goes the word of what was shown there, so that all is shown again
        assert "does not show fruits-" in wrong(workspace.section(Settings))["mlflow"]
        repair(workspace.section(Settings))
    assert wrong(workspace.section(Settings)) == {}
    again = MlflowClient(f"sqlite:///{workspace.lake.folder('mlflow')}/mlflow.db")
    assert again.get_model_version_by_alias(PCA, "champion").tags["fruits.version"] == "1"


def test_store_that_does_not_work_loses_nothing(
    workspace: Workspace, run: Run, photographs: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run fits and projects all the same, and says in one line what it could not show and what shows it later."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    add_photographs(photographs, "Apple", range(8))
    assert run(tracking_uri="http://127.0.0.1:9")["gold"]["projected"] == 8
    (line,) = told.told
    assert line.startswith("MLflow's store http://127.0.0.1:9 does not work: ")
    assert line.endswith("`fruits doctor --repair` shows them in MLflow when it works.")
    assert run()["gold"]["projected"] == 0
    assert wrong(workspace.section(Settings)) == {}


def test_store_that_stops_working_is_told_once_and_waited_for_once(
    workspace: Workspace, run: Run, photographs: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that nobody answers is asked at the start of a run, and not again for each model."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    add_photographs(photographs, "Apple", range(8))
    run()
    told.told.clear()
    add_photographs(photographs, "Kiwi", range(8, 12))
    assert run(tracking_uri="http://127.0.0.1:9", refit="always")["gold"]["pca_version"] == 2
    (line,) = told.told
    assert line.startswith("MLflow's store http://127.0.0.1:9 does not work: ")
    assert "It was not asked which version is champion." in line
    assert run()["gold"]["projected"] == 0
    assert wrong(workspace.section(Settings)) == {}


def test_lease_lost_while_the_scaler_is_shown_ends_the_run(
    workspace: Workspace, photographs: Path, encoder: Encoder, run: Run
) -> None:
    """It is shown beside gold, in a thread of its own; what is raised there reaches the run, and gold has ended."""
    add_photographs(photographs, "Apple", range(8))
    main = threading.current_thread()

    def guard() -> None:
        if threading.current_thread() is not main:
            raise LeaseLostError("The lease is lost.")

    robbed = Workspace(workspace.settings, NullProgress(), guard)
    with pytest.raises(LeaseLostError):
        run_pipeline(robbed, LAYERS, lambda: encoder)
    assert delta.count(workspace.lake, PROJECTIONS) == 8
    assert run()["gold"]["projected"] == 0
    assert wrong(workspace.section(Settings)) == {}
