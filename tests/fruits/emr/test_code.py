"""What a cluster is given: a wheel of what runs here, the same each time."""

import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

from fruits.emr.code import code_files, wheel


def test_wheel_installs_and_runs(tmp_path: Path) -> None:
    """Pip takes it, its records hold, and the command of the installed one answers."""
    name, content = wheel()
    (tmp_path / name).write_bytes(content)
    target = tmp_path / "target"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*install, str(tmp_path / name)], check=True, capture_output=True)
    code = "import fruits, sys; print(fruits.__file__); sys.argv[1:] = ['emr', 'plan']; from fruits.cli import main; "
    code += "main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(target))
    assert "emr-spark-8.1.0" in done.stdout


def test_wheel_is_the_same_each_time_and_holds_what_is_needed() -> None:
    """Its digest names the code's prefix: a run without news uploads nothing."""
    assert wheel() == wheel()
    names = set(zipfile.ZipFile(BytesIO(wheel()[1])).namelist())
    assert {"lakehouse/conf/local.yaml", "lakehouse/conf/emr.yaml", "lakehouse/conf/prices.yaml"} <= names
    assert {"lakehouse/bootstrap/emr.sh", "lakehouse/bootstrap/infrastructure.json", "fruits/emr/run.py"} <= names
    assert not [name for name in names if "__pycache__" in name or "requirements-test" in name]


def test_code_holds_the_settings() -> None:
    """Beside the bootstrap action and its locks."""
    files = code_files("lake: s3://b/lake\n")
    assert files["settings.yaml"] == b"lake: s3://b/lake\n"
    assert files["emr.sh"].startswith(b"#!/usr/bin/env bash")
    assert b"pyspark==" not in files["requirements-emr.lock"]
