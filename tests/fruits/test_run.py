"""One writer a lake: a second run is refused before it writes, and a run that has lost its lease commits no more."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bronze.tables import IMAGES
from fruits.run import LAYERS, run_layers, take_through
from fruits.writing import writing
from gold.tables import PROJECTIONS
from lakehouse import delta
from lakehouse.errors import LeaseHeldError, LeaseLostError
from lakehouse.lease import open_lease
from lakehouse.workspace import Workspace
from silver.featurize import Encoder, Predict
from tests.conftest import add_photographs

HOLD = """
import sys, time
from lakehouse.lease import open_lease
with open_lease(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_second_run_is_refused_until_the_first_is_gone(workspace: Workspace, photographs: Path) -> None:
    """Another process's name and process id stand in the error; killed, it holds nothing up."""
    add_photographs(photographs, "Apple", range(3))
    other = subprocess.Popen([sys.executable, "-c", HOLD, workspace.settings.lake], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(LeaseHeldError, match=rf"{other.pid}.* has one writer at a time"):
        run_layers(workspace.settings, ["bronze"])
    assert delta.open_table(workspace.lake, IMAGES) is None
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    assert run_layers(workspace.settings, ["bronze"])["bronze"]["ingested"] == 3


def test_run_that_has_lost_its_lease_stops_before_its_next_commit(
    workspace: Workspace, photographs: Path, encoder: Encoder
) -> None:
    """Robbed between two layers: bronze's commits stand, silver makes none, and the next run goes on from there."""
    add_photographs(photographs, "Apple", range(5))
    with writing(workspace.settings) as held:
        take_through(held, ["bronze"], lambda: encoder)
        before = delta.existing(held.lake, IMAGES).version()
        (Path(held.lake.folder("lease.json"))).unlink()
        with pytest.raises(LeaseLostError, match="run again"):
            take_through(held, ["silver", "gold"], lambda: encoder)
    assert delta.existing(workspace.lake, IMAGES).version() == before
    assert delta.open_table(workspace.lake, PROJECTIONS) is None
    take_through(workspace, LAYERS, lambda: encoder)
    assert delta.count(workspace.lake, PROJECTIONS) == 5


def test_spark_is_stopped_while_it_works_for_a_lost_lease(
    workspace: Workspace, photographs: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for a long stage whose commit is forbidden anyway."""
    add_photographs(photographs, "Apple", range(4))
    monkeypatch.setattr("fruits.writing.open_lease", lambda lake, on_lost: open_lease(lake, ttl=1.0, on_lost=on_lost))
    lease = Path(workspace.lake.folder("lease.json"))

    def rob_and_sleep() -> Predict:
        lease.unlink(missing_ok=True)
        time.sleep(120)
        raise AssertionError("was not stopped")

    take_through(workspace, ["bronze"], lambda: encoder)
    begun = time.monotonic()
    with pytest.raises(LeaseLostError, match="run again"), writing(workspace.settings) as held:
        take_through(held, ["silver"], lambda: Encoder("slow-r1", 8, rob_and_sleep))
    assert time.monotonic() - begun < 60
