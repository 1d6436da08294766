"""Progress where nobody looks; what an engine shows of its work is the engines' contract."""

import pytest

from lakehouse.progress import NullProgress


def test_silence_shows_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """What is used where nobody looks."""
    NullProgress().stage("photographs read", 1)(1)
    NullProgress().log("hello")
    assert capfd.readouterr() == ("", "")
