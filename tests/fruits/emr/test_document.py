"""`docs/emr.md`: every command in it is run, in its order, with moto's server in AWS's place."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from moto.ec2.models.route_tables import RouteTable

from fruits.operations.run import LAYERS, run_pipeline
from fruits.settings import load_settings
from lakehouse.workspace import Workspace
from silver.encoders.base import Encoder
from silver.encoders.mobilenet.weights import keras_weights
from tests import more_moto
from tests.bootstrap.conftest import ROOT
from tests.conftest import add_photographs
from tests.fruits.emr.conftest import REGION, complete_a_step, emr_backend, serverless_backend

DOCUMENT = (ROOT / "docs" / "emr.md").read_text()
COMMANDS = re.findall(r"^```sh\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Twelve, of two labels."""
    for label, seeds in (("Apple", range(8)), ("Kiwi", range(8, 12))):
        add_photographs(tmp_path / "photographs", label, seeds)
    return tmp_path / "photographs"


@pytest.fixture
def lake(encoder: Encoder, photographs: Path, tmp_path: Path) -> Path:
    """What a run leaves: moto's clusters run nothing, so it is put where theirs would have written it."""
    workspace = Workspace(load_settings(images=str(photographs), lake=str(tmp_path / "lake"), weights="untrained"))
    run_pipeline(workspace, LAYERS, lambda: encoder)
    return tmp_path / "lake"


@pytest.fixture
def accounts_work(
    no_stack: None, getting_on: Callable[[Callable[[], None]], None], lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clusters complete their steps, and the first of them leaves the lake; jobs of EMR Serverless succeed."""
    more_moto.know_releases(monkeypatch)
    # moto makes route tables of a template, does not remove them with it, and then refuses to remove the VPC.
    monkeypatch.setattr(
        RouteTable, "delete", lambda table, *_: table.ec2_backend.route_tables.pop(table.id), raising=False
    )
    written: list[str] = []

    def move() -> None:
        for cluster in [*emr_backend().clusters.values()]:
            if not written:
                written.append(str(cluster.bootstrap_actions[0].script_path).split("/")[2])
                for file in lake.rglob("*"):
                    if file.is_file():
                        key = f"lake/{file.relative_to(lake)}"
                        boto3.client("s3").upload_file(str(file), written[0], key)
        complete_a_step()

    getting_on(move)


def test_every_command_is_one_of_the_page() -> None:
    """The page's code is shell and nothing else, so that none escapes the test below."""
    assert DOCUMENT.count("```") == 2 * len(COMMANDS) > 10
    named = set(re.findall(r"\bfruits (emr \w+|sql|models)", "\n".join(COMMANDS)))
    of_emr = ("plan", "check", "run", "up", "status", "down", "schedule", "unschedule")
    assert named == {*(f"emr {name}" for name in of_emr), "sql", "models"}


@pytest.mark.slow
@pytest.mark.skipif(not keras_weights().is_file(), reason="the weights of MobileNetV2 are not in Keras' cache")
def test_page_leads_from_an_empty_account_to_an_answer_and_back(
    accounts_work: None, photographs: Path, tmp_path: Path
) -> None:
    """Nothing that costs is left, and the answer is gold's."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(COMMANDS)],
        env={**os.environ, "PATH": path, "PHOTOGRAPHS": str(photographs), "AWS_PAGER": ""},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert re.search(r"For 22,700 new photographs about \d+ minutes at 0\.87 USD an hour: 0\.\d\d USD", done.stdout)
    assert re.search(r"Apple\W+8\b.*\n.*Kiwi\W+4\b", done.stdout)
    assert done.stderr.count("fruits gold: completed") == 2
    assert "A run starts by cron(30 4 * * ? *), with the code " in done.stdout
    assert "Removed: arrival, clock." in done.stdout
    assert "fruits gold: success" in done.stderr
    assert {cluster.state for cluster in emr_backend().clusters.values()} == {"TERMINATED"}
    assert {one.state for one in serverless_backend().applications.values()} == {"TERMINATED"}
    assert boto3.client("cloudformation", region_name=REGION).describe_stacks()["Stacks"] == []
    assert boto3.client("s3").list_buckets()["Buckets"] == []
