"""Marks of commits: words that a commit leaves in a table's history, and what a commit that changes no row keeps."""

import json
from collections.abc import Mapping

from deltalake import DeltaTable

USER_METADATA = "userMetadata"
"""The key under which Spark's Delta stores user metadata of a commit; `metadata_of` reads it too."""
SAME_AS = "fruits.same_as"
"""The mark of a commit that changes no row: the version whose rows, and whose other marks, it has."""
_OURS = "fruits."


def metadata_of(handle: DeltaTable) -> Mapping[str, object]:
    """The metadata of an open version's commit, with the marks that the commit was given."""
    commit = handle.history(1)[0]
    try:
        marks = json.loads(commit.get(USER_METADATA) or "{}")
    except ValueError:  # somebody else's words
        return commit
    return {**commit, **marks} if isinstance(marks, dict) else commit


def version_of_rows(handle: DeltaTable) -> int:
    """The version that made the rows of an open one: itself, or the one before commits that changed none (upkeep)."""
    return int(str(metadata_of(handle).get(SAME_AS, handle.version())))


def marks_of_same_rows(handle: DeltaTable) -> dict[str, str]:
    """The marks for a commit after an open version that changes no row: those of that version, and SAME_AS."""
    found = metadata_of(handle)
    kept = {name: str(value) for name, value in found.items() if name.startswith(_OURS)}
    return {SAME_AS: str(handle.version()), **kept}
