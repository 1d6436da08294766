"""The embedded engine: DuckDB for SQL, worker processes for functions, delta-rs for commits. One machine, no Java."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import pyarrow as pa

from lakehouse.arrow import keep_pandas_out
from lakehouse.engine.local import changes, commits
from lakehouse.engine.local.pool import Pool
from lakehouse.engine.local.rows import HeldRows, LocalRows
from lakehouse.engine.local.scan import Scan, close_files
from lakehouse.engine.local.share import Share, cut
from lakehouse.engine.local.sql import Database
from lakehouse.engine.local.trial import Trial
from lakehouse.engine.port import (
    SHARE_BYTES,
    Batches,
    BatchFunction,
    CancelledError,
    Counts,
    FunctionError,
    Marks,
    PartialFunction,
    Rows,
    Value,
    Work,
    WorkerKilledError,
    nothing,
)
from lakehouse.errors import LakehouseError, SettingsError
from lakehouse.progress import Progress
from lakehouse.tables import delta
from lakehouse.tables.compaction import Compacted
from lakehouse.tables.delta import Lake
from lakehouse.tables.staged import conformed
from lakehouse.tables.table import Table

_Computed = Iterator[tuple[int, list[pa.RecordBatch]]]

FEW = 64
"""Rows up to which this process computes them itself: others take half a second to start."""


class LocalEngine:
    """See `lakehouse.engine.port.Engine`."""

    name = "local"
    start_seconds = 0.0

    def __init__(self, lake: Lake, progress: Progress, processes: int | None = None) -> None:
        """Take the lake; nothing is started yet. `processes`: worker processes, by default one a core."""
        keep_pandas_out()
        self._lake, self._progress = lake, progress
        count = processes or available_cores()
        self._pool = Pool(count)
        self._database = Database(count)
        self._trial = Trial(lake.uri)
        self._cancelled = False

    @property
    def worker_peak(self) -> int | None:
        """See `Engine.worker_peak`."""
        return self._pool.peak

    # ---- rows -------------------------------------------------------------------------------------------------------

    def rows(
        self,
        table: Table,
        columns: Sequence[str],
        version: int | None = None,
        among: Rows | None = None,
        along: Sequence[str] = (),
    ) -> LocalRows:
        """See `Engine.rows`."""
        schema = pa.schema([table.schema.field(name) for name in columns])
        return Scan(delta.snapshot(self._lake, table, version), schema, None if among is None else _own(among), along)

    def of(self, rows: pa.Table) -> LocalRows:
        """See `Engine.of`."""
        return HeldRows(rows)

    def sql(self, text: str, values: Mapping[str, Value] | None = None, **rows: Rows) -> LocalRows:
        """See `Engine.sql`."""
        return self._database.query(text, values or {}, {name: _own(one) for name, one in rows.items()})

    def map(self, rows: Rows, function: BatchFunction, schema: pa.Schema, work: Work | None = None) -> LocalRows:
        """See `Engine.map`."""
        own = _own(rows)
        if work is None:
            return LocalRows(schema, lambda: conformed(function(self._unless_cancelled(own.batches())), schema))
        return LocalRows(schema, lambda: conformed(self._shown(own, function, work), schema))

    @contextmanager
    def kept(self, rows: Rows) -> Iterator[LocalRows]:
        """See `Engine.kept`."""
        yield HeldRows(_own(rows).table())

    def arrow(self, rows: Rows) -> pa.Table:
        """See `Engine.arrow`."""
        return _own(rows).table()

    def fold(self, rows: Rows, partial: PartialFunction, combine: BatchFunction) -> list[pa.RecordBatch]:  # noqa: ARG002
        """See `Engine.fold`; here NumPy's own threads use all cores, and one partial result is the result."""
        return list(partial(self._unless_cancelled(_own(rows).batches())))

    def changes(self, table: Table, columns: Sequence[str], before: int, after: int) -> LocalRows:
        """See `Engine.changes`."""
        return changes.between(self._lake, table, columns, before, after)

    # ---- commits ----------------------------------------------------------------------------------------------------

    def append(self, rows: Rows, table: Table, marks: Marks | None = None) -> int:
        """See `Engine.append`."""
        self._check()
        return commits.write(_own(rows), self._lake, table, replace=False, marks=marks)

    def replace(self, rows: Rows, table: Table, marks: Marks | None = None) -> int:
        """See `Engine.replace`."""
        self._check()
        return commits.write(_own(rows), self._lake, table, replace=True, marks=marks)

    def merge(self, rows: Rows, table: Table, marks: Marks | None = None, touch: Sequence[str] | None = None) -> Counts:
        """See `Engine.merge`."""
        self._check()
        return commits.merge(_own(rows), self._lake, table, marks, touch)

    def write_apart(
        self,
        rows: Rows,
        table: Table,
        contents: Table,
        known: Rows,
        touch: Sequence[str] | None = None,
        between: Callable[[], None] = nothing,
    ) -> Counts:
        """See `Engine.write_apart`."""
        self._check()
        described = commits.apart(_own(rows), self._lake, table, contents, _own(known), between)
        if touch is not None:
            return commits.merge(described, self._lake, table, None, touch)
        return Counts(commits.write(described, self._lake, table, replace=False, marks=None))

    def update(self, rows: Rows, table: Table, marks: Marks | None = None) -> int:
        """See `Engine.update`."""
        self._check()
        return commits.update(_own(rows), self._lake, table, marks)

    def delete(self, keys: Rows, table: Table, marks: Marks | None = None) -> int:
        """See `Engine.delete`."""
        self._check()
        return commits.delete(_own(keys), self._lake, table, marks)

    def compact(self, table: Table, at_most: int | None = None) -> Compacted:
        """See `Engine.compact`."""
        self._check()
        return commits.compact(self._lake, table, at_most)

    # ---- the engine itself ------------------------------------------------------------------------------------------

    def prepare(self, rows: int) -> None:
        """See `Engine.prepare`."""
        if rows > FEW:
            self._pool.start()

    def register(self, tables: Sequence[Table]) -> None:
        """See `Engine.register`."""
        raise SettingsError(
            f"`register_tables` enters {', '.join(table.name for table in tables)} in Spark's catalog, which the local "
            "engine has not: use `engine: spark`."
        )

    def cancel(self) -> None:
        """See `Engine.cancel`."""
        self._cancelled = True
        self._pool.cancel()
        self._database.interrupt()

    def close(self) -> None:
        """See `Engine.close`."""
        self._pool.close()
        self._database.close()
        close_files()

    # ---- functions --------------------------------------------------------------------------------------------------

    def _shown(self, rows: LocalRows, function: BatchFunction, work: Work) -> Batches:
        """The results of a function, while the progress shows how many rows are done."""
        show, done = self._progress.stage(work.stage, work.stage_rows), 0
        few = work.rows <= FEW and work.bytes <= SHARE_BYTES
        alone = few and not self._pool.started and not self._trial.failed
        computed = self._alone(rows, function, work) if alone else self._side_by_side(rows, function, work)
        for count, batches in computed:
            done += count
            show(work.shown(done))
            yield from batches

    def _alone(self, rows: LocalRows, function: BatchFunction, work: Work) -> _Computed:
        self._trial.begin()
        try:
            for share in cut(rows, work):
                yield share.rows, _computed(function, self._unless_cancelled(share.batches()))
        finally:
            self._trial.end()  # however this ends, but for the death of the process

    def _side_by_side(self, rows: LocalRows, function: BatchFunction, work: Work) -> _Computed:
        for share, made in self._pool.run(function, cut(rows, work), work.rows):
            if made is None:
                _give_up(share, work.on_killed)
            yield share.rows, made or []
        self._trial.end()

    def _unless_cancelled(self, batches: Batches) -> Batches:
        for batch in batches:
            self._check()
            yield batch

    def _check(self) -> None:
        if self._cancelled:
            raise CancelledError("The work was cancelled.")


def available_cores() -> int:
    """The cores that this process may use; a container's share of them, where the platform tells."""
    if hasattr(os, "process_cpu_count"):  # Python 3.13
        return os.process_cpu_count() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _own(rows: Rows) -> LocalRows:
    assert isinstance(rows, LocalRows), "rows of another engine"
    return rows


def _computed(function: BatchFunction, batches: Batches) -> list[pa.RecordBatch]:
    try:
        return list(function(batches))
    except LakehouseError:
        raise
    except Exception as error:
        raise FunctionError.of(error) from error


def _give_up(share: Share, on_killed: Callable[[pa.RecordBatch], None] | None) -> None:
    (row,) = share.batches()
    if on_killed is None:
        said = {name: value for name, value in row.to_pylist()[0].items() if not isinstance(value, bytes | list)}
        raise WorkerKilledError(f"This row ends each process that computes it: {said}")
    on_killed(row)
