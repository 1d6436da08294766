"""EventBridge Scheduler's expressions: when they are well formed, and when the next runs are."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from lakehouse.errors import SettingsError

_MINUTES = {"minute": 1, "hour": 60, "day": 24 * 60}
_RATE = re.compile(r"rate\((?P<number>[1-9]\d{0,5}) (?P<unit>minute|hour|day)s?\)")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_AHEAD = 4 * 366
"""Days in which a next run is looked for: a 29th of February is among them."""
EXAMPLES = '"rate(1 day)", "rate(6 hours)" or, for 04:30 each day, "cron(30 4 * * ? *)"'


@dataclass(frozen=True)
class _Field:
    """A field of a cron expression: its name, its bounds, and names for its numbers from the first one on."""

    name: str
    first: int
    last: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field("minutes", 0, 59),
    _Field("hours", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 1, 7, _DAYS),
    _Field("year", 1970, 2199),
)


def check_expression(text: str) -> str:
    """The expression, as EventBridge Scheduler takes it.

    Raises:
        SettingsError: it is neither a rate nor a cron expression; the message says what is wrong.
    """
    if rate := _RATE.fullmatch(text):
        singular = rate["number"] == "1"
        return f"rate({rate['number']} {rate['unit']}{'' if singular else 's'})"
    fields = _fields(text)
    if fields is None or len(fields) != len(_FIELDS):
        raise SettingsError(f"The schedule {text!r} is neither rate(…) nor cron(…) of six fields: write {EXAMPLES}.")
    if (fields[2] == "?") == (fields[4] == "?"):
        raise SettingsError(
            f"The schedule {text!r} needs a ? for the day of the month or for the day of the week, and not for both."
        )
    for field, words in zip(_FIELDS, fields, strict=True):
        if not _is_special(words):
            _numbers(field, words, text)
    return text


def next_times(text: str, since: datetime, now: datetime, zone: str, count: int = 3) -> list[datetime]:
    """The next times of an expression, UTC; none where only AWS can tell (L, W and # in a cron expression).

    Args:
        text: as `check_expression` gives it.
        since: when the schedule was last changed, from which a rate counts.
        now: after which they are.
        zone: the time zone of a cron expression.
        count: how many.
    """
    if rate := _RATE.fullmatch(text):
        step = timedelta(minutes=int(rate["number"]) * _MINUTES[rate["unit"]])
        first = since + step * max(0, (now - since) // step + 1)
        return [first + step * one for one in range(count)]
    fields = _fields(text) or []
    if any(_is_special(words) for words in fields):
        return []
    return list(islice(_cron(text, fields, now, ZoneInfo(zone)), count))


def _cron(text: str, fields: list[str], now: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    minutes, hours, days, months, weekdays, years = (
        _numbers(field, words, text) for field, words in zip(_FIELDS, fields, strict=True)
    )
    today = now.astimezone(zone).date()
    for day in (today + timedelta(days=ahead) for ahead in range(_AHEAD)):
        if day.day in days and day.month in months and day.year in years and _weekday(day) in weekdays:
            for hour in sorted(hours):
                for minute in sorted(minutes):
                    found = datetime.combine(day, time(hour, minute), zone).astimezone(UTC)
                    if found > now:
                        yield found


def _weekday(day: date) -> int:
    """As AWS counts: Sunday is 1."""
    return day.isoweekday() % 7 + 1


def _fields(text: str) -> list[str] | None:
    found = re.fullmatch(r"cron\((.*)\)", text)
    return None if found is None else found[1].upper().split()


def _is_special(words: str) -> bool:
    """Whether it has what depends on a month's calendar: last days, nearest weekdays, the third Friday."""
    return bool(re.fullmatch(r"(L(-\d+)?|LW|\d{1,2}W|\w{1,3}L|\w{1,3}#[1-5])", words))


def _numbers(field: _Field, words: str, text: str) -> set[int]:
    """The numbers that a field stands for.

    Raises:
        SettingsError: it has others, or what is none.
    """
    found: set[int] = set()
    for word in words.split(","):
        span, _, step = word.partition("/")
        first, _, last = span.partition("-")
        if span in ("*", "?"):
            low, high = field.first, field.last
        else:
            low = _number(field, first, text)
            high = _number(field, last, text) if last else field.last if step else low
        if step and not (step.isdecimal() and int(step)):
            raise _wrong(field, word, text)
        found.update(range(low, high + 1, int(step or 1)))
    if not found:
        raise _wrong(field, words, text)
    return found


def _number(field: _Field, word: str, text: str) -> int:
    if word in field.names:
        return field.names.index(word) + field.first
    if not word.isdecimal() or not field.first <= int(word) <= field.last:
        raise _wrong(field, word, text)
    return int(word)


def _wrong(field: _Field, word: str, text: str) -> SettingsError:
    return SettingsError(
        f"The schedule {text!r} has {word!r} for the {field.name}, which is none from {field.first} to {field.last}. "
        f"Write, for example, {EXAMPLES}."
    )
