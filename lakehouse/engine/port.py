"""What the three jobs need of whatever computes rows: the contract that each engine keeps.

A job is written once, in two languages that every engine speaks: SQL (what DuckDB and Spark SQL share) and pure
functions over Arrow record batches. Where the rows are computed is the engine's business alone. The laws stand in the
docstrings; `tests/lakehouse/engine/test_contract.py` holds each engine to them.
"""

import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from lakehouse.errors import LakehouseError
from lakehouse.tables.table import Table

Batches = Iterator[pa.RecordBatch]
Given = Iterable[pa.RecordBatch]
BatchFunction = Callable[[Given], Batches]
"""Pure and picklable: an instance of a class at the top of a module, or a function there. It may be called in another
process, several times at once, and again for the same rows. It keeps no batch after it has asked for the next."""


class PartialFunction(Protocol):
    """A BatchFunction that says which schema its batches have."""

    @property
    def schema(self) -> pa.Schema:
        """The schema of its batches."""

    def __call__(self, rows: Given, /) -> Batches:
        """As any BatchFunction."""


Value = str | int | float | bool | None
VALUE = re.compile(r"(?<!:):(\w+)")
"""How a text of SQL names a value: `:name`, but not in a cast, `::type`."""

Marks = Mapping[str, str]
"""Words for a commit's entry in the table's history, which `delta.metadata` reads."""

CHANGE = "_change_type"
"""The column that says what became of a row."""
SHARE_ROWS = 64
"""Rows of a share of work, at the most."""
SHARE_BYTES = 32 << 20
"""Bytes of a share of work, at the most, unless one row alone has more."""


class HistoryLostError(LakehouseError):
    """The history of a table does not reach back so far any more."""


class WorkerKilledError(LakehouseError):
    """Rows end each process that computes them, and the caller did not say what is to become of them."""


class FunctionError(LakehouseError):
    """A function failed on some rows; the message is the error's type, words and notes."""

    @classmethod
    def of(cls, error: Exception) -> "FunctionError":
        """What is told of an error in one line; where it was raised goes along as a note."""
        said = " ".join([str(error), *getattr(error, "__notes__", ())]).split()
        made = cls(f"A task failed: {type(error).__name__}: {' '.join(said)}")
        made.add_note("".join(traceback.format_exception(error)))
        return made


class CancelledError(LakehouseError):
    """The engine was told to stop what it was doing."""


class Rows(Protocol):
    """Rows of one engine, described and not computed: each use computes them again, unless they are kept."""

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in their order."""


@dataclass(frozen=True)
class Work:
    """What a costly function has before it, so that an engine can cut it into shares, and show how far it is.

    Attributes:
        stage: what the progress calls it.
        rows: how many rows there are in all.
        bytes: how many bytes the function reads or holds for all of them.
        weight: the column that says how many bytes a row is, which the function holds while it computes it.
        on_killed: told of rows that end each process that computes them, which are then left out; without it they
            are a WorkerKilledError. An engine that cannot tell which rows these are fails as its platform does.
    """

    stage: str
    rows: int
    bytes: int
    weight: str | None = None
    on_killed: Callable[[pa.RecordBatch], None] | None = None


@dataclass(frozen=True)
class Counts:
    """How many rows a merge inserted and updated; an updated row may be equal to what it was."""

    inserted: int = 0
    updated: int = 0


class Engine(Protocol):
    """Computes rows and commits them. One at a time uses it, but for `cancel`, which any thread may call.

    Every commit asks the lake's guard right before it becomes visible, and commits nothing if that raises. Whatever is
    raised on the way, what was committed is whole, and nothing is left that a reader could see.
    """

    name: str
    """The word of the setting `engine`: local or spark."""

    start_seconds: float
    """What the engine's start took; 0 as long as nothing has needed one."""

    # ---- rows -------------------------------------------------------------------------------------------------------

    def rows(self, table: Table, columns: Sequence[str], version: int | None = None, among: Rows | None = None) -> Rows:
        """Some columns of a table's rows, of a version: by default the newest as of this call, whatever comes later.

        With `among`, only rows whose values in its columns are those of one of its rows; these columns are the
        table's, and `columns` has them. What the log's statistics exclude is not read. Duplicates in `among` count
        once.
        """

    def of(self, rows: pa.Table) -> Rows:
        """Rows that are in memory, and few."""

    def sql(self, text: str, values: Mapping[str, Value] | None = None, **rows: Rows) -> Rows:
        """The answer to a SELECT over rows, which stand in it by their names; `:name` stands for a value.

        The text is read by DuckDB and by Spark SQL, and means the same to both. Rows that `map` or `sql` returned may
        be named once in it, unless they are kept. The order of rows means nothing.
        """

    def map(self, rows: Rows, function: BatchFunction, schema: pa.Schema, work: Work | None = None) -> Rows:
        """What a function makes of batches of rows, with this schema; each row is given to it once.

        Without `work` the function is cheap, and runs wherever the rows are. With it the rows are cut into shares that
        are computed side by side, and the progress is shown while the result is used. A process that is killed costs
        its share, which is computed again. An exception of the function ends the use of the result, as a
        LakehouseError as it is, and any other with its type, its message and its notes in its text.
        """

    def kept(self, rows: Rows) -> AbstractContextManager[Rows]:
        """The same rows, computed once and kept while the block runs. They are narrow: no bytes of photographs.

        Once for all queries that name them once each; Spark computes what `map` made again for each further name.
        """

    def arrow(self, rows: Rows) -> pa.Table:
        """All rows, in this process: for those that are few."""

    def fold(self, rows: Rows, partial: PartialFunction, combine: BatchFunction) -> list[pa.RecordBatch]:
        """A few partial results over all rows, in no order; none where there are no rows.

        `partial` makes at most one row of the batches that it is given, and `combine` one row of several of these;
        both return batches of one schema, `partial.schema`. What no process could hold at once is combined in a tree.
        """

    def changes(self, table: Table, columns: Sequence[str], before: int, after: int) -> Rows:
        """The rows that came (`insert`) and went (`delete`) between two versions, by the column `_change_type`.

        A row that changed went as it was and came as it is; an engine may call that update_preimage and
        update_postimage, and tell of rows that came and went in between. Summed up with their signs they are the same.

        Raises:
            HistoryLostError: the log or the files of these versions are gone; at the latest when the rows are used.
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
            touch: the columns to update where the content, which `sha256` stands for, is the same: bytes and vectors
                are then equal, and all other columns stay. None: all columns are updated.
        """

    def delete(self, keys: Rows, table: Table, marks: Marks | None = None) -> int:
        """Delete the rows with these keys in one commit; returns how many. No such row, no commit."""

    # ---- the engine itself ------------------------------------------------------------------------------------------

    def prepare(self, rows: int) -> None:
        """Begin to start what it takes to compute so many rows, while other work goes on."""

    def register(self, tables: Sequence[Table]) -> None:
        """Make tables known to the platform's catalog as `<layer>.<table>`.

        Raises:
            SettingsError: the engine has no catalog.
            ForeignTableError: the catalog knows the name as a table elsewhere, which was left as it is.
        """

    def cancel(self) -> None:
        """End what is being computed, and what is asked for later, with a CancelledError; no commit is cut in two."""

    def close(self) -> None:
        """End all processes, and remove all files, that are the engine's own; using it again starts them anew."""
