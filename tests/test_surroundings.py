"""One run each in the surroundings that people have: it makes the same rows, or ends with one sentence.

What other programs' variables, files, locales and limits would change is in `fruits/surroundings.py` and, for Spark, in
`lakehouse/engine/spark/environment.py`.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lakehouse.tables.delta import Lake
from silver.encoders.base import UNTRAINED
from silver.encoders.mobilenet import converted_model
from tests.comparing import assert_same, rows_of_layers
from tests.conftest import NO_JAVA, add_photographs

FRUITS = str(Path(sys.executable).with_name("fruits"))
NOWHERE = "/nowhere/at/all"
CLOSED_PORT = "http://127.0.0.1:9"
ROOT_ALONE = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a namespace")


@dataclass(frozen=True)
class Place:
    """Photographs, the lake, a working folder, a home and a folder for what passes."""

    folder: Path
    photographs: Path

    def __getattr__(self, name: str) -> Path:
        """A folder by its name."""
        if name not in ("lake", "work", "home", "passing"):
            raise AttributeError(name)
        path = self.folder / name
        path.mkdir(exist_ok=True)
        return path


@dataclass(frozen=True)
class Surrounding:
    """Variables, a command before ours, what is done first, and the sentence in which a run ends that cannot be."""

    variables: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[Place], Sequence[str]] = lambda _: ()
    prepare: Callable[[Place], object] = lambda _: None
    sentence: str | None = None
    keeps_model: bool = True
    """Whether the converted model is there already; TensorFlow is imported for it else, which takes seconds."""


def shell(script: str) -> Callable[[Place], Sequence[str]]:
    """Our command from a shell that has done something first; `$T` is a folder for what passes."""
    return lambda place: ["sh", "-c", f'T="{place.passing}"; {script}; exec "$@"', "sh"]


def mounted(options: str) -> Callable[[Place], Sequence[str]]:
    """Our command where /tmp and TMPDIR are a file system of their own."""
    mount = f'mount -t tmpfs -o {options} tmpfs "$T" && export TMPDIR="$T"'
    return lambda place: ["unshare", "--mount", *shell(mount)(place)]


def litter(place: Place) -> None:
    """Files of other programs', in the working folder and at home."""
    for name in ("lakehouse", "bronze", "random", "numpy", "typing", "sitecustomize"):
        (place.work / f"{name}.py").write_text("raise RuntimeError('the working folder was imported')\n")
    (place.work / "matplotlibrc").write_text("text.usetex: True\nbackend: TkAgg\nfigure.dpi: 3\n")
    (place.work / ".env").write_text(f"FRUITS_LAKE={NOWHERE}\nMLFLOW_TRACKING_URI={CLOSED_PORT}\n")
    keras = place.home / ".keras"
    keras.mkdir()
    (keras / "keras.json").write_text(
        '{"floatx": "float16", "epsilon": 0.1, "backend": "torch", "image_data_format": "channels_first"}'
    )
    for name in ("spark-defaults.conf", "core-site.xml"):
        (place.passing / name).write_text("this is of another Spark")


def make_latin_locale(place: Place) -> None:
    """A locale whose encoding is Latin-1, as `de_DE@euro` was for decades."""
    made = ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", str(place.passing / "de_DE.ISO-8859-1")]
    if shutil.which("localedef") is None or subprocess.run(made, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs localedef and the sources of locales (Debian: locales)")


LIBRARIES = {
    "KERAS_BACKEND": "torch",
    "TF_USE_LEGACY_KERAS": "1",
    "MPLBACKEND": "nonsense",
    "PYTHONWARNINGS": "error",
    "PYTHONOPTIMIZE": "2",
    "PYTHONINSPECT": "1",
    "PYTHONIOENCODING": "ascii",
    "TMPDIR": NOWHERE,
    "TZ": "Mars/Phobos",
    "LANGUAGE": "de",
    "COLUMNS": "abc",
    "TERM": "dumb",
    "OMP_NUM_THREADS": "1",
    "MLFLOW_RUN_ID": "abc",
    "MLFLOW_EXPERIMENT_ID": "77",
    "MLFLOW_EXPERIMENT_NAME": "another",
    "MLFLOW_REGISTRY_URI": CLOSED_PORT,
    "MLFLOW_ARTIFACT_URI": NOWHERE,
    "WEB_CONCURRENCY": "4",
    "SSL_CERT_FILE": NOWHERE,
    "REQUESTS_CA_BUNDLE": NOWHERE,
    "http_proxy": CLOSED_PORT,
    "HTTPS_PROXY": CLOSED_PORT,
}
NOTEBOOK = {
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "JPY_PARENT_PID": "1",
    "CLICOLOR": "1",
    "TERM": "xterm-color",
    "PAGER": "cat",
}
CHECKS = {"PYTHONDEVMODE": "1", "PYTHONMALLOC": "debug", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}

SURROUNDINGS = {
    "variables of libraries": Surrounding(LIBRARIES, prepare=litter, keeps_model=False),
    "notebook": Surrounding(NOTEBOOK),
    "checks of Python's": Surrounding(CHECKS),
    "cron": Surrounding({"PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "LANG": ""}),
    "Latin-1": Surrounding({"LC_ALL": "de_DE.ISO-8859-1"}, shell('export LOCPATH="$T"'), prepare=make_latin_locale),
    "ASCII": Surrounding({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}),
    "closed streams": Surrounding(before=shell("exec <&- >&- 2>&-")),
    "private files": Surrounding(before=shell("umask 077")),
    "64 open files": Surrounding(before=shell("ulimit -n 64")),
    "one processor": Surrounding(before=lambda _: ["taskset", "-c", "0"]),
    "library that is not there": Surrounding({"LD_PRELOAD": f"{NOWHERE}.so"}),
    "working folder gone": Surrounding(
        before=shell('mkdir "$T/gone"; cd "$T/gone"; rmdir "$T/gone"'),
        sentence="Error: The working folder has been removed. Change to one that is there (`cd`).",
    ),
    "small files": Surrounding(before=shell("ulimit -f 4000"), sentence="File too large", keeps_model=False),
    "few addresses": Surrounding(before=shell("ulimit -v 3000000"), sentence="Raise the limit (`ulimit -v`)"),
    "few addresses by default": Surrounding(before=shell("ulimit -S -v 1000000")),
    "first process": Surrounding(before=lambda _: ["unshare", "--pid", "--fork", "--mount-proc"]),
    "no network": Surrounding(before=lambda _: ["unshare", "--net"]),
    "host without an address": Surrounding(
        before=lambda place: ["unshare", "--uts", *shell("hostname no-such-host.invalid")(place)]
    ),
    "nothing is executed in /tmp": Surrounding(before=mounted("size=500m,noexec")),
}
QUICK = ("variables of libraries",)
OF_ROOT = ("first process", "no network", "host without an address", "nothing is executed in /tmp")


def marks(name: str) -> list[pytest.MarkDecorator]:
    """One is always run; namespaces are root's to make."""
    return [*([] if name in QUICK else [pytest.mark.slow]), *([ROOT_ALONE] if name in OF_ROOT else [])]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight photographs of two labels, one with an accent."""
    folder = tmp_path_factory.mktemp("surroundings") / "photographs"
    add_photographs(folder, "Apple", range(4))
    add_photographs(folder, "Pêche", range(4, 8))
    return folder


def fruits(place: Place, surrounding: Surrounding, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run all layers there."""
    plain = {"PATH": os.environ["PATH"], "HOME": str(place.home), "LANG": "C.UTF-8", "FRUITS_WEIGHTS": "untrained"}
    command = [*surrounding.before(place), FRUITS, "run", "--images", str(place.photographs)]
    return subprocess.run(
        [*command, "--lake", str(place.lake), "--format", "json", *options],
        env={**plain, **surrounding.variables},
        cwd=place.work,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, photographs: Path) -> tuple[Path, dict[str, Any]]:
    """The folder of the converted model after a plain run, and the rows that it made."""
    place = Place(tmp_path_factory.mktemp("undisturbed"), photographs)
    converted_model(UNTRAINED, f"file://{place.lake}/models")  # from this user's cache: the place has a home of its own
    done = fruits(place, Surrounding())
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return place.lake / "models", rows_of_layers(Lake(str(place.lake)))


@pytest.fixture
def place(tmp_path: Path, photographs: Path) -> Place:
    """A place of this test's own."""
    return Place(tmp_path, photographs)


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in SURROUNDINGS])
def test_run_makes_the_same_rows_or_says_why_not(
    place: Place, undisturbed: tuple[Path, dict[str, Any]], name: str
) -> None:
    """On the local engine, from an empty lake."""
    surrounding, (model, expected) = SURROUNDINGS[name], undisturbed
    surrounding.prepare(place)
    if surrounding.keeps_model:
        shutil.copytree(model, place.lake / "models")
    done = fruits(place, surrounding)
    assert "Traceback" not in done.stderr
    if surrounding.sentence:
        assert done.returncode == 1, done.stderr
        (line,) = done.stderr.splitlines()
        assert surrounding.sentence in line
        return
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "LD_PRELOAD" not in line]  # the loader's own words
    assert said == []
    assert_same(rows_of_layers(Lake(str(place.lake))), expected)


OTHER_SPARK = {
    "PYSPARK_PYTHON": NOWHERE,
    "PYSPARK_DRIVER_PYTHON": "jupyter",
    "PYSPARK_DRIVER_PYTHON_OPTS": "lab",
    "PYSPARK_SUBMIT_ARGS": "--broken",
    "SPARK_HOME": NOWHERE,
    "SPARK_REMOTE": "sc://nowhere",
    "SPARK_CONNECT_MODE_ENABLED": "1",
    "SPARK_MASTER": "yarn",
    "MASTER": "yarn",
    "SPARK_SUBMIT_OPTS": "-Dspark.master=yarn",
    "SPARK_LOCAL_IP": "10.9.9.9",
    "SPARK_LOCAL_DIRS": NOWHERE,
    "SPARK_DIST_CLASSPATH": NOWHERE,
    "HADOOP_USER_NAME": "nobody",
    "ARROW_PRE_0_15_IPC_FORMAT": "1",
    "LC_ALL": "C",
}
ON_SPARK = {
    "variables of another Spark": Surrounding(
        {**LIBRARIES, **OTHER_SPARK}, shell('export SPARK_CONF_DIR="$T" HADOOP_CONF_DIR="$T"'), litter
    ),
    "no network but itself, and no name": Surrounding(
        before=lambda place: [
            *("unshare", "--uts", "--net"),
            *shell("hostname no-such-host.invalid; ip link set lo up")(place),
        ]
    ),
}


@pytest.mark.slow
@ROOT_ALONE
@pytest.mark.parametrize("name", ON_SPARK)
def test_run_on_spark_makes_the_same_rows(place: Place, undisturbed: tuple[Path, dict[str, Any]], name: str) -> None:
    """In a process of its own: Spark as it is shipped."""
    from lakehouse.engine.spark.java import find_java

    if not find_java().works:
        pytest.skip(NO_JAVA)
    surrounding, (model, expected) = ON_SPARK[name], undisturbed
    surrounding.prepare(place)
    shutil.copytree(model, place.lake / "models")
    cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    there = Surrounding({**surrounding.variables, "XDG_CACHE_HOME": cache}, surrounding.before)
    done = fruits(place, there, "--engine", "spark")
    assert done.returncode == 0, done.stderr
    assert not re.search(r"Traceback|Exception|^\s+at ", done.stderr, re.MULTILINE), done.stderr
    assert_same(rows_of_layers(Lake(str(place.lake))), expected)
