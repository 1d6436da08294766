"""Names as they may be shown: a file or a label may be called anything."""

_JOINERS = "\u200c\u200d"  # between letters of Persian, and between parts of an emoji


def printable(text: str) -> str:
    """A text on one line, with what would move the terminal's cursor shown as its code: a name may hold anything."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in _JOINERS else _code(one) for one in text)


def _code(character: str) -> str:
    return character.encode("unicode_escape").decode()
