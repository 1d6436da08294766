"""Label and split of a photograph by the folders it lies in. docs/DECISIONS.md says why these rules."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from lakehouse.errors import StorageError
from lakehouse.storage import list_folders

_OPPOSITES = {"valid": "invalid"}
"""Names of splits that are a label where a folder of the other name lies beside."""
_Folder = tuple[str, bool]  # a name, and whether it is a split's


@dataclass(frozen=True)
class FolderNames:
    """What the names of folders say, in lower case.

    Attributes:
        splits: those that are a split.
        unlabelled: those that are neither a label nor a split, such as `images`.
    """

    splits: frozenset[str]
    unlabelled: frozenset[str]

    @classmethod
    def of(cls, splits: Iterable[str], unlabelled: Iterable[str]) -> "FolderNames":
        """Of names in any case."""
        return cls(frozenset(name.lower() for name in splits), frozenset(name.lower() for name in unlabelled))


def label_and_split(
    path: str, root: str, names: FolderNames, is_label: Callable[[str], bool] = lambda _: False
) -> tuple[str | None, str | None]:
    """Label and split by the folders between the root and a file.

    Args:
        path: the file's URI, at or below `root`.
        root: the folder that was asked for; its own name counts where it is a split, or the label directly below one.
        names: what folders' names say.
        is_label: whether a folder (its URI) is a label though it is named like a split.

    Returns:
        (label, split), None where the folders do not say it. The split is the lowest folder that is one; the label is
        the first folder below the split, else the one above it; without a split the folder that the file lies in.
    """
    way = _way(path, root, names.splits, is_label)
    at = max((number for number, (_, is_split) in enumerate(way) if is_split), default=None)
    if at is None:
        return _last(way, names.unlabelled), None
    below = [name for name, _ in way[at + 1 :] if name.lower() not in names.unlabelled]
    return (below[0] if below else _last(way[:at], names.unlabelled)), way[at][0]


class FolderLabels:
    """Label and split of the files of one listing: each folder is looked at once."""

    def __init__(self, root: str, names: FolderNames) -> None:
        """Take the folder that is listed."""
        self._root, self._names = root, names
        self._known: dict[str, tuple[str | None, str | None]] = {}
        self._beside: dict[str, Collection[str]] = {}

    def of(self, path: str) -> tuple[str | None, str | None]:
        """See `label_and_split`."""
        folder = path.rpartition("/")[0]
        if folder not in self._known:
            self._known[folder] = label_and_split(path, self._root, self._names, self._is_label)
        return self._known[folder]

    def of_unusable(self, path: str) -> tuple[str | None, str | None]:
        """The same of a file that is passed over, whose path need not be its real name."""
        return label_and_split(path, self._root, self._names)

    def _is_label(self, folder: str) -> bool:
        parent, _, name = folder.rpartition("/")
        opposite = _OPPOSITES.get(name.lower())
        if opposite is None:
            return False
        if parent not in self._beside:
            self._beside[parent] = _names_in(parent)
        return opposite in self._beside[parent]


def _names_in(folder: str) -> set[str]:
    """The names of the folders in one, in lower case; none where it has gone since its files were listed."""
    try:
        return {found.rpartition("/")[2].lower() for found in list_folders(folder)}
    except StorageError:
        return set()


def _way(path: str, root: str, splits: Collection[str], is_label: Callable[[str], bool]) -> list[_Folder]:
    """The folders on the way to a file, from the top."""
    folder = root.rstrip("/")
    above, _, own = folder.rpartition("/")
    parent = above.rpartition("/")[2]
    below = path.removeprefix(f"{folder}/").split("/")[:-1]
    way: list[_Folder] = []
    if own.lower() in splits:
        way = [(own, True)]
    elif not any(below) and parent.lower() in splits:
        way = [(parent, True), (own, False)]
    for name in below:
        folder = f"{folder}/{name}"
        if name.strip():  # on S3 a key may have parts of no name
            way.append((name, name.lower() in splits and not is_label(folder)))
    return way


def _last(way: list[_Folder], unlabelled: Collection[str]) -> str | None:
    names = [name for name, is_split in way if not is_split and name.lower() not in unlabelled]
    return names[-1] if names else None
