"""The reasons for quarantine, with the advice that belongs to each."""

from enum import StrEnum


class Reason(StrEnum):
    """The vocabulary of `bronze.quarantine.reason`.

    Attributes:
        advice: what to do about it.
        partly_visible: whether something of a picture may be seen; nothing else is given to a parser for display.
    """

    advice: str
    partly_visible: bool

    EMPTY = "empty", "Nothing arrived: copy the file again, or remove it."
    NOT_AN_IMAGE = "not_an_image", "It is no picture, whatever its name: remove it, or name it in `skip`."
    TRUNCATED = "truncated", "Its end is missing: copy the file again from where it came.", True
    CORRUPT = "corrupt", "Its data is damaged: copy the file again, or replace it.", True
    TOO_LARGE = "too_large", "Make the file smaller, or raise `max_bytes`."
    TOO_MANY_PIXELS = "too_many_pixels", "Scale the picture down, or raise `max_pixels`."
    UNSUPPORTED_FORMAT = "unsupported_format", "Convert it to JPEG or PNG, or name its format in `formats`."
    UNSUPPORTED_KIND = (
        "unsupported_kind",
        "Its format is read, but not this kind of it: convert it to a JPEG or PNG of 8 bits.",
    )
    UNREADABLE = "unreadable", "Mend its permissions or its disk, or restore it from its archive; each run tries again."
    KILLS_THE_READER = (
        "kills_the_reader",
        "It ended each process that read it: replace it, or let fewer `processes` run at once.",
    )

    def __new__(cls, value: str, advice: str = "", partly_visible: bool = False) -> "Reason":
        """A word, and what belongs to it."""
        reason = str.__new__(cls, value)
        reason._value_ = value
        reason.advice, reason.partly_visible = advice, partly_visible
        return reason


def advice_on(reason: str) -> str:
    """What to do about a reason that stands in a table, which another release may have written."""
    return Reason(reason).advice if reason in set(Reason) else "See its detail; this release does not know the reason."
