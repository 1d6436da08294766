"""Follow links to folders: each folder is listed once, whatever leads to it. docs/DECISIONS.md says how."""

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pyarrow as pa

from bronze.discover import LISTING, Listing, Rules, list_below, list_photographs, to_batch
from bronze.folders import label_and_split
from bronze.survey import ListingFingerprint, fingerprint_listing
from lakehouse.engine.port import Engine, Rows
from lakehouse.storage.folder_rules import Rule
from lakehouse.storage.uri import local_path, on_disk

_FOLDERS = 64  # listed side by side, as far as there are so many


@contextmanager
def listed(engine: Engine, root: str, rules: Rules, threads: int) -> Iterator[tuple[Rows, ListingFingerprint]]:
    """Everything under a folder and behind the links in it, as LISTING, kept; and that in short.

    Raises:
        StorageError: the folder cannot be listed.
    """
    with ExitStack() as stack:
        parts = [stack.enter_context(engine.kept(list_photographs(engine, root, rules, threads, _FOLDERS)))]
        seen = fingerprint_listing(engine, parts[0])
        if Rule.LINKED_FOLDER not in seen.rules:
            yield parts[0], seen
            return
        links = Links(root, rules)
        while followed := links.follow(_links_in(engine, parts[-1])):
            listing = Listing(root, rules, threads, followed, links.taken)
            parts.append(stack.enter_context(engine.kept(list_below(engine, followed, listing, _FOLDERS))))
        whole = stack.enter_context(engine.kept(_together(engine, parts, links)))
        yield whole, fingerprint_listing(engine, whole)


@dataclass
class Links:
    """What is known of the links in a tree.

    Of those to the same folder, or to one in the other, the first is followed: by rounds, as a link may lie behind
    another, and in a round by their names. Before all of them comes the tree itself.

    Attributes:
        root: the URI of the tree.
        rules: which folders are passed over.
        refused: links that are not followed, with the rule.
    """

    root: str
    rules: Rules
    refused: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._listed = {os.path.realpath(local_path(self.root)): self.root}
        lake = self.rules.lake
        self._lake = os.path.realpath(local_path(lake)) if lake and on_disk(lake) else None
        if self._lake and _is_in(self._lake, next(iter(self._listed))):
            self._lake = None  # whose photographs lie in it, and links may lead to more of them

    @property
    def taken(self) -> list[str]:
        """The folders that have been listed, and those that are about to be."""
        return [*self._listed.values()]

    def follow(self, links: Iterable[str]) -> list[str]:
        """The links of a round that are to be followed; the others are refused."""
        followed = []
        for link in sorted(links):
            target = os.path.realpath(local_path(link))
            if rule := self._rule_of(link, target):
                self.refused[link] = rule
            else:
                self._listed[target] = link
                followed.append(link)
        return followed

    def _rule_of(self, link: str, target: str) -> Rule | None:
        if _is_in(target, os.path.realpath(local_path(link).parent)):
            return Rule.LINK_IN_A_CIRCLE
        if self._lake and _is_in(self._lake, target):
            return Rule.LAKE
        return Rule.LINKED_TWICE if self._is_listed(target) else None

    def _is_listed(self, target: str) -> bool:
        """Whether a folder that has been listed is this one, or has it below it and not below one passed over."""
        folder = target
        while folder not in self._listed:
            folder, name = os.path.split(folder)
            if not name or self.rules.folder_names.rule_of(name):
                return False
        return True


def _is_in(folder: str, path: str) -> bool:
    return os.path.commonpath([folder, path]) == folder


def _links_in(engine: Engine, listing: Rows) -> list[str]:
    chosen = engine.sql("SELECT path FROM listing WHERE rule = :rule", {"rule": Rule.LINKED_FOLDER}, listing=listing)
    return [str(path) for path in engine.arrow(chosen)["path"].to_pylist()]


def _together(engine: Engine, parts: list[Rows], links: Links) -> Rows:
    """The parts of a listing, with the links that were refused, and without those that were followed."""
    labels = {link: label_and_split(link, links.root, links.rules.names) for link in links.refused}
    refused = [(link, *labels[link], 0, 0, rule) for link, rule in links.refused.items()]
    named = {f"part{number}": part for number, part in enumerate(parts)}
    columns = ", ".join(LISTING.names)
    selects = [f"SELECT {columns} FROM {name} WHERE rule IS DISTINCT FROM :rule" for name in named]
    if refused:
        named["refused"] = engine.of(pa.Table.from_batches([to_batch(refused)]))
        selects.append(f"SELECT {columns} FROM refused")
    return engine.sql(" UNION ALL ".join(selects), {"rule": Rule.LINKED_FOLDER}, **named)
