"""A Hive catalog, as `fruits emr … --glue` sets it: what one session registers another one sees."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bootstrap.conftest import ROOT

pytestmark = pytest.mark.slow


def session(*arguments: object) -> Any:
    """What a process with a session of its own prints."""
    command = [sys.executable, "-m", "tests.lakehouse.engine.spark.hive_session", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_table_of_one_session_is_there_for_the_next(spark: object, tmp_path: Path) -> None:
    """Under the database's name, with its rows, and what is said of its columns in the metastore itself, too."""
    session("register", tmp_path)
    found = session("look", tmp_path)
    assert found["rows"] == 2
    assert found["provider"] == "delta"
    assert found["comments"]["picked"] == "Its picked."
    columns = {one["name"]: one["metadata"]["comment"] for one in json.loads(found["kept_columns"])["fields"]}
    assert columns == found["comments"]


def test_catalog_in_memory_ends_with_its_session(spark: object, tmp_path: Path) -> None:
    """Spark's default, which the client of a metastore does not change: the next session knows no such database."""
    session("register", tmp_path, "--in-memory")
    assert session("look", tmp_path, "--in-memory") is None
