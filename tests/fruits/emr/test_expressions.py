"""EventBridge Scheduler's expressions, checked before AWS is asked, and reckoned forward."""

from datetime import UTC, datetime, timedelta

import pytest

from fruits.emr.expressions import check_expression, next_times
from lakehouse.errors import SettingsError

NOW = datetime(2026, 11, 27, 9, 30, tzinfo=UTC)  # a Friday


def times(text: str, zone: str = "UTC", count: int = 2) -> list[str]:
    """The next times, as text."""
    return [f"{one:%Y-%m-%d %H:%M}" for one in next_times(check_expression(text), NOW, NOW, zone, count)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cron(30 4 * * ? *)", ["2026-11-28 04:30", "2026-11-29 04:30"]),
        ("cron(0/20 9-10 ? * MON-FRI *)", ["2026-11-27 09:40", "2026-11-27 10:00"]),
        ("cron(0 12 ? * 1 *)", ["2026-11-29 12:00", "2026-12-06 12:00"]),  # Sunday is 1
        ("cron(15 8 1,15 JAN,JUL ? *)", ["2027-01-01 08:15", "2027-01-15 08:15"]),
        ("cron(0 0 29 2 ? *)", ["2028-02-29 00:00"]),
        ("cron(0 0 1 1 ? 2029)", ["2029-01-01 00:00"]),
        ("cron(30 9 27 11 ? 2026)", []),  # now is no next time
        ("cron(0 18 L * ? *)", []),
        ("cron(0 18 ? * 6#3 *)", []),
    ],
)
def test_next_times_of_a_cron_expression(text: str, expected: list[str]) -> None:
    """None where a month's calendar decides, which is left to AWS."""
    assert times(text) == expected


def test_time_zone_counts_with_its_summer_time() -> None:
    """04:30 in Paris is another hour of UTC in March's last week."""
    zone, before = "Europe/Paris", datetime(2027, 3, 27, 12, tzinfo=UTC)
    assert times("cron(30 4 * * ? *)", zone, 1) == ["2026-11-28 03:30"]
    (found,) = next_times("cron(30 4 * * ? *)", before, before, zone, 1)
    assert found == datetime(2027, 3, 28, 2, 30, tzinfo=UTC)


def test_rate_counts_from_when_it_was_set() -> None:
    """And never gives a time that is over."""
    since = NOW - timedelta(hours=30)
    assert next_times("rate(1 day)", since, NOW, "UTC", 2) == [since + timedelta(days=2), since + timedelta(days=3)]
    assert next_times("rate(15 minutes)", NOW, NOW, "UTC", 1) == [NOW + timedelta(minutes=15)]


@pytest.mark.parametrize(("text", "taken"), [("rate(1 days)", "rate(1 day)"), ("rate(6 hour)", "rate(6 hours)")])
def test_number_of_a_rate_is_put_right(text: str, taken: str) -> None:
    """AWS refuses the wrong one."""
    assert check_expression(text) == taken


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("daily", r"neither rate\(…\) nor cron\(…\) of six fields"),
        ("rate(0 days)", "neither rate"),
        ("rate(1 week)", "neither rate"),
        ("cron(0 4 * * *)", "of six fields"),
        ("cron(0 4 * * * *)", r"needs a \?"),
        ("cron(0 4 ? * ? *)", r"needs a \?"),
        ("cron(60 4 * * ? *)", "has '60' for the minutes, which is none from 0 to 59"),
        ("cron(0 4 ? * 0 *)", "has '0' for the day of the week"),
        ("cron(0 9-5 * * ? *)", "has '9-5' for the hours"),
        ("cron(0 4/0 * * ? *)", "has '4/0' for the hours"),
        ("cron(0 4 * OCTOBER ? *)", "has 'OCTOBER' for the month"),
    ],
)
def test_what_is_no_schedule_is_refused(text: str, why: str) -> None:
    """In a sentence that says which part, and shows one that is taken."""
    with pytest.raises(SettingsError, match=why) as refused:
        check_expression(text)
    if "needs a ?" not in str(refused.value):
        assert '"rate(1 day)"' in str(refused.value)
