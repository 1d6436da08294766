"""The rules by which a walk passes over files and folders."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase, translate
from functools import cached_property

_WILDCARDS = frozenset("*?[")


class Rule(StrEnum):
    """Why an entry is passed over whatever it holds. The rules of patterns, `skip: …`, are as many as the patterns.

    Attributes:
        advice: what to do about it; empty where nothing is wrong.
        hides: whether there may be files below it that nobody has seen, so that none of them counts as removed.
    """

    advice: str
    hides: bool

    LAKE = "lake"
    ANOTHER_LAKE = "another_lake"
    UNREADABLE_FOLDER = "unreadable_folder", "Mend its permissions or its disk, or name it in `skip`.", True
    VANISHED_FOLDER = "vanished_folder", "It went while it was listed; run again.", True
    UNREADABLE_ENTRY = "unreadable_entry", "Mend its permissions or its disk.", True
    VANISHED_FILE = "vanished_file", "It went while its folder was listed; run again."
    BROKEN_LINK = "broken_link", "Mend or remove the link, or mount the disk that it leads to.", True
    LINKED_FOLDER = "linked_folder"
    LINKED_TWICE = "linked_twice"
    LINK_IN_A_CIRCLE = "link_in_a_circle"
    NAME_IS_NOT_UTF8 = "name_is_not_utf8", "Rename it."
    NOT_A_FILE = "not_a_file"
    FOLDER_MARKER = "folder_marker"
    KEY_ENDS_IN_SLASH = "key_ends_in_slash", "Copy the object to a key that ends in a name."
    DOT_SEGMENT = "dot_segment", "Copy the object to a key without the parts `.` and `..`."

    def __new__(cls, value: str, advice: str = "", hides: bool = False) -> "Rule":
        """A word, and what belongs to it."""
        rule = str.__new__(cls, value)
        rule._value_ = value
        rule.advice, rule.hides = advice, hides
        return rule


@dataclass(frozen=True)
class Patterns:
    """File-name patterns; what one of them passes over has the rule `skip: <pattern>`, by the first that matches.

    Attributes:
        patterns: as `fnmatch` has them, in the names' case.
        suffix: what the rule says behind the pattern.
    """

    patterns: Sequence[str]
    suffix: str = ""

    def rule_of(self, name: str) -> str | None:
        """The rule of the first pattern that matches a name."""
        if name not in self._names and not self._matches(name):
            return None
        return f"skip: {next(one for one in self.patterns if fnmatchcase(name, one))}{self.suffix}"

    @cached_property
    def _names(self) -> frozenset[str]:
        """The patterns that are one name each: most are, and each would cost as much as all of them do so."""
        return frozenset(one for one in self.patterns if not _WILDCARDS.intersection(one))

    @cached_property
    def _matches(self) -> Callable[[str], object]:
        return re.compile("|".join(translate(one) for one in self.patterns if one not in self._names) or "(?!)").match


@dataclass(frozen=True)
class FolderRules:
    """Which folders a walk does not enter.

    Attributes:
        names: folders of these names.
        folders: by URI, the rule that passes over this folder, by whatever name the walk comes to it.
        holding: by a relative path, the rule that passes over a folder on a disk in which that path exists.
        entered: URIs of folders that are walked whatever the rules say of them: the root, and links that are followed.
    """

    names: Patterns = Patterns(())
    folders: Mapping[str, str] = field(default_factory=dict)
    holding: Mapping[str, str] = field(default_factory=dict)
    entered: frozenset[str] = frozenset()


def hides(rule: str) -> bool:
    """Whether files may be below an entry with this rule that nobody has seen."""
    return rule.endswith("/") if rule.startswith("skip: ") else rule in set(Rule) and Rule(rule).hides
