"""Labels that look alike: one to an eye, and two to every query."""

import unicodedata
from collections.abc import Iterable

from lakehouse.printable import as_codes

TOLD = 20
"""Groups of such labels that are told, at the most."""


def labels_alike(labels: Iterable[str]) -> list[list[str]]:
    """Labels that differ in what an eye passes over, in groups of two and more; the first TOLD groups.

    That is upper and lower case, Unicode's normal form (a Mac's folders write accents as characters of their own),
    wide and other compatible forms, blanks, and characters of no width. Letters of two alphabets that look the same
    are not told.
    """
    groups: dict[str, list[str]] = {}
    for label in sorted({*labels}):
        groups.setdefault(_look(label), []).append(label)
    return [group for group in groups.values() if len(group) > 1][:TOLD]


def in_quotes(group: Iterable[str]) -> str:
    """Labels that look alike so that they do not: in quotes, accents of their own and what has no width as codes."""
    return ", ".join(f'"{as_codes(label, _is_hidden)}"' for label in group)


def _look(label: str) -> str:
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
    return " ".join("".join(one for one in text if unicodedata.category(one) != "Cf").split())


def _is_hidden(character: str) -> bool:
    return not character.isprintable() or unicodedata.combining(character) > 0
