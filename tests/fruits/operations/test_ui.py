"""The addresses that `fruits ui` prints, each opened in a browser: MLflow's own pages of this lake's models."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fruits.operations.run import LAYERS, run_pipeline
from fruits.query.models import list_models
from fruits.settings import Settings, load_settings
from gold.tables import PCA
from lakehouse.workspace import Workspace
from silver.tables import SCALER
from tests.conftest import add_photographs
from tests.fruits.conftest import browser as browser
from tests.stub import STUB

NAMES = ("lake", "Äpfel & Birnen, 100 reif/été + ñandú's lac")
EXPERIMENT = "Früchte #1"
PATIENCE = 60_000  # milliseconds


@contextmanager
def told_by_ui(settings: Settings) -> Iterator[list[tuple[str, str]]]:
    """What is said of each address, and the address, while the UI is there; Ctrl-C ends it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "fruits", "ui", "--lake", settings.lake, "--port", str(port)]
    environment = {**os.environ, "FRUITS_EXPERIMENT": settings.experiment}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as ui:
        try:
            assert ui.stdout is not None
            lines = [ui.stdout.readline() for _ in range(5)]
            found = [re.fullmatch(r"(.*?):? (?:is at )?(http://\S+)(?: until Ctrl-C\.)?\n", line) for line in lines]
            yield [(one[1], one[2]) for one in found if one]
            ui.send_signal(signal.SIGINT)
            assert ui.wait(30) == 0
        finally:
            ui.kill()


@pytest.fixture(scope="module", params=NAMES, ids=["plain", "odd"])
def settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A lake of this name with two fits, the first of which is champion no more."""
    folder = tmp_path_factory.mktemp("ui")
    places = {"images": str(folder / "photographs"), "lake": str(folder / request.param)}
    settings = load_settings(**places, weights="untrained", experiment=EXPERIMENT)
    for label, seeds in (("Apple", range(8)), ("Kiwi", range(8, 14))):
        add_photographs(folder / "photographs", label, seeds)
        workspace = Workspace(settings.model_copy(update={"refit": "always"}))
        run_pipeline(workspace, LAYERS, lambda: STUB)
        workspace.close()
    return settings


def run_addresses(page: Any) -> set[str]:
    """The runs that a page links to."""
    links = page.eval_on_selector_all("a[href*='/runs/']", "links => links.map((link) => link.getAttribute('href'))")
    return {re.sub(r".*/runs/(\w+).*", r"\1", link) for link in links}


@pytest.mark.slow
def test_each_address_opens_the_page_that_it_is_said_to_be(settings: Settings, browser: Any) -> None:
    """The experiment, each model with its versions, and its champion with the run that it is of."""
    (run,) = [model["run_id"] for model in list_models(settings) if model["champion"]]
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(PATIENCE)
    with told_by_ui(settings) as told:
        (words, experiment), *models = told
        assert words == "MLflow's UI"
        page.goto(experiment)
        page.get_by_text(EXPERIMENT).first.wait_for()
        for name, of_model in ((PCA, models[:2]), (SCALER, models[2:])):
            (words, address), (of_champion, champion) = of_model
            assert (words, of_champion) == (f"The versions of {name}", "Its champion, version 2")
            page.goto(address)
            page.get_by_role("heading", name=name).wait_for()
            for version in ("Version 1", "Version 2"):
                page.get_by_role("link", name=version).wait_for()
            page.goto(champion)
            page.get_by_role("heading", name="Version 2").wait_for()
            page.get_by_text("Source Run").wait_for()
            page.get_by_text(f"{name} 14 images").wait_for()
            assert (run in run_addresses(page)) == (name == PCA)
    page.close()
