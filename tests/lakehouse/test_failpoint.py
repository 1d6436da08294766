"""Points at which a test kills a run."""

from collections import Counter

import pytest

from lakehouse import failpoint
from lakehouse.failpoint import VARIABLE, crash_point
from tests.points import PACKAGES, crash_points


def test_each_point_stands_at_one_place() -> None:
    """Else a run would die at the first, and the other were never tried."""
    counted = Counter(crash_points())
    assert {point.partition(".")[0] for point in counted} == {
        "bronze",
        "silver",
        "gold",
        "registry",
        "mirror",
        "run",
        "runs",
        "relabel",
        "forget",
        "upkeep",
    }
    assert [point for point, times in counted.items() if times > 1] == []
    assert sum(len(crash_points(package)) for package in PACKAGES) == len(counted)


def test_run_dies_at_the_point_that_is_named_and_at_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nowhere, where none is."""
    died = []
    monkeypatch.setattr(failpoint, "die", lambda: died.append(1))
    crash_point("here")
    monkeypatch.setenv(VARIABLE, "here")
    crash_point("there")
    assert died == []
    crash_point("here")
    assert died == [1]
