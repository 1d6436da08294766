"""Objects by their keys, sifted by rules: which may be photographs, whoever has listed them."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from lakehouse.storage.base import FileStatus
from lakehouse.storage.folder_rules import FolderRules, Rule


def sifted(uri: str, objects: Iterable[FileStatus], rules: FolderRules, rule: str | None) -> Iterator[FileStatus]:
    """Objects below a folder with the rules that pass over them; of a folder in `rules.folders` there is one entry.

    Args:
        uri: the folder.
        objects: what is below it, in any order.
        rules: which folders below it are passed over.
        rule: the rule that passes over the folder itself; None where it is entered.
    """
    below = _Below(uri, rules, rule)
    for found in objects:
        folder, rule = below.rule_of(found.path.rpartition("/")[0])
        if folder is None:
            rule = rule or _rule_of_key(found)
            yield replace(found, rule=rule) if rule else found
        elif below.is_first(folder):
            yield FileStatus(folder, 0, 0, rule)


def rule_of_folder(uri: str, rules: FolderRules) -> str | None:
    """The rule by which a folder that is named by keys is passed over."""
    name = uri.rpartition("/")[2]
    if name in (".", ".."):
        return Rule.DOT_SEGMENT
    return rules.names.rule_of(name) or rules.folders.get(uri)


def _rule_of_key(found: FileStatus) -> str | None:
    key = found.path
    if key.endswith("/"):
        return Rule.KEY_ENDS_IN_SLASH if found.length else Rule.FOLDER_MARKER
    return Rule.DOT_SEGMENT if key.rpartition("/")[2] in (".", "..") else None


class _Below:
    """The rules that pass over folders below one; each is looked at once."""

    def __init__(self, uri: str, rules: FolderRules, rule: str | None) -> None:
        self._rules, self._named = rules, set[str]()
        self._known: dict[str, tuple[str | None, str | None]] = {uri: (None, rule)}

    def rule_of(self, folder: str) -> tuple[str | None, str | None]:
        """The rule of what lies in a folder, and the folder, if that is one which is passed over as a whole."""
        unknown = []
        while folder not in self._known:
            unknown.append(folder)
            folder = folder.rpartition("/")[0]
        found = self._known[folder]
        for folder in reversed(unknown):
            if found == (None, None) and (rule := rule_of_folder(folder, self._rules)):
                found = (folder if folder in self._rules.folders else None), rule
            self._known[folder] = found
        return found

    def is_first(self, folder: str) -> bool:
        """Whether a folder has not been asked for before."""
        first = folder not in self._named
        self._named.add(folder)
        return first
