"""Worker processes of the local engine: they die, are interrupted, and outlive nobody."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.engine.local.engine import FEW, LocalEngine
from lakehouse.engine.port import Work, WorkerKilledError
from lakehouse.errors import StorageError
from lakehouse.storage import exists
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from tests.lakehouse.engine.conftest import Notes
from tests.lakehouse.engine.fruit import DOUBLED, FRUIT, Doubling, by_path, held, many
from tests.processes import command, descendants

ROWS = 4 * FEW


@pytest.fixture
def engine(lake: Lake, notes: Notes) -> Iterator[LocalEngine]:
    """An engine of two workers."""
    engine = LocalEngine(lake, notes, 2)
    yield engine
    engine.close()


def workers(pid: int = 0) -> list[int]:
    """The worker processes below a process, by default this one."""
    return [one for one in descendants(pid or os.getpid()) if "lakehouse.engine.local.worker" in command(one)]


def doubled(count: int, without: tuple[int, ...] = ()) -> list[dict[str, object]]:
    """What `Doubling` makes of so many rows."""
    return [{"path": f"fruit {n:06}", "twice": 2 * n} for n in range(count) if n not in without]


def test_few_rows_start_no_process(engine: LocalEngine, tmp_path: Path) -> None:
    """They are computed in this one, whose death would be noticed by the next."""
    function = Doubling(tmp_path)
    found = engine.arrow(engine.map(engine.of(many(FEW)), function, DOUBLED, Work("doubled", FEW, 0)))
    assert by_path(found) == doubled(FEW)
    assert [path.name for path in tmp_path.glob("*.seen")] == [f"{os.getpid()}.seen"]
    assert (workers(), exists(f"{engine._lake.uri}/computing")) == ([], False)


def test_many_rows_are_computed_by_several_processes(engine: LocalEngine, tmp_path: Path) -> None:
    """Which stay for the next function, and end with the engine."""
    function = Doubling(tmp_path, pause=0.01)
    for _ in range(2):
        found = engine.arrow(engine.map(engine.of(many(ROWS)), function, DOUBLED, Work("doubled", ROWS, 0)))
        assert by_path(found) == doubled(ROWS)
    assert function.processes() == len(workers()) == 2
    engine.close()
    assert workers() == []


def test_last_rows_are_shared_out_in_small_numbers(engine: LocalEngine, tmp_path: Path) -> None:
    """So that no worker computes a whole share alone while the others have nothing left to do."""
    function = Doubling(tmp_path)
    made = engine.map(engine.of(many(ROWS)), function, DOUBLED, Work("doubled", ROWS, 0))
    sizes = [batch.num_rows for batch in made.batches()]
    assert sum(sizes) == ROWS
    assert min(sizes) == 8 < max(sizes)


def test_killed_worker_costs_its_share_and_nothing_else(engine: LocalEngine, notes: Notes, tmp_path: Path) -> None:
    """Another one takes its place, and each row is in the result once."""
    function = Doubling(tmp_path, dies_once="fruit 000100")
    found = engine.arrow(engine.map(engine.of(many(ROWS)), function, DOUBLED, Work("doubled", ROWS, 0)))
    assert by_path(found) == doubled(ROWS)
    assert len(function.seen()) > ROWS
    assert notes.shown[-1] == ROWS
    assert len(workers()) == 2


def test_rows_that_kill_every_worker_are_named_and_the_others_computed(engine: LocalEngine, tmp_path: Path) -> None:
    """Found by halving their shares; whoever asked for the result is told, row by row."""
    engine.append(engine.of(many(ROWS)), FRUIT)
    killers = (3, 70, 71)
    function = Doubling(tmp_path, dies=tuple(f"fruit {n:06}" for n in killers))
    killed: list[pa.RecordBatch] = []
    work = Work("doubled", ROWS, 0, on_killed=killed.append)
    found = engine.arrow(engine.map(engine.rows(FRUIT, ["path", "batch"]), function, DOUBLED, work))
    assert by_path(found) == doubled(ROWS, killers)
    assert sorted(batch["batch"][0].as_py() for batch in killed) == [*killers]


def test_row_that_kills_every_worker_is_an_error_where_nobody_asked_to_be_told(
    engine: LocalEngine, lake: Lake, tmp_path: Path
) -> None:
    """It is named, and no worker is left."""
    function = Doubling(tmp_path, dies=("fruit 000003",))
    rows = engine.map(engine.of(many(ROWS)), function, DOUBLED, Work("doubled", ROWS, 0))
    with pytest.raises(WorkerKilledError, match=r"ends each process that computes it: .*fruit 000003"):
        engine.arrow(rows)
    assert workers() == []


def test_workers_that_die_of_whatever_they_compute_end_the_work(engine: LocalEngine, tmp_path: Path) -> None:
    """A machine without memory, or a broken installation, is no fault of the rows': none of them is named."""
    function = Doubling(tmp_path, dies=tuple(f"fruit {n:06}" for n in range(ROWS)))
    killed: list[pa.RecordBatch] = []
    work = Work("doubled", ROWS, 0, on_killed=killed.append)
    with pytest.raises(WorkerKilledError, match=r"in a row ended .* \(signal 9\).*`processes`"):
        engine.arrow(engine.map(engine.of(many(ROWS)), function, DOUBLED, work))
    assert len(killed) <= 1
    assert workers() == []


# ---- processes that end ---------------------------------------------------------------------------------------------

PROGRAM = """
import sys
from pathlib import Path
from lakehouse.tables.delta import Lake
from lakehouse.engine.local.engine import LocalEngine
from lakehouse.engine.port import Work
from lakehouse.progress import NullProgress
from tests.lakehouse.engine.fruit import DOUBLED, FRUIT, Doubling, many

folder, rows, dies = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
engine = LocalEngine(Lake(f"file://{folder}/lake"), NullProgress(), 2)
function = Doubling(folder, pause=0.02, dies=tuple(dies))
made = engine.map(engine.of(many(rows)), function, DOUBLED, Work("doubled", rows, 0, on_killed=lambda row: None))
made_of = {"path": "path", "batch": "twice"}
columns = ", ".join(f"{made_of.get(name, 'NULL')} AS {name}" for name in FRUIT.schema.names)
try:
    print(engine.append(engine.sql(f"SELECT {columns} FROM made", made=made), FRUIT))
finally:
    engine.close()
"""


def started(folder: Path, rows: int, *dies: str) -> "subprocess.Popen[str]":
    """A process that doubles rows and appends them."""
    command_line = [sys.executable, "-c", PROGRAM, str(folder), str(rows), *dies]
    return subprocess.Popen(command_line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_until_computing(process: "subprocess.Popen[str]", folder: Path) -> list[int]:
    """Wait until two workers compute; returns them."""
    end = time.monotonic() + 60
    while len([*folder.glob("*.seen")]) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    return workers(process.pid)


def gone(pids: list[int]) -> bool:
    """Whether processes end within a few seconds."""
    end = time.monotonic() + 20
    while any(command(pid) for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_the_process_that_drives(lake: Lake, tmp_path: Path, ending: signal.Signals) -> None:
    """However it ends; nothing is committed, and after Ctrl-C no file is left."""
    process = started(tmp_path, 20 * FEW)
    busy = wait_until_computing(process, tmp_path)
    assert len(busy) == 2
    process.send_signal(ending)
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    assert gone(busy)
    assert "Traceback" not in said or ending == signal.SIGINT  # Python's own, of the interrupt, once
    assert said.count("Traceback") <= 1
    assert held(lake) == []
    if ending == signal.SIGINT:
        assert [*Path(lake.path(FRUIT)).glob("*.parquet")] == []


def test_process_that_died_of_few_rows_leaves_them_to_workers_next_time(lake: Lake, tmp_path: Path) -> None:
    """Else a photograph that kills its reader would kill every run; once they are done the next is as before."""
    first = started(tmp_path, 10, "fruit 000003")
    first.communicate(timeout=60)
    assert (first.returncode, held(lake)) == (-signal.SIGKILL, [])
    second = started(tmp_path, 10, "fruit 000003")
    said, errors = second.communicate(timeout=60)
    assert (second.returncode, said) == (0, "9\n"), errors
    assert [row["batch"] for row in held(lake)] == [2 * n for n in range(10) if n != 3]
    third = started(tmp_path, 10)
    assert third.communicate(timeout=60)[0] == "10\n"
    assert (tmp_path / f"{third.pid}.seen").exists()


def test_disk_that_is_full_leaves_no_file_and_no_worker(engine: LocalEngine, lake: Lake, tmp_path: Path) -> None:
    """An error of the disk's, as the writer tells it; the table is as it was."""
    rows = engine.map(engine.of(many(ROWS)), Doubling(tmp_path), DOUBLED, Work("doubled", ROWS, 0))
    columns = ", ".join("twice AS batch" if name == "batch" else name for name in ("path", "batch"))
    others = ", ".join(f"NULL AS {name}" for name in FRUIT.schema.names if name not in ("path", "batch"))
    made = engine.sql(f"SELECT {columns}, {others} FROM made", made=rows)
    folder = Path(lake.path(FRUIT))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lakehouse.tables.staged.create_file", lambda _: Path("/dev/full").open("wb"))  # noqa: SIM115 - closed there
        with pytest.raises(StorageError, match=r"part-.* cannot be written: No space left on device"):
            engine.append(engine.sql("SELECT * FROM made ORDER BY path", made=made), FRUIT)
    assert [*folder.glob("*.parquet")] == []
    assert delta.existing(lake, FRUIT).version() == 0
