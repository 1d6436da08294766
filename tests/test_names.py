"""Any name works for folders: of photographs, lakes, the project itself, a home, a cache and temporary files."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lakehouse.settings import to_yaml
from tests.conftest import add_photographs, photograph
from tests.fruits.cli.test_cli import call
from tests.lakehouse.conftest import bucket, s3, s3_server  # noqa: F401 - fixtures
from tests.names import FOLDER, FOLDER_KEY, LAKE, LAKE_KEY

PROJECT = Path(__file__).parent.parent
SPARK = pytest.param("spark", marks=pytest.mark.slow)
COMMANDS: Sequence[Sequence[str]] = (
    ("run",),
    ("run",),
    ("relabel", "Apple/0.png", "new"),
    ("run", "--refit", "always"),
    ("rollback", "1"),
    ("identify", "{images}/Apple/1.png"),
    ("models", "--compare", "1", "2"),
    ("report", "--output", "report.html"),
    ("doctor", "--repair", "--thorough"),
    ("forget", "{images}/Apple/0.png"),
    ("run",),
)
"""A lake's life, in which each layer and each operation reads and writes."""
FEW = (("bronze",), ("bronze",), ("relabel", "Apple/0.png", "new"))
"""What of it is quick."""


def live(
    settings: Mapping[str, object],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    commands: Sequence[Sequence[str]] = COMMANDS,
) -> None:
    """Have a lake live, and look what is in it and what the doctor says in the end."""
    config, images = folder / "settings.yaml", str(settings["images"])
    config.write_text(to_yaml({**settings, "threshold": 0.9}), encoding="utf-8")
    for command, *words in commands:
        status = call(command, "--config", config, *(word.replace("{images}", images) for word in words))
        assert status == 0, (command, words, capsys.readouterr().err)
    capsys.readouterr()
    table = "gold.projections" if ("run",) in commands else "bronze.images"
    assert call("sql", "--config", config, "--format", "json", f"SELECT path FROM {table} ORDER BY 1") == 0
    held = [row["path"] for row in json.loads(capsys.readouterr().out)]
    prefix = images if images.startswith("s3://") else f"file://{images}"
    assert held == [f"{prefix}/Apple/{seed}.png" for seed in range(6)]
    assert call("doctor", "--config", config, "--format", "json") == 0


@pytest.mark.parametrize("engine", ["local", SPARK])
def test_lake_and_photographs_lie_in_folders_of_any_name(
    engine: str,
    tmp_path: Path,
    stub_encoder: str,
    blank_pictures: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    """Every command reads and writes there, and nothing is made beside it."""
    if engine == "spark":
        request.getfixturevalue("spark")
    monkeypatch.chdir(tmp_path)
    add_photographs(tmp_path / FOLDER, "Apple", range(6))
    places = {"images": f"{tmp_path}/{FOLDER}", "lake": f"{tmp_path}/{LAKE}/lake"}
    live({**places, "engine": engine, "encoder": stub_encoder}, tmp_path, capsys)
    assert sorted(os.listdir()) == sorted([FOLDER, LAKE, "report.html", "settings.yaml"])


@pytest.mark.parametrize(
    "commands", [pytest.param(FEW, id="few"), pytest.param(COMMANDS, id="all", marks=pytest.mark.slow)]
)
def test_lake_and_photographs_on_s3_have_keys_of_any_name(
    commands: Sequence[Sequence[str]],
    s3: Any,  # noqa: F811 - a fixture
    bucket: str,  # noqa: F811
    tmp_path: Path,
    stub_encoder: str,
    blank_pictures: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On a real server; no key is made beside them."""
    monkeypatch.chdir(tmp_path)
    for seed in range(6):
        s3.put_object(Bucket=bucket, Key=f"{FOLDER_KEY}/Apple/{seed}.png", Body=photograph(seed))
    places = {"images": f"s3://{bucket}/{FOLDER_KEY}", "lake": f"s3://{bucket}/{LAKE_KEY}/lake"}
    live({**places, "encoder": stub_encoder}, tmp_path, capsys, commands)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [one["Key"] for page in pages for one in page["Contents"]]
    assert not [key for key in keys if not key.startswith((f"{FOLDER_KEY}/", f"{LAKE_KEY}/lake/"))]


@pytest.mark.slow
@pytest.mark.parametrize("name", [LAKE.replace(":", ""), "a%20b#c?d\\e"], ids=["all that a lake may", "the others"])
@pytest.mark.parametrize("engine", ["local", "spark"])
def test_project_home_cache_and_temporary_files_lie_in_folders_of_any_name(
    name: str, engine: str, tmp_path: Path
) -> None:
    """A first run from a copy of the code, by a user whose folders are called so; nothing is made beside them."""
    if engine == "spark":
        name = name.replace("🍎", "")  # no Java finds classes behind one
    clone, home, temporary = (tmp_path / name / part for part in ("clone", "home", "tmp"))
    for folder in (home, temporary):
        folder.mkdir(parents=True)
    for package in ("bronze", "silver", "gold", "lakehouse", "fruits"):
        shutil.copytree(PROJECT / package, clone / package, ignore=shutil.ignore_patterns("__pycache__"))
    for package in ("conf", "bootstrap"):
        shutil.copytree(PROJECT / package, clone / "lakehouse" / package, dirs_exist_ok=True)
    add_photographs(tmp_path / "pics", "Apple", range(6))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "LC_ALL": "C.UTF-8",  # else Java knows no name beyond ASCII
        "FRUITS_WEIGHTS": "untrained",
        **{key: value for key, value in os.environ.items() if key in ("JAVA_HOME", "KERAS_HOME")},
    }
    options = ("--images", tmp_path / "pics", "--lake", tmp_path / "lake", "--engine", engine)
    ran = subprocess.run(
        [sys.executable, "-m", "fruits", "run", "--format", "json", *map(str, options)],
        cwd=clone, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["gold"]["projected"] == 6
    assert "does not work" not in ran.stderr
    assert sorted(os.listdir(tmp_path)) == sorted([name, "lake", "pics"])


@pytest.mark.slow
def test_run_on_spark_over_s3_takes_keys_of_any_name(
    s3: Any,  # noqa: F811 - a fixture
    bucket: str,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Hadoop's client writes what the others read, and no key is made beside it."""
    for seed in range(4):
        s3.put_object(Bucket=bucket, Key=f"{FOLDER_KEY}/Apple/{seed}.png", Body=photograph(seed))
    lake = f"s3://{bucket}/{LAKE_KEY}/lake"
    (tmp_path / "settings.yaml").write_text(to_yaml({"weights": "untrained"}))
    command = ["run", "--engine", "spark", "--config", str(tmp_path / "settings.yaml"), "--format", "json"]
    for expected in ((4, 4), (0, 0)):
        done = subprocess.run(
            [*FRUITS, *command, "--images", f"s3://{bucket}/{FOLDER_KEY}", "--lake", lake],
            env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)
        assert (summary["bronze"]["ingested"], summary["gold"]["projected"]) == expected
    capsys.readouterr()
    assert call("sql", "--lake", lake, "--format", "json", "SELECT path FROM gold.projections ORDER BY 1") == 0
    held = [row["path"] for row in json.loads(capsys.readouterr().out)]
    assert held == [f"s3://{bucket}/{FOLDER_KEY}/Apple/{seed}.png" for seed in range(4)]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [one["Key"] for page in pages for one in page["Contents"]]
    assert not [key for key in keys if not key.startswith((f"{FOLDER_KEY}/", f"{LAKE_KEY}/lake/"))]


FRUITS = (sys.executable, "-m", "fruits")


@contextmanager
def served(*arguments: object) -> Iterator[str]:
    """The first line that a server prints, as long as the block lasts; then Ctrl-C ends it with status 0."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "FRUITS_WEIGHTS": "untrained"}
    server = subprocess.Popen([*FRUITS, *map(str, arguments)], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert server.stdout is not None
        yield server.stdout.readline()
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0
    finally:
        server.kill()
        server.wait()


def asked(server: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> bytes:
    """What a server answers, and that it is well."""
    server.request(method, path, body)
    answer = server.getresponse()
    content = answer.read()
    assert answer.status == 200, content
    return content


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
def test_demo_setup_app_and_ui_work_with_a_lake_of_any_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The app shows the neighbours' pictures, and MLflow's server finds its store."""
    folder = tmp_path / LAKE
    (tmp_path / "settings.yaml").write_text(to_yaml({"weights": "untrained"}))
    config = ("--config", tmp_path / "settings.yaml")
    assert call("demo", "--folder", folder, *config) == 0
    assert call("setup", "--lake", folder / "lake", *config) == 0
    assert sorted(os.listdir(tmp_path)) == sorted([LAKE, "settings.yaml"])
    photo = next((folder / "photographs").rglob("*.jpg"))
    with served("app", "--port", 0, "--lake", folder / "lake", *config) as said:
        found = re.search(r"http://127\.0\.0\.1:(\d+) ", said)
        assert found
        app = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=60)
        told = json.loads(asked(app, "POST", "/identify", photo.read_bytes()))
        assert told["label"] == photo.parent.name
        assert asked(app, "GET", f"/photographs/{told['neighbours'][0]['sha256']}").startswith(b"RIFF")
    with served("ui", "--port", free_port(), "--lake", folder / "lake", *config) as said:
        assert re.search(r"MLflow's UI is at http://127\.0\.0\.1:\d+/#/experiments/1 until", said)
