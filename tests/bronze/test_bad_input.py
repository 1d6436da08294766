"""One job over files of every class at once: each has its outcome, none fails the job, and memory stays bounded."""

import io
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pillow_heif
import pytest
from PIL import Image

import bronze.job
import silver.job
from bronze.reasons import Reason
from bronze.tables import IMAGES, QUARANTINE
from fruits.settings import Settings, load_settings
from lakehouse.engine.local.engine import FEW
from lakehouse.tables import delta
from lakehouse.tables.table import Table
from lakehouse.workspace import Workspace
from silver.encoders.base import Encoder
from silver.tables import FEATURES
from tests.bronze import corpus
from tests.conftest import add_photographs
from tests.processes import DriverPeak, local_workers, peak
from tests.stub import load_stub

CORPUS = 568
"""Files in the one job."""

SEEDS = range(6)
ODD_NAMES = ["a b", "a%20b", "a#b", "a+b", "a?b", "a:b", "a\nb", "a'b\"", "a*[b]{c}", "café", "漢字", "🍎", "_x", ".x"]
PASSED_OVER = {"Thumbs.db": b"of Windows", "._x.jpg": b"of a Mac", os.fsdecode(b"caf\xe9.jpg"): b"no UTF-8"}
FORMATS = ["JPEG", "PNG", "GIF", "BMP", "TIFF"]
MEMORY = 128 << 20
"""By how much a process may grow: 25 MB of files, as bytes and as Arrow, 64 MiB of one PNG's texts, small pictures."""

HEAVY = 20_000
"""The side of a picture that takes 400 MB of memory and 0.4 MB of disk."""


@dataclass(frozen=True)
class Run:
    """What one run was given, said, and by how many bytes a worker and the driver grew meanwhile."""

    good: set[str]
    broken: dict[str, str]
    summary: bronze.job.Summary
    worker_growth: int
    driver_growth: int


def lake(folder: Path, tracking_store: Path, **settings: object) -> Workspace:
    """A new lake with a folder of photographs."""
    (folder / "photographs").mkdir()
    (folder / "lake" / "mlflow").mkdir(parents=True)
    shutil.copy(tracking_store, folder / "lake" / "mlflow")
    return Workspace(load_settings(images=str(folder / "photographs"), lake=str(folder / "lake"), **settings))


def folder_of(workspace: Workspace) -> Path:
    """Where a workspace's photographs lie."""
    return Path(workspace.section(Settings).source.removeprefix("file://"))


def write_corpus(folder: Path) -> tuple[set[str], dict[str, str]]:
    """Write files of every class, a label for each seed; returns the good ones' names, and the others' reasons."""
    good = {f"{seed}/{name}": content for seed in SEEDS for name, content in corpus.good(seed).items()}
    broken = {
        f"{seed}/{name}": (reason, content)
        for seed in SEEDS
        for reason, files in corpus.broken(seed).items()
        for name, content in files.items()
    }
    for seed, name in enumerate(ODD_NAMES):
        good[f"odd/{name}.jpg"] = corpus.encoded(corpus.noise(24, 16, 1000 + seed), "JPEG")
        broken[f"odd/{name}"] = ("not_an_image", f"text {seed}".encode())
    for name, content in (*good.items(), *PASSED_OVER.items(), *((name, file) for name, (_, file) in broken.items())):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return set(good), {name: reason for name, (reason, _) in broken.items()} | write_unread(folder)


def write_unread(folder: Path) -> dict[str, str]:
    """Write files that are never read to their end; returns the reason for each."""
    lengths = (load_settings().max_bytes + 1, 2 << 30)
    for length in lengths:
        with (folder / f"{length}.jpg").open("wb") as file:
            file.truncate(length)  # sparse
    (folder / "unreadable.jpg").symlink_to("/proc/self/mem")  # it opens, and then every read fails
    return {**{f"{length}.jpg": "too_large" for length in lengths}, "unreadable.jpg": "unreadable"}


def rows(workspace: Workspace, table: Table) -> dict[str, dict[str, Any]]:
    """A table's rows by the file's name below the folder of photographs; each file has one."""
    found = delta.existing(workspace.lake, table).to_pyarrow_table().to_pylist()
    named = {row["path"].removeprefix(f"{workspace.section(Settings).source}/"): row for row in found}
    assert len(named) == len(found)
    return named


def reasons(workspace: Workspace) -> dict[str, str]:
    """The quarantine: name of the file → reason."""
    return {name: row["reason"] for name, row in rows(workspace, QUARANTINE).items()}


def worker_peaks() -> list[int]:
    """The greatest size so far of each worker that lives."""
    return [peak(pid) for pid in local_workers(os.getpid())]


@pytest.fixture(scope="module")
def idle_worker(tmp_path_factory: pytest.TempPathFactory, tracking_store: Path) -> int:
    """What a worker takes that has run the job over small files, so that all is imported."""
    workspace = lake(tmp_path_factory.mktemp("warm"), tracking_store, processes=1)
    add_photographs(folder_of(workspace), "Apple", range(FEW + 1))
    (folder_of(workspace) / "page.jpg").write_bytes(b"<html>")
    bronze.job.run(workspace)
    (size,) = worker_peaks()
    workspace.close()
    return size


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, tracking_store: Path) -> Iterator[Workspace]:
    """The lake of the corpus; WebP is not among the formats that are taken."""
    workspace = lake(tmp_path_factory.mktemp("corpus"), tracking_store, formats=FORMATS, processes=2)
    yield workspace
    workspace.close()


@pytest.fixture(scope="module")
def first(job: Workspace, idle_worker: int) -> Run:
    """The first run over the corpus."""
    good, broken = write_corpus(folder_of(job))
    driver = DriverPeak()
    summary = bronze.job.run(job)
    workers = worker_peaks()
    assert len(workers) == 2
    growth = max(workers) - idle_worker, driver.growth()
    job.close()  # so that no other test finds them
    return Run(good, broken, summary, *growth)


def test_every_file_has_its_outcome(first: Run, job: Workspace) -> None:
    """A broken file is held back for the reason of its class, a good one taken; every one is accounted for."""
    assert reasons(job) == first.broken
    assert {*first.broken.values()} == {*Reason} - {Reason.KILLS_THE_READER}
    assert all(row["detail"] for row in rows(job, QUARANTINE).values())
    assert rows(job, IMAGES).keys() == first.good
    assert {**first.summary, "labels": None} == {
        "labels": None,
        "discovered": CORPUS,
        "ingested": len(first.good),
        "replaced": 0,
        "relabelled": 0,
        "unchanged": 0,
        "quarantined": len(first.broken),
        "skipped": len(PASSED_OVER),
        "skipped_by": {"name_is_not_utf8": 1, "skip: ._*": 1, "skip: Thumbs.db": 1},
        "unlisted": 0,
        "removed": 0,
        "batch": 1,
    }


def test_memory_stays_bounded(first: Run) -> None:
    """No worker has grown by more than the files themselves, whatever sizes those claim, nor has the driver."""
    assert first.worker_growth < MEMORY
    assert first.driver_growth < MEMORY


@pytest.mark.parametrize("others", [0, FEW])
def test_memory_is_measured(idle_worker: int, tmp_path: Path, tracking_store: Path, others: int) -> None:
    """The bound is one that can be broken: by one of the same files, where its pixels are within the limit.

    Whoever reads it: this process, where the files are few, or else a worker.
    """
    allowing = lake(tmp_path, tracking_store, max_pixels=HEAVY**2)
    add_photographs(folder_of(allowing), "Apple", range(others))
    (folder_of(allowing) / "black.png").write_bytes(corpus.png_bomb(HEAVY))
    driver = DriverPeak()
    assert bronze.job.run(allowing)["ingested"] == others + 1
    growth = max(worker_peaks()) - idle_worker if others else driver.growth()
    allowing.close()
    assert growth > 2 * MEMORY


def test_good_ones_are_featurized_and_repaired_ones_taken_up(first: Run, job: Workspace) -> None:
    """Silver computes each good one; once all others are mended, or their format is taken, quarantine is empty."""
    encoder = Encoder("stub-bad-input", 8, load_stub)
    assert silver.job.run(job, encoder)["featurized"] == len(first.good)
    assert rows(job, FEATURES).keys() == first.good

    folder = folder_of(job)
    as_they_are = {name for name in first.broken if name.endswith(".webp")}
    for number, name in enumerate(sorted(first.broken.keys() - as_they_are)):
        (folder / name).unlink()  # one is a link
        (folder / name).write_bytes(corpus.encoded(corpus.noise(24, 16, 2000 + number), "JPEG"))
    shipped = Workspace(job.settings.model_copy(update={"formats": load_settings().formats}))
    assert {**bronze.job.run(shipped), "labels": None} == {
        "labels": None,
        "discovered": CORPUS,
        "ingested": len(first.broken),
        "replaced": 0,
        "relabelled": 0,
        "unchanged": len(first.good),
        "quarantined": 0,
        "skipped": len(PASSED_OVER),
        "skipped_by": {"name_is_not_utf8": 1, "skip: ._*": 1, "skip: Thumbs.db": 1},
        "unlisted": 0,
        "removed": 0,
        "batch": 2,
    }
    assert reasons(job) == {}
    assert rows(job, IMAGES).keys() == first.good | first.broken.keys()
    shipped.close()


def test_folder_of_a_phone_is_taken_with_the_rest_counted(tmp_path: Path, tracking_store: Path) -> None:
    """A live photograph's film and an edit lie beside it, and have no picture in them."""
    workspace = lake(tmp_path, tracking_store)
    folder = folder_of(workspace) / "DCIM" / "100APPLE"
    folder.mkdir(parents=True)
    content = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(corpus.noise(64, 48))).save(content)
    (folder / "IMG_1234.HEIC").write_bytes(content.getvalue())
    (folder / "IMG_1234.MOV").write_bytes(b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  ")
    (folder / "IMG_1234.AAE").write_bytes(b'<?xml version="1.0"?><plist/>')
    (folder / "IMG_1235.JPG").write_bytes(corpus.encoded(corpus.noise(24, 16), "JPEG"))
    summary = bronze.job.run(workspace)
    assert (summary["ingested"], summary["quarantined"], summary["skipped"]) == (2, 0, 2)
    assert summary["skipped_by"] == {"skip: *.AAE": 1, "skip: *.MOV": 1}
    assert {row["format"] for row in rows(workspace, IMAGES).values()} == {"HEIF", "JPEG"}
    assert silver.job.run(workspace, Encoder("stub-phone", 8, load_stub))["featurized"] == 2
    workspace.close()
