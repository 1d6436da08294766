"""`--engine`: each command computes where it is told to, and needs Java for Spark alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bronze.tables import IMAGES
from fruits.demo.draw import draw_photographs
from gold.tables import PROJECTIONS
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from tests.conftest import add_photographs
from tests.fruits.cli.test_cli import call, fails

COMMANDS = (
    ("run",),
    ("bronze",),
    ("silver",),
    ("gold",),
    ("rollback", "1"),
    ("rollback", "--unpin"),
    ("forget", "/nowhere/1.png"),
    ("doctor",),
    ("setup",),
    ("demo",),
)
"""Every command that takes an engine, called so that nothing else is wrong with the call."""


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine whose JAVA_HOME holds no Java."""
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "no-java"))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings of a lake that is not there yet, and of six photographs."""
    add_photographs(tmp_path / "photographs", "Apple", range(6))
    (tmp_path / "settings.yaml").write_text(
        f"images: {tmp_path}/photographs\nlake: {tmp_path}/lake\nweights: untrained\n"
    )
    return tmp_path / "settings.yaml"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_engine_that_does_not_exist_is_status_2(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    """The option, what was given and what is valid are named, and nothing is made."""
    folder = ("--folder", tmp_path / "demo") if command == ("demo",) else ()
    status, said = fails(capsys, *command, *folder, "--config", config, "--engine", "flink")
    assert status == 2
    assert "`engine` in --engine is 'flink'" in said
    assert "'auto', 'local' or 'spark'" in said
    assert not (tmp_path / "lake").exists()
    assert not (tmp_path / "demo").exists()


def test_each_command_computes_where_it_is_told(
    no_java: None, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without Java, `--engine spark` says what it lacks and commits nothing, and `--engine local` does the work.

    The settings name the other engine each time, so that the option is what counts.
    """
    lake, shipped = Lake(str(tmp_path / "lake")), config.read_text()

    def does(*command: str) -> None:
        config.write_text(f"{shipped}engine: local\n")
        status, said = fails(capsys, *command, "--config", config, "--engine", "spark")
        assert status == 1, command
        assert "needs Java 17 to 22; found: none" in said
        assert "--engine local" in said
        config.write_text(f"{shipped}engine: spark\n")
        assert call(*command, "--config", config, "--engine", "local") == 0, command
        capsys.readouterr()

    for command in ("bronze", "silver", "gold"):
        does(command)
    add_photographs(tmp_path / "photographs", "Kiwi", range(6, 10))
    does("run", "--refit", "always")
    assert delta.versions(lake, PROJECTIONS, "pca_version") == {2}
    does("rollback", "1")
    assert delta.versions(lake, PROJECTIONS, "pca_version") == {1}
    (path, *_) = delta.existing(lake, IMAGES).to_pyarrow_table().column("path").to_pylist()
    does("forget", path)
    assert delta.count(lake, IMAGES) == 9


def test_doctor_looks_for_java_where_the_engine_needs_it(
    no_java: None, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is a finding with advice for Spark, and none for the local engine."""
    assert call("doctor", "--config", config, "--engine", "local") == 0
    local = capsys.readouterr().out
    assert "local (this machine, no Java)" in local
    assert "openjdk" not in local
    assert call("doctor", "--config", config, "--engine", "spark") == 1
    assert "openjdk-17-jre-headless" in "".join(capsys.readouterr().out.split())


# ---- a machine without Java: the real command, with nothing of this one's environment --------------------------------


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose PATH has no program at all; the cache is this user's, for the model is converted once."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "bin").mkdir()
    kept = {name: os.environ[name] for name in ("HOME", "XDG_CACHE_HOME") if name in os.environ}
    return {**kept, "PATH": str(folder / "bin")}


def fruits(bare: dict[str, str], folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Call the command there."""
    command = [sys.executable, "-m", "fruits", *map(str, arguments)]
    return subprocess.run(
        command, env=bare, cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


@pytest.mark.slow
def test_setup_and_run_do_without_java(bare: dict[str, str], config: Path, tmp_path: Path) -> None:
    """From photographs to projections, with more of them than one process computes alone."""
    draw_photographs(tmp_path / "photographs", views=8, size=16)
    for command in ("setup", "run", "doctor"):
        done = fruits(bare, tmp_path, command, "--config", config)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    lake = Lake(str(tmp_path / "lake"))
    assert delta.count(lake, PROJECTIONS) == delta.count(lake, IMAGES) > 64


@pytest.mark.slow
def test_demo_does_without_java(bare: dict[str, str], config: Path, tmp_path: Path) -> None:
    """It draws photographs, takes them through all layers, and shows what is in the lake."""
    config.write_text("weights: untrained\n")
    done = fruits(bare, tmp_path, "demo", "--folder", tmp_path / "demo", "--config", config)
    assert done.returncode == 0, done.stderr
    assert "gold.projections" in done.stdout
    assert delta.count(Lake(str(tmp_path / "demo" / "lake")), PROJECTIONS) > 0


@pytest.mark.parametrize("command", ["setup", "run", "demo"])
def test_spark_without_java_says_what_to_do(bare: dict[str, str], config: Path, tmp_path: Path, command: str) -> None:
    """Exit status 1, what is missing, where to get it, and the way without."""
    folder = ("--folder", tmp_path / "demo") if command == "demo" else ()
    done = fruits(bare, tmp_path, command, *folder, "--config", config, "--engine", "spark")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for words in (
        "needs Java 17 to 22; found: none",
        "openjdk-17-jre-headless",
        "--engine local",
    ):
        assert words in done.stderr
