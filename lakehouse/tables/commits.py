"""A commit by delta-rs, made exactly once, though the credentials that delta-rs was told may end before it is made."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, RemoveAction

from lakehouse.storage import have_ended, read_file
from lakehouse.tables.lake import Lake
from lakehouse.tables.marks import marks_of_same_rows
from lakehouse.tables.table import DataFile, Table


@dataclass(frozen=True)
class Commit:
    """What a commit is to do; see `delta.commit` for the attributes."""

    added: Sequence[AddAction]
    removed: Sequence[DataFile]
    replace: bool
    marks: Mapping[str, str]
    transaction: tuple[str, int] | None
    same_rows: bool = False

    def write(self, handle: DeltaTable) -> None:
        """Commit to a table, whose handle becomes that of the new version."""
        now, marks = int(time.time() * 1000), self.marks
        gone = [RemoveAction(_name(file), not self.same_rows, now, file.size, {}) for file in self.removed]
        if self.same_rows:
            marks = marks_of_same_rows(handle)
            for action in self.added:
                action.data_change = False
        properties = CommitProperties(
            custom_metadata=dict(marks) or None,
            app_transactions=[Transaction(*self.transaction)] if self.transaction else None,
        )
        mode = "overwrite" if self.replace else "append"
        handle.create_write_transaction([*gone, *self.added], mode, handle.schema(), commit_properties=properties)

    def is_done_by(self, entry: bytes) -> bool:
        """Whether an entry of the log does what this commit is to do. Names of files are given once."""
        actions = [json.loads(line) for line in entry.splitlines() if line.strip()]
        by_kind = {
            kind: [one[kind] for one in actions if kind in one] for kind in ("add", "remove", "txn", "commitInfo")
        }
        told = {name: value for info in by_kind["commitInfo"] for name, value in info.items()}
        transactions = [(one["appId"], one["version"]) for one in by_kind["txn"]]
        return (
            {one["path"] for one in by_kind["add"]} == {one.path for one in self.added}
            and {_name(file) for file in self.removed} <= {one["path"] for one in by_kind["remove"]}
            and self.marks.items() <= told.items()
            and (self.transaction is None or self.transaction in transactions)
        )


def commit_once(lake: Lake, table: Table, commit: Commit, open_table: Callable[[], DeltaTable]) -> None:
    """Write a commit after the lake's guard has allowed it; again where it was refused because credentials had ended.

    S3 may have refused what delta-rs does after the commit, as a checkpoint. So the log is asked whether the commit is
    made; where somebody else has written that version meanwhile, the error stands.

    Args:
        lake: where the table is.
        table: the table.
        commit: what to write.
        open_table: opens a handle of its own, with credentials as they are then.
    """
    handle = open_table()
    version = handle.version()
    lake.guard()
    try:
        commit.write(handle)
    except (DeltaError, OSError) as error:
        if not have_ended(lake.uri, error):
            raise
        entry = _entry(f"{lake.log(table)}/{version + 1:020}.json")
        if entry is not None and not commit.is_done_by(entry):
            raise
        if entry is not None:
            return
        handle = open_table()
        if handle.version() != version:
            raise
        lake.guard()
        commit.write(handle)


def _entry(uri: str) -> bytes | None:
    try:
        return read_file(uri)
    except FileNotFoundError:
        return None


def _name(file: DataFile) -> str:
    return file.name.rpartition("/")[2]
