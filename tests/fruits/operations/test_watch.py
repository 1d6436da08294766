"""`fruits watch`: runs follow each other, one that fails is tried again, and it ends when it is told to."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bronze.tables import IMAGES
from fruits.operations.watch import BUSY, Watch, pause_after
from gold.tables import PROJECTIONS
from lakehouse.errors import LeaseHeldError
from lakehouse.lease import open_lease
from lakehouse.lease.base import Lease
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from tests.bootstrap.conftest import ROOT
from tests.conftest import add_photographs
from tests.fruits.operations.test_interrupted import PATIENCE, PHOTOGRAPHS, committed, statuses, wait_for
from tests.processes import WORKER, DriverPeak, command, descendants

FRUITS = Path(sys.executable).with_name("fruits")
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start `fruits watch` on the photographs and the lake of the test's folder; its words go to a file."""
    settings = (
        f"images: {tmp_path}/photographs\nlake: {tmp_path}/lake\nweights: untrained\nprocesses: 2\nengine: local\n"
    )
    (tmp_path / "settings.yaml").write_text(settings)
    begun = []

    def begin(*options: str) -> subprocess.Popen[str]:
        config = ["--config", str(tmp_path / "settings.yaml")]
        with (tmp_path / "said").open("w") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "fruits", "watch", *config, *options], stdout=said, stderr=said, text=True
            )
        begun.append(process)
        return process

    yield begin
    for process in begun:
        process.kill()
        process.wait()


def told(tmp_path: Path, times: int, words: str) -> Callable[[], bool]:
    """Whether it has said something so many times."""
    return lambda: (tmp_path / "said").read_text().count(words) >= times


@pytest.mark.slow
def test_watch_takes_what_comes_waits_for_the_lease_and_ends_when_told(start: Start, tmp_path: Path) -> None:
    """Each run is one of the history's, and SIGTERM, as of a service that is stopped, is no failure."""
    add_photographs(tmp_path / "photographs", "Apple", range(3))
    lake = Lake(str(tmp_path / "lake"))
    watch = start("--every", "1s")
    wait_for(told(tmp_path, 1, "gold    3 projected"))
    add_photographs(tmp_path / "photographs", "Kiwi", range(3, 5))
    wait_for(lambda: delta.count(lake, PROJECTIONS) == 5)
    # Whoever wants it between two runs gets it.
    lease = open_lease(lake.uri)
    wait_for(lambda: acquired(lease))
    wait_for(told(tmp_path, 2, "Another run holds the lake. The next one is tried in 1 s."))
    lease.release()
    before = len(statuses(lake))
    wait_for(lambda: len(statuses(lake)) > before)
    watch.terminate()
    assert watch.wait(PATIENCE) == 0
    assert delta.count(lake, IMAGES) == 5
    assert {*statuses(lake)} <= {"done", "interrupted"}
    assert "Traceback" not in (tmp_path / "said").read_text()


@pytest.mark.parametrize(("ending", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_run_that_goes_on_is_interrupted_and_leaves_nothing_half(
    start: Start, tmp_path: Path, ending: signal.Signals, status: int
) -> None:
    """No worker, no file that is no part of a table, and not a word."""
    add_photographs(tmp_path / "photographs", "Apple", range(PHOTOGRAPHS))
    watch = start()
    features = tmp_path / "lake" / "silver" / "features"
    wait_for(lambda: [*features.glob("*.parquet")])
    workers = [pid for pid in descendants(watch.pid) if WORKER in command(pid)]
    assert len(workers) == 2
    watch.send_signal(ending)
    assert watch.wait(PATIENCE) == status
    wait_for(lambda: not [pid for pid in workers if WORKER in command(pid)])
    lake = Lake(str(tmp_path / "lake"))
    assert statuses(lake) == ["interrupted"]
    assert {*(tmp_path / "lake").rglob("*.parquet")} == committed(lake)
    assert (tmp_path / "said").read_text() == ""


def test_call_that_is_wrong_ends_it_at_once(start: Start, tmp_path: Path) -> None:
    """No later run would be better off."""
    assert start("--every", "soon").wait(PATIENCE) == 2
    assert "--every is 'soon': give a number and a unit, as 30s, 15m, 1h or 1d." in (tmp_path / "said").read_text()
    (tmp_path / "settings.yaml").write_text(f"lake: {tmp_path}/lake\n")
    assert start().wait(PATIENCE) == 2
    said = (tmp_path / "said").read_text()
    assert said.startswith("Error: No photographs were named.")
    assert len(said.splitlines()) == 1


def watched(code: str, interval: float = 0.0) -> tuple[int, list[str]]:
    """Watch a program in place of a run; returns the status, and what was said."""
    said: list[str] = []
    return Watch([sys.executable, "-S", "-c", code], interval, said.append).run(), said


def test_runs_that_fail_are_told_and_tried_again(tmp_path: Path) -> None:
    """However they end, and whatever is wrong with the settings by then; here the last one ends the watch."""
    log = tmp_path / "log"
    endings = f"[0, 1, {BUSY}, 2, 'KILL', 'TERM']"
    code = (
        f"import os, signal; log = open({str(log)!r}, 'a+'); log.write('.'); log.seek(0); count = len(log.read());"
        f"end = {endings}[count - 1]; log.close();"
        "os.kill(os.getppid(), signal.SIGTERM) if end == 'TERM' else os.kill(os.getpid(), 9) if end == 'KILL' else "
        "os._exit(end)"
    )
    status, said = watched(code)
    assert status == 0
    assert said == [
        "The run failed (status 1). The next one is tried in 0 s.",
        "Another run holds the lake. The next one is tried in 0 s.",
        "The run failed (status 2). The next one is tried in 0 s.",
        "The run was ended by SIGKILL. The next one is tried in 0 s.",
    ]


def test_watching_costs_no_memory(tmp_path: Path) -> None:
    """However many runs there were: each is a process of its own."""
    log = tmp_path / "log"
    script = f'printf . >> "{log}"; [ $(wc -c < "{log}") -lt 300 ] || kill -TERM $PPID; exit 1'
    watch = Watch(["sh", "-c", script], 0.0, lambda _: None)
    peak = DriverPeak()
    assert watch.run() == 0
    assert len(log.read_text()) == 300
    assert peak.growth() < 2 << 20


def test_signals_are_as_they_were_when_it_is_over() -> None:
    """Whoever called it may be interrupted again."""
    before = signal.getsignal(signal.SIGINT)
    assert watched(f"import os, signal; os.kill({os.getpid()}, signal.SIGINT)") == (130, [])
    assert signal.getsignal(signal.SIGINT) is before


def test_pause_doubles_with_each_failure_and_never_exceeds_the_interval() -> None:
    """And is the interval again after a run that has done its work."""
    assert [pause_after(failures, 900.0) for failures in range(8)] == [900, 30, 60, 120, 240, 480, 900, 900]
    assert pause_after(10_000, 86400.0) == 86400
    assert pause_after(1, 10.0) == 10


DOCUMENT = (ROOT / "docs" / "watch.md").read_text()
FILES = re.findall(r"^`/etc/systemd/system/(\S+)`:\n\n```ini\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
UNITS = dict(FILES)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_units_of_the_document_are_what_systemd_takes(tmp_path: Path) -> None:
    """With the command where it is here; a setting that it does not know is an error."""
    assert UNITS.keys() == {"fruits.service", "fruits.timer", "fruits-watch.service"}
    for name, text in UNITS.items():
        (tmp_path / name).write_text(text.replace("/opt/fruits/.venv/bin/fruits", str(FRUITS)))
    verify = ["systemd-analyze", "verify", *(str(tmp_path / name) for name in UNITS)]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "fruits" in line]) == (0, [])


def test_commands_of_the_document_are_calls_that_the_command_takes(tmp_path: Path) -> None:
    """Each one's options; what cron and systemd call ends with 75 where the lake is held."""
    calls = re.findall(r"fruits ((?:run|watch) .*?)(?: >>.*)?$", DOCUMENT, re.M)
    assert len(calls) == 4
    (tmp_path / "settings.yaml").write_text(f"images: {tmp_path}\nlake: {tmp_path}/lake\n")
    with open_lease(str(tmp_path / "lake")):
        for call in calls:
            words = call.replace("/etc/fruits", str(tmp_path)).split()
            if words[0] == "run":
                done = subprocess.run([sys.executable, "-m", "fruits", *words], capture_output=True, text=True)
                assert (done.returncode, done.stdout) == (75, "")
                assert done.stderr.count("\n") == 1
            else:
                asked = subprocess.run([sys.executable, "-m", "fruits", *words, "--help"], capture_output=True)
                assert asked.returncode == 0


def acquired(lease: Lease) -> bool:
    """Whether the lease is ours now."""
    try:
        lease.acquire()
    except LeaseHeldError:
        return False
    return True
