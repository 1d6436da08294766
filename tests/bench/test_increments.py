"""The benchmark of many increments, over a few of them."""

import json
import os
import shutil
from pathlib import Path

import pytest

from bench.increments import main

pytestmark = pytest.mark.slow


@pytest.mark.skipif("FRUITS_TEST_IMAGES" not in os.environ, reason="FRUITS_TEST_IMAGES names no photographs")
def test_increments_are_measured_beside_a_reader(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes what is new, no read fails, and history and erasure hold at the end."""
    photographs = tmp_path / "photographs"
    for path in sorted(Path(os.environ["FRUITS_TEST_IMAGES"]).rglob("*.jpg"))[::400]:
        (photographs / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, photographs / path.parent.name)
    monkeypatch.setenv("FRUITS_IMAGES", str(photographs))
    main(
        ["--increments", "3", "--photographs", "2", "--first", "8", "--pause", "0.2", "--work", str(tmp_path), "--json"]
    )
    found = json.loads(capsys.readouterr().out)
    assert (found["increments"], found["failures"], found["history"]["failures"]) == (3, [], {})
    assert found["erasure"]
    assert found["reads"] >= 2
    assert found["curve"][-1]["files"] > 0
