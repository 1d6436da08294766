"""Names as they may be shown: a file or a label may be called anything."""

from collections.abc import Callable

_JOINERS = "\u200c\u200d"  # between letters of Persian, and between parts of an emoji


def printable(text: str) -> str:
    """A text on one line, with what would move the terminal's cursor shown as its code: a name may hold anything."""
    if text.isprintable():
        return text
    return as_codes(text, lambda one: not one.isprintable() and one not in _JOINERS)


def as_codes(text: str, hidden: Callable[[str], bool]) -> str:
    """A text with the characters of which `hidden` says so shown as their codes."""
    return "".join(_code(one) if hidden(one) else one for one in text)


def _code(character: str) -> str:
    return character.encode("unicode_escape").decode()
