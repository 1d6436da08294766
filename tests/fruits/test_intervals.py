"""Lengths of time and time zones as they are typed."""

import pytest

from fruits.intervals import interval_seconds, known_zone
from lakehouse.errors import SettingsError


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("15m", 900), ("1h", 3600), ("1d", 86400), (" 2h ", 7200)])
def test_interval_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    """As systemd's and EventBridge's are."""
    assert interval_seconds(text, "--every") == seconds


@pytest.mark.parametrize("text", ["", "15", "m", "0s", "1.5h", "-1m", "1w", "1h30m", "99999999s"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    """In a sentence that says what is one."""
    with pytest.raises(SettingsError, match="give a number and a unit"):
        interval_seconds(text, "--every")


def test_time_zone_that_is_not_there_is_refused() -> None:
    """Before AWS does, in words of its own."""
    assert known_zone("Europe/Paris") == "Europe/Paris"
    for name in ("Paris", "", "../etc", "Europe"):
        with pytest.raises(SettingsError, match="There is no time zone"):
            known_zone(name)
