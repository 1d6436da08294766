"""The engine interface: the operations that the three jobs need, and the laws that each engine keeps.

A job is written once, as SQL (the subset that DuckDB and Spark SQL share) and pure functions over Arrow record batches.
Where rows are computed is up to the engine. The laws are in the docstrings; `tests/lakehouse/engine/test_contract.py`
tests each engine against them.
"""

import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from lakehouse.errors import LakehouseError
from lakehouse.tables.compaction import Compacted
from lakehouse.tables.table import Table

Batches = Iterator[pa.RecordBatch]
Given = Iterable[pa.RecordBatch]
BatchFunction = Callable[[Given], Batches]
"""Must be pure and picklable: an instance of a module-level class, or a module-level function. It may be called in
another process, concurrently, and again for the same rows. It must not keep a batch once it has asked for the next."""


def nothing() -> None:
    """Do nothing."""


class PartialFunction(Protocol):
    """A BatchFunction that declares the schema of its output."""

    @property
    def schema(self) -> pa.Schema:
        """The schema of the returned batches."""

    def __call__(self, rows: Given, /) -> Batches:
        """See `BatchFunction`."""


Value = str | int | float | bool | None
VALUE = re.compile(r"(?<!:):(\w+)")
"""A parameter in SQL text: `:name`, but not the cast `::type`."""

Marks = Mapping[str, str]
"""Metadata of a commit, by key; `delta.metadata` reads it from the newest commit."""

CHANGE = "_change_type"
"""The column that names the kind of change."""
SHARE_ROWS = 64
"""Maximum rows of a share of work."""
SHARE_BYTES = 32 << 20
"""Maximum bytes of a share of work, unless a single row has more."""


class HistoryLostError(LakehouseError):
    """The table's history no longer reaches back to the version asked for."""


class WorkerKilledError(LakehouseError):
    """Some rows kill every process that computes them, and the caller gave no `on_killed`."""


class FunctionError(LakehouseError):
    """A batch function raised an exception; the message has its type, text and notes."""

    @classmethod
    def of(cls, error: Exception) -> "FunctionError":
        """The error in one line, with the traceback as a note."""
        said = " ".join([str(error), *getattr(error, "__notes__", ())]).split()
        made = cls(f"A task failed: {type(error).__name__}: {' '.join(said)}")
        made.add_note("".join(traceback.format_exception(error)))
        return made


class CancelledError(LakehouseError):
    """The engine was cancelled."""


class Rows(Protocol):
    """Lazy rows of one engine: each use computes them again, unless they are `kept`."""

    @property
    def columns(self) -> list[str]:
        """The column names, in order."""


@dataclass(frozen=True)
class Work:
    """The size of an expensive `map`, from which an engine plans shares and reports progress.

    Attributes:
        stage: the name shown by the progress bar.
        rows: total number of rows.
        bytes: total bytes that the function reads or holds.
        weight: the column with the bytes that a row takes while it is computed.
        on_killed: called with rows that kill every process that computes them; these rows are left out. Without it
            they raise WorkerKilledError. An engine that cannot identify such rows fails as its platform does.
        before: rows of the same stage that earlier work has computed: the progress goes on behind them.
        total: rows of the whole stage; None where this work is all of it.
    """

    stage: str
    rows: int
    bytes: int
    weight: str | None = None
    on_killed: Callable[[pa.RecordBatch], None] | None = None
    before: int = 0
    total: int | None = None

    @property
    def stage_rows(self) -> int:
        """The rows of the whole stage."""
        return self.rows if self.total is None else self.total

    def shown(self, done: int) -> int:
        """What the progress is told when so many rows of this work are done; some may be counted twice."""
        return self.before + min(done, self.rows)


@dataclass(frozen=True)
class Counts:
    """Rows that a merge inserted and updated; an updated row may equal the old one."""

    inserted: int = 0
    updated: int = 0


class Engine(Protocol):
    """Computes rows and commits them. Not thread-safe, except for `cancel`.

    Every commit calls the lake's guard immediately before it becomes visible, and commits nothing if that raises. After
    any error, what was committed is complete, and readers see nothing of what was not.
    """

    name: str
    """The value of the setting `engine`: local or spark."""

    start_seconds: float
    """Seconds that starting the engine took; 0 until something has started it."""

    @property
    def worker_peak(self) -> int | None:
        """Bytes in memory of the largest worker process that has computed something; None where nobody can say."""

    # ---- rows -------------------------------------------------------------------------------------------------------

    def rows(
        self,
        table: Table,
        columns: Sequence[str],
        version: int | None = None,
        among: Rows | None = None,
        along: Sequence[str] = (),
    ) -> Rows:
        """Read columns of a table snapshot: of a version, by default the latest; later commits are not visible.

        With `among`, a left semi join: only rows that match a row of `among` in all of its columns, which must be in
        `columns`. Files that the log's statistics exclude are not read.

        `along` names columns of `among` that are not compared, but come with the rows that match, after `columns`. The
        first of its other columns then makes a row of `among` one.
        """

    def of(self, rows: pa.Table) -> Rows:
        """Rows from memory; for small tables."""

    def sql(self, text: str, values: Mapping[str, Value] | None = None, **rows: Rows) -> Rows:
        """Run a SELECT over the given rows, which the text refers to by name; `:name` is a parameter.

        The text must mean the same in DuckDB and in Spark SQL. Rows returned by `map` or `sql` may be referred to once,
        unless they are kept. Row order is not defined.
        """

    def map(self, rows: Rows, function: BatchFunction, schema: pa.Schema, work: Work | None = None) -> Rows:
        """Apply a function to batches of rows; each row is passed to it once. `schema` is that of the result.

        Without `work` the function counts as cheap and runs where the rows are. With it, rows are computed in shares in
        parallel, and progress is shown while the result is consumed. A killed process costs only its share, which is
        computed again. An exception ends the consumption: a LakehouseError unchanged, any other as one
        that has its type, message and notes.
        """

    def kept(self, rows: Rows) -> AbstractContextManager[Rows]:
        """Compute rows once and cache them while the block runs. Only for narrow rows, without photographs' bytes.

        A query that refers to them twice may compute the result of `map` again (Spark does).
        """

    def arrow(self, rows: Rows) -> pa.Table:
        """Collect all rows into this process; for small results."""

    def fold(self, rows: Rows, partial: PartialFunction, combine: BatchFunction) -> list[pa.RecordBatch]:
        """Aggregate all rows to a few partial results, in no order; none where there are no rows.

        `partial` reduces its batches to at most one row, and `combine` several such rows to one; both return
        `partial.schema`. Partial results are combined in a tree, so that no process holds all of them.
        """

    def changes(self, table: Table, columns: Sequence[str], before: int, after: int) -> Rows:
        """Rows added (`insert`) and removed (`delete`) between two versions, in the column `_change_type`.

        An updated row is removed in its old form and added in its new one; an engine may report these as
        update_preimage and update_postimage, and may include rows that were added and removed in between. Signed sums
        over the result are the same in every engine.

        Raises:
            HistoryLostError: the log or files of these versions are gone; raised when the rows are consumed, or before.
        """

    # ---- commits ----------------------------------------------------------------------------------------------------

    def append(self, rows: Rows, table: Table, marks: Marks | None = None) -> int:
        """Append rows in one commit; returns how many. No rows, no commit."""

    def replace(self, rows: Rows, table: Table, marks: Marks | None = None) -> int:
        """Replace all rows in one commit; returns how many there are now."""

    def merge(self, rows: Rows, table: Table, marks: Marks | None = None, touch: Sequence[str] | None = None) -> Counts:
        """Insert the rows whose key is new, and update the others, in one commit. No rows, no commit.

        Args:
            rows: the rows, each key once.
            table: the table, of a key of one column.
            marks: see above.
            touch: the columns to update where the content, compared by `sha256`, is the same; all other columns
                stay as they are. None: all columns are updated.
        """

    def write_apart(
        self,
        rows: Rows,
        table: Table,
        contents: Table,
        known: Rows,
        touch: Sequence[str] | None = None,
        between: Callable[[], None] = nothing,
    ) -> Counts:
        """Write rows to two tables in one pass: what they hold to `contents`, and then what describes it to `table`.

        Two commits. The first appends each content once whose key is not among `known`; the second appends the rows
        without their contents, or merges them. So a row of `table` has its content at any time, and who is killed in
        between leaves contents that no row names, which the next call does not write again where `known` has them. The
        rows are computed once, and contents are not moved between processes but to be written.

        Args:
            rows: with the columns of both tables; the key of `contents` is one column, which both have.
            table: the table of what describes a content, of a key of one column.
            contents: the table of contents.
            known: the keys that `contents` has, in a column of its key's name; others may be among them.
            touch: None: the rows are new, and appended. Else they are merged, with `touch` as in `merge`.
            between: called between the two commits.
        """

    def update(self, rows: Rows, table: Table, marks: Marks | None = None) -> int:
        """Set columns of existing rows in one commit; returns how many rows. No such row, no commit.

        Args:
            rows: the key and the columns to set, each key once; keys that are not there are left out. Held in memory.
            table: the table, of a key of one column. Its other columns stay as they are.
            marks: see above.
        """

    def delete(self, keys: Rows, table: Table, marks: Marks | None = None) -> int:
        """Delete the rows with these keys in one commit; returns how many. No such row, no commit."""

    def compact(self, table: Table, at_most: int | None = None) -> Compacted:
        """Merge small files (`lakehouse/tables/compaction.py`) in one commit. Nothing to merge, no commit.

        Rows stay as they are, and so does all that follows from them: `changes` tells none of it, the commit's marks
        are those of the commit before, and a table that follows this one is still in sync with it. The log keeps
        statistics of the new files as of any other. The old files stay until they are vacuumed.

        Args:
            table: the table.
            at_most: bytes to rewrite, about; the smallest files then, as far as it pays. None: all small files. An
                engine that cannot choose among files (Spark) merges all of them, or none where they have more.
        """

    # ---- the engine itself ------------------------------------------------------------------------------------------

    def prepare(self, rows: int) -> None:
        """Start workers for this many rows in the background."""

    def register(self, tables: Sequence[Table]) -> None:
        """Register tables in the platform's catalog as `<layer>.<table>`.

        Raises:
            SettingsError: the engine has no catalog.
            ForeignTableError: the catalog knows the name as a table elsewhere, which was left as it is.
        """

    def cancel(self) -> None:
        """End what is being computed, and what is asked for later, with a CancelledError; no commit is cut in two."""

    def close(self) -> None:
        """End all processes, and remove all files, that are the engine's own; using it again starts them anew."""
