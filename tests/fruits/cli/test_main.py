"""The command as a process: how it ends, and what it does without."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from fruits.operations.run import run_layers
from fruits.settings import load_settings
from lakehouse.user_folders import cache_folder
from tests.conftest import add_photographs

FOR_A_FIT = {"mlflow", "sklearn", "skops", "pandas", "scipy", "matplotlib", "plotly", "tensorflow", "pyspark"}
FOR_A_QUERY = {"duckdb", "pyarrow.compute", "pyarrow.dataset"}
FOR_A_PHOTOGRAPH = {"PIL", "ai_edge_litert"}


AT_THE_END = """
import atexit, sys
class Library:
    def find_spec(self, name, path, target=None):
        if name == "fruits.cli":
            atexit.register({})
sys.meta_path.insert(0, Library())
"""
"""Code for what a library that the command imports has done at the end."""


def fruits(*arguments: object, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command, in a process that has done something before."""
    code = f"import sys; sys.argv[0] = 'fruits'\n{before}\nfrom fruits.__main__ import main; main()"
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Sequence[object]:
    """Options of a lake that has been run once."""
    folder = tmp_path_factory.mktemp("run")
    add_photographs(folder / "photographs", "Apple", range(6))
    (folder / "settings.yaml").write_text(f"images: {folder}/photographs\nlake: {folder}/lake\nweights: untrained\n")
    run_layers(load_settings(folder / "settings.yaml"))
    return ("--config", folder / "settings.yaml")


def test_run_without_news_imports_nothing_to_compute_with(options: Sequence[object]) -> None:
    """Which together take several times as long as such a run."""
    tell = "lambda: print(*sys.modules, file=sys.stderr)"
    ran = fruits("run", "--format", "json", *options, before=AT_THE_END.format(tell))
    assert '"ingested": 0' in ran.stdout
    imported = set(ran.stderr.split())
    assert {"deltalake", "pyarrow"} <= imported
    assert not imported & (FOR_A_FIT | FOR_A_QUERY | FOR_A_PHOTOGRAPH)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(("--help",), 0), (("run", "--lake", "/proc/none", "--images", "/proc"), 1), (("fly",), 2)],
)
def test_status_reaches_the_shell(arguments: Sequence[str], status: int, tmp_path: Path) -> None:
    """Also through the short way out, with all that was said."""
    ran = fruits(*arguments)
    assert ran.returncode == status
    assert ran.stdout if status == 0 else ran.stderr


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_others_do_at_the_end_is_done(tmp_path: Path, when: str) -> None:
    """Libraries flush and remove, profilers that started the command write what they saw."""
    done = tmp_path / "done"
    write = f"lambda: open({str(done)!r}, 'w').write('done')"
    before = AT_THE_END.format(write) if when == "after" else f"import atexit; atexit.register({write})"
    assert fruits("--help", before=before).returncode == 0
    assert done.read_text() == "done"


def test_result_that_cannot_be_written_is_no_success(options: Sequence[object]) -> None:
    """As on a full disk, or into a pipe that nobody reads."""
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "fruits", "run", "--format", "json", *map(str, options)]
        assert subprocess.run(command, stdout=full, stderr=subprocess.DEVNULL).returncode != 0


def test_closed_streams_are_no_error(options: Sequence[object], tmp_path: Path) -> None:
    """As a daemon or cron may start the command: nothing can be said there, and the run succeeds in silence."""
    said = tmp_path / "said"
    command = f'exec "$0" -m fruits run "$@" >&- 2>{said}'
    run = ["sh", "-c", command, sys.executable, *map(str, options)]
    assert subprocess.run(run, check=False).returncode == 0
    assert said.read_text() == ""
    assert subprocess.run(["sh", "-c", 'exec "$0" -m fruits run "$@" >&- 2>&-', *run[3:]], check=False).returncode == 0


# ---- users ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nobody() -> list[str]:
    """How to call a program as a user whom the system does not know, in a namespace of its own, as in a container."""
    command = ["unshare", "--user", "--map-user=12345", "env", "-i", f"PATH={os.environ['PATH']}"]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"user namespaces are needed, and there are none here: {error}")
    return [*command, f"XDG_CACHE_HOME={cache_folder().parent}"]


@pytest.mark.parametrize("home", [None, "/proc/none"], ids=["no home", "home that nobody can write to"])
def test_user_whom_the_system_does_not_know_can_do_everything(
    nobody: list[str], home: str | None, tmp_path: Path
) -> None:
    """A run with its fits, and the questions after it; who it was is told by number."""
    add_photographs(tmp_path / "photographs", "Apple", range(6))
    options = ["--lake", tmp_path / "lake"]
    command = [*nobody, *([f"HOME={home}"] if home else []), "FRUITS_WEIGHTS=untrained", sys.executable, "-m", "fruits"]
    for arguments in (["run", "--images", tmp_path / "photographs"], ["history", "--format", "json"], ["doctor"]):
        done = subprocess.run([*command, *map(str, [*arguments, *options])], capture_output=True, text=True)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), (arguments, done.stdout, done.stderr)
        if arguments[0] == "history":
            (row,) = json.loads(done.stdout)
            assert row["status"] == "done"
            assert "12345" in row["user"]
