"""Where Spark's jars are kept."""

from pathlib import Path

import pytest

from lakehouse.engine.spark import jars
from lakehouse.errors import LakehouseError


@pytest.mark.parametrize(("name", "shown"), [("a:b", ":"), ("a\nb", r"\n"), ("a🍎b", "🍎")])
def test_cache_that_is_no_part_of_a_class_path_is_refused_before_spark_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, shown: str
) -> None:
    """With the character, and what to do; nothing is made."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
    with pytest.raises(LakehouseError) as refused:
        jars.jars(["io.delta:delta-spark_4.1_2.13:4.2.0"])
    assert f"takes no folder with {shown} in its name" in str(refused.value)
    assert "XDG_CACHE_HOME" in str(refused.value)
    assert list(tmp_path.iterdir()) == []
