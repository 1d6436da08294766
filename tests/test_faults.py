"""A disk, a file or a limit that disappoints: one sentence, no traceback, no loss, and the next run goes on.

`docs/faults.md` is made of the table: `python -m tests.test_faults > docs/faults.md`.
"""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from bronze.tables import IMAGES
from fruits.cli import app
from gold.tables import PROJECTIONS
from lakehouse.tables import delta
from silver.tables import FEATURES
from tests.conftest import add_photographs
from tests.faults import (
    BY_HAND,
    FAULTS,
    MLFLOW,
    NEW,
    NOTHING,
    OLD,
    REPAIR,
    REPAIR_INSIDE,
    Fault,
)
from tests.faulty import Commands, Ended, Surroundings

DOCUMENT = Path(__file__).parents[1] / "docs" / "faults.md"
STUB = """
from matplotlib.figure import Figure
from PIL import Image
from silver.encoders import ENCODERS
ENCODERS["stub"] = "tests.stub"
Figure.savefig = lambda figure, path, **_: Image.new("L", (1, 1)).save(path)
"""
"""An encoder that takes no time, and figures that are blank."""
OLD_ROWS, NEW_ROWS = 9, 6
LISTING = ("identify --format json", "doctor --format json")
"""What is wrong stands in the results of these."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, tracking_store: Path) -> Iterator[tuple[Path, Commands]]:
    """A folder with photographs and the lake of a run on them, a copy of it beside it, and what runs commands."""
    folder = tmp_path_factory.mktemp("faults")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode or not shutil.which("cc"):
        pytest.skip("disks that fail are mounted by root, and made by a C compiler")
    commands = Commands(folder, STUB)
    kept = folder / "now"
    add_photographs(kept / "photographs", "Apple", range(6))
    add_photographs(kept / "photographs", "Pear", range(6, OLD_ROWS))
    add_photographs(kept / "more", "Kiwi", range(20, 20 + NEW_ROWS))
    (kept / "out").mkdir()
    (kept / "settings.yaml").write_text("encoder: stub\nrefit: never\n")
    (kept / "lake/mlflow").mkdir(parents=True)
    shutil.copy(tracking_store, kept / "lake/mlflow")
    settings = ["--config", kept / "settings.yaml", "--lake", kept / "lake"]
    first = commands.call("run", "--images", kept / "photographs", "--refit", "auto", *settings)
    assert first.status == 0, first.err
    shutil.copytree(kept, folder / "kept")
    yield kept, commands
    commands.close()


@pytest.fixture
def folder(kept: tuple[Path, Commands]) -> Path:
    """The folder as it was after the run, whatever other tests have done to it."""
    now, _ = kept
    shutil.rmtree(now)
    shutil.copytree(now.with_name("kept"), now)
    return now


@pytest.fixture
def commands(kept: tuple[Path, Commands]) -> Commands:
    """Runs commands."""
    return kept[1]


def call(commands: Commands, folder: Path, line: str, around: Surroundings | None = None) -> Ended:
    """Run a command line of the table, on the lake in a folder."""
    words = shlex.split(line.replace("{f}", str(folder)))
    if words[0] not in ("--help", "emr", "config", "demo") and "--lake" not in words:
        words += ["--lake", str(folder / "lake")]
    if words[0] not in ("--help", "emr", "demo") and "--config" not in words:
        words += ["--config", str(folder / "settings.yaml")]
    around = around or Surroundings()
    mounts = [mount.replace("{f}", str(folder)) for mount in around.mounts]
    return commands.call(*words, around=replace(around, mounts=mounts), cwd=folder)


def kind(fault: Fault) -> str:
    """What is wrong, whichever command meets it."""
    return re.sub("`.*?`", "", fault.what)


FIRST = {kind(fault): fault for fault in reversed(FAULTS)}
"""The same fault met by another command is among the slow tests."""
MET = [pytest.param(one, marks=() if FIRST[kind(one)] is one else pytest.mark.slow, id=one.what) for one in FAULTS]


@pytest.mark.parametrize("fault", MET)
def test_fault_is_said_in_a_sentence_and_the_next_run_goes_on(fault: Fault, commands: Commands, folder: Path) -> None:
    """With a status that tells; what was there before is there after it."""
    if fault.arrange is not None:
        fault.arrange(folder)
    check_said(fault, call(commands, folder, fault.command, fault.around), folder)
    if fault not in REPAIRED:
        check_next_run(fault, commands, folder)


REPAIRED = [fault for fault in FAULTS if fault.next_run in (REPAIR, REPAIR_INSIDE)]


@pytest.mark.slow
@pytest.mark.parametrize("fault", [*REPAIRED, *MLFLOW], ids=lambda fault: fault.what)
def test_what_can_be_repaired_is_and_mlflows_loss_costs_no_run(fault: Fault, commands: Commands, folder: Path) -> None:
    """After the repair a run does what was left, and doctor finds nothing."""
    assert fault.arrange is not None
    fault.arrange(folder)
    check_said(fault, call(commands, folder, fault.command), folder)
    check_next_run(fault, commands, folder)


def check_said(fault: Fault, ended: Ended, folder: Path) -> None:
    """What a command said, and how it ended."""
    said = " ".join(f"{ended.out} {ended.err}".split())
    assert ended.status == fault.status, said
    assert "Traceback" not in said
    assert re.search(fault.says.replace("{f}", str(folder)), said), said
    errors = [line for line in ended.err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == (fault.status > 0 and not fault.command.startswith(LISTING)), ended.err


def check_next_run(fault: Fault, commands: Commands, folder: Path) -> None:
    """What the table says of it."""
    if fault.next_run in (BY_HAND, NOTHING):
        return
    if fault.next_run in (REPAIR, REPAIR_INSIDE):
        repaired = call(commands, folder, f"doctor --repair {'--thorough' * (fault.next_run == REPAIR_INSIDE)}")
        assert "Traceback" not in repaired.err, repaired.err
        ended = call(commands, folder, "run --images {f}/photographs --refit auto")
        checked = call(commands, folder, "doctor --format json")
        assert checked.status == 0, checked.out
    else:
        ended = call(commands, folder, NEW if fault.command == NEW else OLD)
    assert ended.status == 0, ended.err
    lake = delta.Lake(f"file://{folder}/lake")
    for table in (IMAGES, FEATURES, PROJECTIONS):
        assert delta.count(lake, table) == OLD_ROWS + NEW_ROWS * (fault.command == NEW)


@pytest.mark.slow
def test_run_on_a_disk_that_was_full_is_the_run_that_it_would_have_been(commands: Commands, folder: Path) -> None:
    """A real disk of a few megabytes, full in the middle of a run, and then with space again."""
    image, disk = folder / "image", folder / "disk"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(24 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    mount = f"mount -o loop {image} {disk}"
    lake = f"--lake {disk}/lake"
    fill = f"dd if=/dev/zero of={disk}/filler bs=64k 2>{folder}/dd || true; truncate -s -200k {disk}/filler"
    full = Surroundings(mounts=(mount, f"cp -a {folder}/lake {disk}/lake", fill))
    large = folder / "more" / "Large"
    large.mkdir()
    for path in add_photographs(folder / "more", "Large", range(40, 43)):
        path.write_bytes(path.read_bytes() + b"\0" * 200_000)  # what is behind a PNG's end is passed over
    ended = call(commands, folder, f"{NEW} {lake}", full)
    assert ended.status == 1
    assert "No space left on device" in ended.err
    free = Surroundings(mounts=(mount, f"rm {disk}/filler"))
    ended = call(commands, folder, f"{NEW} {lake} --format json", free)
    assert ended.status == 0, ended.err
    assert '"discovered": 9' in ended.out


def test_every_command_meets_a_fault() -> None:
    """`watch` meets what its runs do, which are those of `run`."""
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    names = set(group.commands)
    assert names - {fault.command.split()[0] for fault in FAULTS} == {"watch"}


INTRODUCTION = """# What disks, files and limits can do, and what is said of it

Made by `tests/test_faults.py`, which makes each of these so and holds the command to what stands here: one sentence and
no traceback. A full or read-only disk is mounted, a limit set, a right taken away, a file damaged; a disk that fails or
lacks something is one whose system calls fail. What is left to a person to do is in the sentence itself.

| what is wrong | command | exit status | what is said (a part, as a regular expression) | the next run |
|---|---|---|---|---|
"""


def document() -> str:
    """The page."""
    lines = []
    for fault in [*FAULTS, *MLFLOW]:
        command = fault.command.replace("{f}/", "").replace("|", r"\|")
        command = re.sub("n{20,}", "n…", command)
        says = fault.says.replace("{f}/", "").replace("|", r"\|")
        said = f"`{says}`" if says else ""
        lines.append(f"| {fault.what} | `fruits {command}` | {fault.status} | {said} | {fault.next_run} |\n")
    return INTRODUCTION + "".join(lines)


def test_page_is_what_the_tests_say() -> None:
    """Made from the table."""
    assert DOCUMENT.read_text(encoding="utf-8") == document()


if __name__ == "__main__":
    print(document(), end="")
