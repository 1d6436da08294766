"""One writer a lake: a second run is refused before it writes, and a run that has lost its lease commits no more."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from bronze.tables import IMAGES
from fruits.catalog import Layer
from fruits.operations.run import LAYERS, run_layers, run_pipeline
from fruits.operations.writing import exclusive_workspace
from fruits.settings import Settings, load_settings
from gold.tables import PROJECTIONS
from lakehouse.engine.local.engine import FEW
from lakehouse.errors import LeaseHeldError, LeaseLostError
from lakehouse.lease import open_lease
from lakehouse.tables import delta
from lakehouse.workspace import Workspace
from silver.encoders.base import Encoder, Predict
from silver.tables import FEATURES, SCALED
from tests.conftest import add_photographs
from tests.fruits.cli.test_cli import fails
from tests.processes import local_workers

pytestmark = pytest.mark.usefixtures("blank_pictures")

PER_PHOTOGRAPH = (IMAGES, FEATURES, SCALED, PROJECTIONS)

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
        run_layers(workspace.section(Settings), [Layer.BRONZE])
    assert delta.open_table(workspace.lake, IMAGES) is None
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    assert run_layers(workspace.section(Settings), [Layer.BRONZE])["bronze"]["ingested"] == 3


def test_run_that_has_lost_its_lease_stops_before_its_next_commit(
    workspace: Workspace, photographs: Path, encoder: Encoder
) -> None:
    """Robbed between two layers: bronze's commits stand, silver makes none, and the next run goes on from there."""
    add_photographs(photographs, "Apple", range(5))
    with exclusive_workspace(workspace.section(Settings), "run") as held:
        run_pipeline(held, [Layer.BRONZE], lambda: encoder)
        before = delta.existing(held.lake, IMAGES).version()
        (Path(held.lake.folder("lease.json"))).unlink()
        with pytest.raises(LeaseLostError, match="run again"):
            run_pipeline(held, [Layer.SILVER, Layer.GOLD], lambda: encoder)
    assert delta.existing(workspace.lake, IMAGES).version() == before
    assert delta.open_table(workspace.lake, PROJECTIONS) is None
    run_pipeline(workspace, LAYERS, lambda: encoder)
    assert delta.count(workspace.lake, PROJECTIONS) == 5


@dataclass(frozen=True)
class LoadRobbing:
    """An encoder's loader that takes the lake's lease away, and then goes on for much longer than a test waits."""

    lease: Path

    def __call__(self) -> Predict:
        """Rob, and sleep."""
        self.lease.unlink(missing_ok=True)
        time.sleep(600)
        raise AssertionError("was not stopped")


def test_engine_is_stopped_while_it_works_for_a_lost_lease(
    workspace: Workspace, photographs: Path, encoder: Encoder, engine_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for a long stage whose commit is forbidden anyway, and no process goes on with it."""
    add_photographs(photographs, "Apple", range(FEW + 6))
    monkeypatch.setattr(
        "fruits.operations.writing.open_lease", lambda lake, on_lost: open_lease(lake, ttl=1.0, on_lost=on_lost)
    )
    settings = workspace.section(Settings).model_copy(update={"engine": engine_name, "processes": 2})
    run_pipeline(workspace, [Layer.BRONZE], lambda: encoder)
    workspace.close()
    robbing = Encoder("slow-r1", 8, LoadRobbing(Path(workspace.lake.folder("lease.json"))))
    with pytest.raises(LeaseLostError, match="run again"), exclusive_workspace(settings, "silver") as held:
        run_pipeline(held, [Layer.SILVER], lambda: robbing)
    assert local_workers(os.getpid()) == []
    assert delta.count(workspace.lake, FEATURES) == 0


def test_registering_without_a_catalog_is_refused_before_anything_is_written(
    settings: Settings, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The local engine has no catalog: exit status 2, the setting is named, and there is no lake yet."""
    add_photographs(photographs, "Apple", range(3))
    config = tmp_path / "settings.yaml"
    config.write_text(f"images: {photographs}\nlake: {tmp_path}/lake\nregister_tables: true\nweights: untrained\n")
    for name in ("run", "bronze", "silver", "gold"):
        status, said = fails(capsys, name, "--config", config, "--engine", "local")
        assert status == 2
        assert "`register_tables`" in said
        assert "--engine spark" in said
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize("name", ["best {of} 2024/lake", "a*b/lake", "[2024]/lake"])
def test_every_photograph_is_one_row_also_in_a_lake_whose_name_looks_like_a_pattern(
    tmp_path: Path, photographs: Path, tracking_store: Path, encoder: Encoder, name: str
) -> None:
    """After the first run, a second one, and an increment."""
    workspace = Workspace(load_settings(images=str(photographs), lake=str(tmp_path / name), weights="untrained"))
    folder = Path(workspace.lake.folder("mlflow"))
    folder.mkdir(parents=True)
    shutil.copy(tracking_store, folder)
    for added, total in ((12, 12), (0, 12), (3, 15)):
        add_photographs(photographs, "Apple", range(total - added, total))
        run_pipeline(workspace, LAYERS, lambda: encoder)
        held = {one.name: len(delta.existing(workspace.lake, one).to_pyarrow_table()) for one in PER_PHOTOGRAPH}
        assert held == dict.fromkeys(held, total)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name.removesuffix("/lake"), "photographs"])
