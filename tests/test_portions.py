"""A first run in portions: a death costs one of them, and what is committed is neither read nor computed again."""

import os
import signal
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

import bronze.job
import silver.job
from bronze.tables import IMAGES, QUARANTINE
from fruits.settings import load_settings
from lakehouse.failpoint import VARIABLE
from lakehouse.progress import NullProgress
from lakehouse.tables import delta
from lakehouse.tables.table import Table
from lakehouse.workspace import Workspace
from silver.tables import FEATURES
from tests import stub
from tests.conftest import add_photographs
from tests.warm_command import run_command

PORTION = 4
FILES = 18  # 17 photographs and a broken file: five portions, the last of two


class Shown(NullProgress):
    """Notes what the progress bars are told."""

    def __init__(self) -> None:
        self.stages: dict[tuple[str, int], list[int]] = {}

    def stage(self, name: str, total: int) -> Callable[[int], None]:
        """Note what is done of a stage."""
        return self.stages.setdefault((name, total), []).append


@pytest.fixture
def workspace(tmp_path: Path, photographs: Path, stub_encoder: str) -> Iterator[Workspace]:
    """A new lake whose settings cut work into portions of four, and its photographs."""
    for label, seeds in {"Apple": range(6), "Kiwi": range(6, 12), "Lemon": range(12, 17)}.items():
        add_photographs(photographs, label, seeds)
    (photographs / "Apple" / "2 broken.png").write_bytes(b"<html>")
    config = tmp_path / "settings.yaml"
    config.write_text(f"encoder: {stub.NAME}\nportion_rows: {PORTION}\nengine: local\n")
    opened = Workspace(load_settings(config, images=str(photographs), lake=str(tmp_path / "lake")), Shown())
    yield opened
    opened.close()


def run_killed(layer: str, point: str, tmp_path: Path, photographs: Path) -> None:
    """Run a layer in a process of its own that is killed at a point."""
    arguments = [layer, "--config", str(tmp_path / "settings.yaml"), "--lake", str(tmp_path / "lake")]
    arguments += ["--images", str(photographs)] if layer == "bronze" else []
    assert run_command(arguments, {VARIABLE: point}, tmp_path / "log") == -signal.SIGKILL, (
        tmp_path / "log"
    ).read_text()


def commits(workspace: Workspace, table: Table) -> list[int]:
    """The numbers of rows that a table's commits have brought."""
    newest = delta.existing(workspace.lake, table).version()
    counts = [delta.existing(workspace.lake, table, at).to_pyarrow_table().num_rows for at in range(newest + 1)]
    return [after - before for before, after in pairwise(counts) if after != before]


def make_unreadable(paths: list[str]) -> None:
    """Put what is no photograph in the place of files, of the same length and time: reading one would hold it back."""
    for path in paths:
        file = Path(path.removeprefix("file://"))
        before = file.stat()
        file.write_bytes(b"\0" * before.st_size)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_run_killed_between_portions_reads_only_the_rest(
    workspace: Workspace, tmp_path: Path, photographs: Path
) -> None:
    """Two portions are there after SIGKILL; the next run reads the other ten files, in portions of its own."""
    run_killed("bronze", "bronze.quarantine-written@2", tmp_path, photographs)
    assert commits(workspace, IMAGES) == [3, 4]  # one of the first four is broken
    assert commits(workspace, QUARANTINE) == [1]
    there = delta.existing(workspace.lake, IMAGES).to_pyarrow_table()["path"].to_pylist()
    make_unreadable(there)
    summary = bronze.job.run(workspace)
    figures = {name: value for name, value in summary.items() if value and name not in ("labels", "batch")}
    # The broken file, too, is not read again.
    assert figures == {"discovered": FILES, "ingested": 10, "unchanged": 8}
    assert summary["batch"] == 1
    assert commits(workspace, IMAGES) == [3, 4, 4, 4, 2]
    assert workspace.progress.stages == {("photographs read", 10): [4, 8, 10]}  # type: ignore[attr-defined]


def test_run_killed_while_it_reads_a_portion_reads_that_one_again(
    workspace: Workspace, tmp_path: Path, photographs: Path
) -> None:
    """Killed before a portion is whole, its committed half is kept, too: only the broken file is judged again."""
    run_killed("bronze", "bronze.images-written", tmp_path, photographs)
    assert commits(workspace, IMAGES) == [3]
    assert commits(workspace, QUARANTINE) == []
    make_unreadable(delta.existing(workspace.lake, IMAGES).to_pyarrow_table()["path"].to_pylist())
    summary = bronze.job.run(workspace)
    assert (summary["ingested"], summary["unchanged"], summary["quarantined"]) == (14, 3, 1)


def test_features_are_not_computed_again_after_a_death(workspace: Workspace, tmp_path: Path, photographs: Path) -> None:
    """Two portions of features are there after SIGKILL; the next run computes the other nine."""
    bronze.job.run(workspace)
    run_killed("silver", "silver.features-computed@2", tmp_path, photographs)
    assert commits(workspace, FEATURES) == [4, 4]
    summary = silver.job.run(workspace, stub.STUB)
    assert (summary["featurized"], summary["copied"], summary["scaled"]) == (9, 0, 17)
    assert commits(workspace, FEATURES) == [4, 4, 4, 4, 1]
    shown = workspace.progress.stages["features computed", 9]  # type: ignore[attr-defined]
    assert (shown, shown[-1]) == (sorted(shown), 9)


def test_data_files_of_portions_hold_neighbours(workspace: Workspace) -> None:
    """So the log's statistics tell a reader of one path which file to open."""
    bronze.job.run(workspace)
    files = delta.snapshot(workspace.lake, IMAGES)
    bounds = sorted((str(file.minimum["path"]), str(file.maximum["path"])) for file in files)
    assert len(bounds) == 5
    assert all(one[1] < other[0] for one, other in pairwise(bounds))


def test_small_run_is_one_commit(workspace: Workspace, tmp_path: Path) -> None:
    """By the settings as they are shipped."""
    whole = Workspace(workspace.settings.model_copy(update={"portion_rows": load_settings().portion_rows}))
    bronze.job.run(whole)
    assert commits(whole, IMAGES) == [17]
    whole.close()
