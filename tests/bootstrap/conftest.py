"""The bootstrap action and what it is given: small code for most tests, the real one for the test that takes long."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.bootstrap.wheels import locked, write_wheel
from tests.lakehouse.conftest import bucket, s3, s3_server  # noqa: F401 - fixtures

ROOT = Path(__file__).parents[2]
EMR = ROOT / "bootstrap" / "emr.sh"
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # aws and python3.11 of this environment first


@dataclass
class Node:
    """A machine's part that `emr.sh` sees: the code it is given, where it installs, and what EMR says it is."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def prefix(self) -> Path:
        """Where it installs."""
        return self.folder / "opt" / "fruits"

    @property
    def code(self) -> Path:
        """The code it is given."""
        return self.folder / "code"

    def says(self, content: str) -> None:
        """Have EMR say what this node is."""
        (self.folder / "instance.json").write_text(content)

    def bootstrap(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run `emr.sh`, by default on the code here."""
        command: list[str | Path] = [EMR, *(arguments or [self.code]), "--prefix", self.prefix]
        variables = {"PATH": PATH, "FRUITS_INSTANCE_INFO": str(self.folder / "instance.json"), **self.environment}
        return subprocess.run(
            command, env={**os.environ, **variables}, cwd=ROOT, capture_output=True, text=True, timeout=540, check=False
        )

    def python(self, source: str, **variables: str) -> str:
        """What a program prints that the installed Python runs."""
        command: list[str | Path] = [self.prefix / "bin" / "python", "-c", source]
        environment = {"PATH": os.defpath, **variables}
        done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def shadow(self, name: str, script: str) -> None:
        """Put a script in a command's place."""
        bin_ = self.folder / "bin"
        bin_.mkdir(exist_ok=True)
        (bin_ / name).write_text(f"#!/bin/bash\n{script}\n")
        (bin_ / name).chmod(0o755)
        self.environment["PATH"] = f"{bin_}{os.pathsep}{PATH}"


@pytest.fixture(scope="session")
def python311() -> str:
    """The path of python3.11; tests that install skip where there is none."""
    python = shutil.which("python3.11", path=PATH)
    if python is None:
        pytest.skip("a cluster's nodes have Python 3.11, and this machine has no python3.11")
    return python


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built from a copy: setuptools writes where it builds, and keeps what is stale."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for path in ROOT.iterdir():
        if path.suffix in (".py", ".toml"):
            shutil.copy(path, source)
        elif (path / "__init__.py").is_file():
            shutil.copytree(path, source / path.name, ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, source], check=True)
    (built,) = folder.glob("*.whl")
    return built


def small_node(folder: Path) -> Node:
    """A worker node with small code: wheels of a few lines, found in a folder instead of an index."""
    node = Node(folder)
    node.says('{"isMaster": false}')
    node.code.mkdir()
    index = folder / "index"
    index.mkdir()
    node.environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)}
    write_wheel(node.code, "fruits_lakehouse", fruits__cli="def main(): print('fruits')\n")
    (node.code / "requirements-emr.lock").write_text(locked(write_wheel(index, "pillow", PIL="")))
    (node.code / "requirements-emr-model.lock").write_text(locked(write_wheel(index, "tensorflow", tensorflow="")))
    (node.code / "settings.yaml").write_text("lake: s3://bucket/lake\n")
    shutil.copy(ROOT / "bootstrap" / "job.py", node.code)
    shutil.copy(EMR, node.code)
    return node


@pytest.fixture
def node(tmp_path: Path, python311: str) -> Node:
    """A worker node with small code, on which nothing is installed yet."""
    return small_node(tmp_path)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, python311: str) -> Node:
    """A worker node with small code that is installed."""
    node = small_node(tmp_path_factory.mktemp("installed"))
    done = node.bootstrap()
    assert done.returncode == 0, done.stderr
    return node
