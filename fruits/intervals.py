"""Lengths of time and time zones as they are typed."""

import re

from lakehouse.errors import SettingsError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def interval_seconds(text: str, option: str) -> float:
    """Seconds of an interval such as 30s, 15m, 1h or 1d.

    Args:
        text: what was typed.
        option: as which it was typed.

    Raises:
        SettingsError: it is none of these.
    """
    found = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", text.strip())
    if found is None:
        raise SettingsError(f"{option} is {text!r}: give a number and a unit, as 30s, 15m, 1h or 1d.")
    return float(int(found[1]) * _UNITS[found[2]])


def known_zone(name: str) -> str:
    """The name of a time zone that there is.

    Raises:
        SettingsError: there is none of that name.
    """
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name).key
    except (KeyError, OSError, ValueError) as error:  # each a way of not being there: no such file, a folder, a path
        raise SettingsError(f"There is no time zone {name!r}: name one as Europe/Paris, or UTC.") from error
