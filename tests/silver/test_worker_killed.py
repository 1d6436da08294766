"""A worker that dies while it computes features costs its share; a photograph that kills each worker costs itself."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bronze.job
import silver.job
from bronze.tables import IMAGES, QUARANTINE
from fruits.settings import Settings
from lakehouse.engine.local.engine import FEW
from lakehouse.engine.port import SHARE_ROWS, FunctionError, WorkerKilledError
from lakehouse.errors import LakehouseError
from lakehouse.progress import NullProgress
from lakehouse.tables import delta
from lakehouse.tables.table import Table
from lakehouse.workspace import Workspace
from silver.statistics import read_moments
from silver.tables import FEATURES, SCALED, TABLES
from tests.conftest import add_photographs, photograph
from tests.silver.failing import Failing, sha256
from tests.stub import STUB, stub_features

PHOTOGRAPHS = 2 * SHARE_ROWS + 12
"""More than this process computes itself: three shares."""


class Told(NullProgress):
    """A progress that keeps what it is told to say."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def log(self, message: str) -> None:
        """Keep the message."""
        self.messages.append(message)


@pytest.fixture
def told(workspace: Workspace, photographs: Path) -> Iterator[Workspace]:
    """The workspace with two worker processes, many photographs in bronze, and a progress that keeps messages."""
    add_photographs(photographs, "Apple", range(PHOTOGRAPHS))
    workspace = Workspace(workspace.settings.model_copy(update={"processes": 2}), Told())
    bronze.job.run(workspace)
    yield workspace
    workspace.close()


def held(workspace: Workspace, table: Table) -> dict[str, dict[str, Any]]:
    """A table's rows by the name of the file; each photograph has one."""
    rows = delta.existing(workspace.lake, table).to_pyarrow_table().to_pylist()
    found = {row["path"].rpartition("/")[2]: row for row in rows}
    assert len(found) == len(rows)
    return found


def versions(workspace: Workspace) -> list[int]:
    """The version of each table."""
    return [delta.existing(workspace.lake, table).version() for table in (IMAGES, QUARANTINE, *TABLES)]


def assert_as_undisturbed(workspace: Workspace, seeds: set[int]) -> None:
    """The tables hold what a run gives in which nothing dies."""
    found = held(workspace, FEATURES)
    assert found.keys() == {f"{seed}.png" for seed in seeds}
    expected = {f"{seed}.png": stub_features(memoryview(photograph(seed))) for seed in seeds}
    np.testing.assert_array_equal([found[name]["features"] for name in found], [expected[name] for name in found])
    assert held(workspace, SCALED).keys() == found.keys()
    covered = read_moments(workspace.lake)
    assert covered is not None
    assert covered.moments.count == len(seeds)


def test_worker_that_dies_once_costs_its_share_and_nothing_else(told: Workspace, tmp_path: Path) -> None:
    """What it had computed of its share is computed again, by another; nothing is lost, or there twice."""
    failing = Failing(tmp_path / "calls", kills_once=sha256(photograph(5)))
    summary = silver.job.run(told, failing.encoder)
    assert (summary["featurized"], summary["scaled"]) == (PHOTOGRAPHS, PHOTOGRAPHS)
    assert (failing.folder / "died").exists()
    assert len(failing.calls) == PHOTOGRAPHS
    again = {name for name, count in failing.calls.items() if count > 1}
    assert {*failing.calls.values()} == {1, 2}
    assert sha256(photograph(5)) in again
    assert len(again) <= SHARE_ROWS
    assert len(failing.processes) >= 2
    assert os.getpid() not in failing.processes
    assert_as_undisturbed(told, {*range(PHOTOGRAPHS)})
    assert held(told, QUARANTINE) == {}


def test_photograph_that_kills_each_worker_is_held_back_and_the_run_goes_on(told: Workspace, tmp_path: Path) -> None:
    """It is named and goes to quarantine; its bytes stay in bronze, and all others are featurized, by this run."""
    failing = Failing(tmp_path / "calls", kills=frozenset(sha256(photograph(seed)) for seed in (5, 100)))
    encoder, rest = failing.encoder, {*range(PHOTOGRAPHS)} - {5, 100}
    summary = silver.job.run(told, encoder)
    assert (summary["featurized"], summary["scaled"]) == (len(rest), len(rest))
    assert_as_undisturbed(told, rest)
    assert held(told, IMAGES).keys() == {f"{seed}.png" for seed in range(PHOTOGRAPHS)}
    quarantined = held(told, QUARANTINE)
    assert {name: (row["reason"], row["label"]) for name, row in quarantined.items()} == dict.fromkeys(
        ("5.png", "100.png"), ("kills_the_reader", "Apple")
    )
    assert all(row["detail"].startswith("Each process that read it ended:") for row in quarantined.values())
    folder = f"{told.section(Settings).source}/Apple"
    assert isinstance(told.progress, Told)
    assert sorted(message for message in told.progress.messages if "ends each process" in message) == [
        f"{folder}/{name} ends each process that computes its features: it goes to quarantine."
        for name in ("100.png", "5.png")
    ]

    calls = failing.calls
    for _ in range(2):  # the first finds nothing, and notes that; the second writes nothing at all
        before = versions(told)
        bronze_summary, summary = bronze.job.run(told), silver.job.run(told, encoder)
        assert (bronze_summary["ingested"], bronze_summary["unchanged"]) == (0, PHOTOGRAPHS)
        assert (summary["featurized"], summary["copied"], summary["scaled"], summary["removed"]) == (0, 0, 0, 0)
        assert failing.calls == calls
    assert versions(told) == before


def test_copies_of_a_photograph_that_kills_are_held_back_with_it(
    told: Workspace, photographs: Path, tmp_path: Path
) -> None:
    """In one run, and nothing is said to be copied; a file that is put in the place of one is computed."""
    for name in ("copy", "another"):
        (photographs / "Apple" / f"{name}.png").write_bytes(photograph(5))
    bronze.job.run(told)
    encoder = Failing(tmp_path / "calls", kills=frozenset({sha256(photograph(5))})).encoder
    summary = silver.job.run(told, encoder)
    assert (summary["featurized"], summary["copied"]) == (PHOTOGRAPHS - 1, 0)
    assert held(told, QUARANTINE).keys() == {"5.png", "copy.png", "another.png"}
    (photographs / "Apple" / "copy.png").write_bytes(photograph(500))
    bronze.job.run(told)
    summary = silver.job.run(told, encoder)
    assert (summary["featurized"], summary["copied"], summary["scaled"]) == (1, 0, 1)
    assert held(told, QUARANTINE).keys() == {"5.png", "another.png"}


@pytest.mark.parametrize("count", [1, 3, 8])
def test_encoder_that_kills_at_each_of_a_few_photographs_holds_none_back(
    workspace: Workspace, photographs: Path, tmp_path: Path, count: int
) -> None:
    """Where nothing else was computed it may be the encoder: the job ends, and says both ways out."""
    add_photographs(photographs, "Apple", range(count))
    bronze.job.run(workspace)
    (Path(workspace.lake.folder("computing"))).touch()  # as a process left it that died of them
    said = failure(workspace, Failing(tmp_path / "calls", kills=None), WorkerKilledError)
    assert "`fruits forget`" in said or "in a row ended" in said
    assert len(held(workspace, IMAGES)) == count


def failure(workspace: Workspace, failing: Failing, kind: type[LakehouseError]) -> str:
    """The message of the error that ends the job; no table was written to, and the next run goes on from there."""
    before = versions(workspace) if delta.open_table(workspace.lake, FEATURES) else None
    with pytest.raises(kind) as caught:
        silver.job.run(workspace, failing.encoder)
    assert type(caught.value) is kind
    assert (held(workspace, FEATURES), held(workspace, QUARANTINE)) == ({}, {})
    assert before in (None, versions(workspace))
    return str(caught.value)


def test_encoder_that_kills_at_every_photograph_ends_the_job_and_says_what_to_do(
    told: Workspace, tmp_path: Path
) -> None:
    """It is not the photographs' fault then: none is held back, and the next run, by another encoder, has them all."""
    failing = Failing(tmp_path / "calls", kills=None)
    said = failure(told, failing, WorkerKilledError)
    assert "worker processes in a row ended" in said
    assert "signal 9" in said
    assert "not enough memory: let fewer run at once (the setting `processes`), or lower `max_pixels`" in said
    assert len(held(told, IMAGES)) == PHOTOGRAPHS
    assert silver.job.run(told, STUB)["featurized"] == PHOTOGRAPHS
    assert_as_undisturbed(told, {*range(PHOTOGRAPHS)})


@pytest.mark.parametrize("raises", [frozenset({sha256(photograph(7))}), None], ids=["at one", "at each"])
@pytest.mark.parametrize("photographs_in_all", [FEW, PHOTOGRAPHS], ids=["in this process", "in workers"])
def test_encoder_that_raises_ends_the_job_and_says_why(
    workspace: Workspace, photographs: Path, tmp_path: Path, raises: frozenset[str] | None, photographs_in_all: int
) -> None:
    """The error and the photograph in one line, no half-written table; and the next run goes on from there."""
    add_photographs(photographs, "Apple", range(photographs_in_all))
    bronze.job.run(workspace)
    failing = Failing(tmp_path / "calls", raises=raises)
    said = failure(workspace, failing, FunctionError)
    folder = f"{workspace.section(Settings).source}/Apple"
    assert said.startswith(f"A task failed: ValueError: the features are not to be had The photograph is {folder}/")
    assert said.endswith(".png.")
    assert raises is None or said.endswith(f"{folder}/7.png.")
    # An error is not tried again: a photograph is computed with its share, and on its own to find out which one it is.
    assert max(failing.calls.values()) == 2
    assert failing.calls.total() <= photographs_in_all + SHARE_ROWS
    assert (failing.processes == {os.getpid()}) == (photographs_in_all == FEW)
    assert silver.job.run(workspace, STUB)["featurized"] == photographs_in_all
