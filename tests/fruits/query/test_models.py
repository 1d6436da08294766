"""`fruits models --compare` and `fruits ui`: what there is to choose a version by, in the terminal and in a browser."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from fruits.operations.run import LAYERS, run_pipeline
from fruits.operations.ui import serve_ui
from fruits.query.compare import compare, show_comparison
from fruits.settings import Settings, load_settings
from gold.tables import MODELS, PCA
from lakehouse.errors import LakehouseError, MirrorError, SettingsError
from lakehouse.models.registry import Registry
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.workspace import Workspace
from silver.tables import SCALER
from tests.conftest import add_photographs
from tests.faults import noise, to_folder
from tests.fruits.cli.test_cli import call
from tests.processes import descendants
from tests.stub import STUB

PATIENCE = 60_000  # milliseconds


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A lake with two fits, the second of more photographs."""
    folder = tmp_path_factory.mktemp("models")
    settings = load_settings(images=str(folder / "photographs"), lake=str(folder / "lake"), weights="untrained")
    for label, seeds in (("Apple", range(8)), ("Kiwi", range(8, 14))):
        add_photographs(folder / "photographs", label, seeds)
        workspace = Workspace(settings.model_copy(update={"refit": "always"}))
        run_pipeline(workspace, LAYERS, lambda: STUB)
        workspace.close()
    return settings


# ---- compare --------------------------------------------------------------------------------------------------------


def test_two_versions_stand_side_by_side(settings: Settings) -> None:
    """Each with its figures, what the first components of each explain, and the angles between them."""
    found = compare(settings, 1, 2)
    one, two = found["versions"]
    assert [(one[key], two[key]) for key in ("pca_version", "images", "scaler_version")] == [(1, 2), (8, 14), (1, 2)]
    assert (one["champion"], two["champion"]) == (False, True)
    common = found["common_components"]
    assert common == min(one["components"], two["components"])
    for version in (one, two):
        assert 0 < version["cumulative_at_common"] <= version["explained_variance"]
    assert any(version["cumulative_at_common"] == version["explained_variance"] for version in (one, two))
    angles = found["angles"]
    assert angles is not None
    degrees = angles["degrees"]
    assert len(degrees) == common
    assert degrees == sorted(degrees)
    assert 0 < angles["mean"] < angles["largest"] == degrees[-1] <= 90
    assert angles["scaler_version"] == 2


def test_features_of_another_version_have_no_angle(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are another space, even where there are as many of them; all else is compared."""
    shutil.copytree(settings.lake.removeprefix("file://"), tmp_path / "lake")
    other = settings.model_copy(update={"lake": f"file://{tmp_path}/lake"})
    models = delta.existing(Lake(other.lake), MODELS)
    models.update(updates={"feature_version": "'stub-r0'"}, predicate="pca_version = 1")
    found = compare(other, 1, 2)
    assert found["angles"] is None
    assert [version["images"] for version in found["versions"]] == [8, 14]
    show_comparison(found)
    assert "there is no angle between" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("versions", "message"),
    [
        ((1, 7), "There is no PCA version 7; `fruits models` lists 1, 2"),
        ((2, 2), "takes two versions, and 2 is one"),
    ],
)
def test_version_that_cannot_be_compared_is_told(settings: Settings, versions: tuple[int, int], message: str) -> None:
    """One that is not there, or the same twice."""
    with pytest.raises(SettingsError, match=message):
        compare(settings, *versions)


def test_command_compares(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """For the eye, and as JSON."""
    assert call("models", "--compare", "1", "2", "--lake", settings.lake) == 0
    shown = capsys.readouterr().out
    assert re.search(r"version 1 +version 2", shown)
    assert re.search(r"images +8 +14", shown)
    assert re.search(r"explained by the first \d", " ".join(shown.split()))
    assert re.search(r"Principal angles .*°.* as scaler 2 sees", shown)
    assert call("models", "--compare", 1, 2, "--lake", settings.lake, "--format", "json") == 0
    assert json.loads(capsys.readouterr().out).keys() == {"versions", "common_components", "angles"}


# ---- all that is known ----------------------------------------------------------------------------------------------


def test_json_has_all_that_the_lake_knows_of_each_version(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the tables and the registry hold, beside the table's columns; the runs are those that MLflow has."""
    assert call("models", "--lake", settings.lake, "--format", "json") == 0
    told = json.loads(capsys.readouterr().out)
    lake = Lake(settings.lake)
    registry = Registry(lake)
    models = sorted(delta.read_rows(lake, MODELS, MODELS.schema.names), key=lambda row: row["pca_version"])
    assert [one["pca_version"] for one in told] == [row["pca_version"] for row in models] == [1, 2]
    client = MlflowClient(f"sqlite:///{settings.lake.removeprefix('file://')}/mlflow/mlflow.db")
    for one, row in zip(told, models, strict=True):
        assert {name: one[name] for name in MODELS.schema.names if name != "fitted_at"} == {
            name: value for name, value in row.items() if name != "fitted_at"
        }
        pca, scaler = registry.version(PCA, row["pca_version"]), registry.version(SCALER, row["scaler_version"])
        assert pca is not None
        assert scaler is not None
        assert (one["fit"], one["tags"], one["encoder"]) == (pca.fit, pca.tags, "stub")
        assert (one["scaler"]["number"], one["scaler"]["fit"], one["scaler"]["tags"]) == (
            scaler.number,
            scaler.fit,
            scaler.tags,
        )
        assert [part["component"] for part in one["explained"]] == [*range(1, row["components"] + 1)]
        assert one["explained"][-1]["cumulative"] == pytest.approx(row["explained_variance"])
        assert sum(part["ratio"] for part in one["explained"]) == pytest.approx(row["explained_variance"])
        assert registry.arrays(pca)["variance"][: row["components"]] == pytest.approx(
            [part["variance"] for part in one["explained"]]
        )
        assert one["calibration"]["photographs"] == row["images"]
        assert client.get_run(one["run_id"]).info.status == "FINISHED"
        assert one["tracking_uri"] == f"{settings.lake}/mlflow"
    assert [[choice["reason"] for choice in one["choices"]] for one in told] == [[row["reason"]] for row in models]
    assert [(one["champion"], one["pinned"]) for one in told] == [(False, False), (True, False)]


def test_table_of_versions_has_the_columns_to_choose_by(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """And no more, for the eye."""
    assert call("models", "--lake", settings.lake) == 0
    shown = capsys.readouterr().out.split()
    assert {"version", "k", "explained", "images", "scaler", "champion"} <= {*shown}
    assert not {"tags", "encoder", "calibration", "choices"} & {*shown}


# ---- the UI ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(settings: Settings) -> Iterator[str]:
    """Where `fruits ui` says that it is; at the end Ctrl-C ends it, and all that it started, with status 0."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "fruits", "ui", "--lake", settings.lake, "--port", str(port)]
    # Proxies that lead nowhere, also for this machine's names: nothing that is needed comes from a network.
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"), "http://127.0.0.1:9")
    environment = {**os.environ, **nowhere}
    for name in ("NO_PROXY", "no_proxy"):
        environment.pop(name, None)
    ui = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert ui.stdout is not None
        address = f"http://127.0.0.1:{port}"
        assert [ui.stdout.readline() for _ in range(5)] == [
            f"MLflow's UI is at {address}/#/experiments/1 until Ctrl-C.\n",
            f"The versions of {PCA}: {address}/#/models/{PCA}\n",
            f"Its champion, version 2: {address}/#/models/{PCA}/versions/2\n",
            f"The versions of {SCALER}: {address}/#/models/{SCALER}\n",
            f"Its champion, version 2: {address}/#/models/{SCALER}/versions/2\n",
        ]
        yield address
        started = descendants(ui.pid)
        assert started
        ui.send_signal(signal.SIGINT)
        assert ui.wait(30) == 0
        assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []
    finally:
        ui.terminate()
        ui.wait()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """A page in which nothing is asked of any other machine."""
    asked: list[str] = []
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(PATIENCE)
    page.on("request", lambda request: asked.append(request.url))
    yield page
    page.close()
    assert [url for url in asked if not url.startswith((address, "data:", f"blob:{address}"))] == []


def run_of(settings: Settings, version: int) -> str:
    """The page of a version's run, below the UI's address."""
    (run,) = [one["run_id"] for one in compare(settings, 1, 2)["versions"] if one["pca_version"] == version]
    return f"#/experiments/1/runs/{run}"


@pytest.mark.slow
def test_run_shows_its_curve_and_figures(settings: Settings, address: str, page: Any, tmp_path: Path) -> None:
    """The cumulative explained variance as a curve, the scree plot as a picture and as a page to move about in."""
    run = f"{address}/{run_of(settings, 2)}"
    page.goto(f"{run}/model-metrics")
    page.get_by_text("cumulative_explained_variance").first.wait_for()
    curve = page.locator(".js-plotly-plot").filter(has_text="Step").locator(".scatterlayer path.js-line")
    curve.first.wait_for()
    page.screenshot(path=tmp_path / "curve.png")
    assert curve.first.get_attribute("d").count("L") + curve.first.get_attribute("d").count("C") >= 2
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("figures", exact=True).click()
    page.get_by_text("scree.png", exact=True).click()
    page.wait_for_function("[...document.images].some(image => image.naturalWidth > 800)")
    page.screenshot(path=tmp_path / "scree.png")
    page.get_by_text("scree.html", exact=True).click()
    page.frame_locator("iframe").locator(".js-plotly-plot .barlayer").wait_for()
    page.screenshot(path=tmp_path / "scree-page.png")


@pytest.mark.slow
def test_run_says_what_a_version_is_chosen_by(settings: Settings, address: str, page: Any) -> None:
    """Figures, why it was fitted, on which tables, and which version it became."""
    page.goto(f"{address}/{run_of(settings, 2)}")
    page.get_by_role("heading", name="Registered models").wait_for()
    for text in ("explained_variance", "threshold", "feature_version", "reason", "silver.features", "fruits-pca", "v2"):
        page.get_by_text(text).first.wait_for()


def test_port_that_is_taken_is_told(settings: Settings) -> None:
    """Before MLflow is started."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"Port {port} cannot be used: Address already in use"):
            serve_ui(settings, port)


@pytest.mark.parametrize("damage", [noise, to_folder])
def test_store_that_does_not_work_is_told(settings: Settings, tmp_path: Path, damage: Callable[[Path], object]) -> None:
    """In a sentence, where MLflow's server would show its traces or try again for minutes."""
    shutil.copytree(settings.lake.removeprefix("file://"), tmp_path / "lake")
    damage(tmp_path / "lake/mlflow/mlflow.db")
    damaged = settings.model_copy(update={"lake": f"file://{tmp_path}/lake"})
    with pytest.raises(MirrorError, match=r"MLflow's store .*mlflow\.db does not work: "):
        serve_ui(damaged, 0)


def test_lake_that_is_not_there_has_no_ui(settings: Settings, tmp_path: Path) -> None:
    """And is not made by who looks."""
    with pytest.raises(LakehouseError, match=r"There are no photographs in .*`fruits run` makes them"):
        serve_ui(settings.model_copy(update={"lake": f"file://{tmp_path}/lake"}), 0)
    assert not (tmp_path / "lake").exists()


def test_tracking_server_has_a_ui_of_its_own(settings: Settings) -> None:
    """Its address is told instead."""
    with pytest.raises(LakehouseError, match=r"a UI of its own: http://mlflow\.example"):
        serve_ui(settings.model_copy(update={"tracking_uri": "http://mlflow.example"}), 5000)
