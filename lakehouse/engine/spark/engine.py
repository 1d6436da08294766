"""The engine of a cluster: Spark SQL, `mapInArrow`, and Delta Lake's own reader and writer."""

import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import pyarrow as pa
from delta.tables import DeltaMergeBuilder
from delta.tables import DeltaTable as SparkDeltaTable
from deltalake import Schema
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from lakehouse.engine.port import (
    CHANGE,
    SHARE_BYTES,
    VALUE,
    BatchFunction,
    CancelledError,
    Counts,
    Marks,
    PartialFunction,
    Rows,
    Value,
    Work,
    nothing,
)
from lakehouse.engine.spark.failure import SPARK_ERRORS, explained
from lakehouse.engine.spark.rows import Counting, SparkRows, Stage, followed
from lakehouse.engine.spark.session import spark_session
from lakehouse.errors import ForeignTableError
from lakehouse.failpoint import crash_point
from lakehouse.progress import Progress
from lakehouse.settings import LakeSettings
from lakehouse.storage.uri import absolute_uri
from lakehouse.tables import delta
from lakehouse.tables.compaction import TARGET_BYTES, Compacted, groups
from lakehouse.tables.delta import Lake
from lakehouse.tables.marks import marks_of_same_rows
from lakehouse.tables.table import Table, without_comments

_USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
_SMALL = "spark.databricks.delta.optimize.minFileSize"
_TARGET = "spark.databricks.delta.optimize.maxFileSize"
_PARTIALS = 32  # that the driver gathers: of moments 32 × 13 MB
_numbers = itertools.count(1)  # of views, in the one session that a process has
_TASKS_A_CORE = 4  # so that the last task of a stage is a small part of it


class SparkEngine:
    """See `lakehouse.engine.port.Engine`."""

    name = "spark"
    worker_peak: int | None = None  # its workers are not processes of this one

    def __init__(self, settings: LakeSettings, lake: Lake, progress: Progress) -> None:
        """Take the settings; Spark is started by the first rows."""
        self._settings, self._lake, self._progress = settings, lake, progress
        self.start_seconds = 0.0
        self._cancelled = False

    @cached_property
    def session(self) -> SparkSession:
        """The Spark session, started by the first call."""
        begun = time.perf_counter()
        with _explaining():
            session = spark_session(self._settings)
        session.conf.set("spark.sql.variable.substitute", "false")  # a path may hold ${…}
        self.start_seconds = time.perf_counter() - begun
        return session

    # ---- rows -------------------------------------------------------------------------------------------------------

    def rows(
        self,
        table: Table,
        columns: Sequence[str],
        version: int | None = None,
        among: Rows | None = None,
        along: Sequence[str] = (),
    ) -> SparkRows:
        """See `Engine.rows`."""
        handle = delta.existing(self._lake, table, version)
        reader = self.session.read.format("delta").option("versionAsOf", handle.version())
        frame = reader.load(self._lake.path(table)).select(*columns)
        if among is None:
            return SparkRows(frame, stored=True)
        wanted = _own(among).frame.distinct()
        # Broadcast, whatever its size: the alternative shuffles the table's rows, photographs with them.
        keys = [name for name in wanted.columns if name not in along]
        chosen = frame.join(F.broadcast(wanted), on=keys, how="inner" if along else "left_semi")
        return SparkRows(chosen.select(*columns, *along), _own(among).stages, stored=True)

    def of(self, rows: pa.Table) -> SparkRows:
        """See `Engine.of`."""
        return SparkRows(self.session.createDataFrame(rows.to_pylist(), _struct(rows.schema)))

    def sql(self, text: str, values: Mapping[str, Value] | None = None, **rows: Rows) -> SparkRows:
        """See `Engine.sql`."""
        own = {name: _own(one) for name, one in rows.items()}
        views = {name: f"{name}_{next(_numbers)}" for name in own}
        for name, one in own.items():
            # Under a name that is never used again nor dropped: with a view Spark would drop what is kept of its rows.
            one.frame.createTempView(views[name])
        # Spark's own parameters do not reach into WITH.
        filled = VALUE.sub(lambda found: _literal((values or {})[found[1]]), text)
        frame = self.session.sql(_with_views(filled, views))
        stages = tuple(stage for one in own.values() for stage in one.stages)
        return SparkRows(frame, stages, history=next((one.history for one in own.values() if one.history), None))

    def map(self, rows: Rows, function: BatchFunction, schema: pa.Schema, work: Work | None = None) -> SparkRows:
        """See `Engine.map`."""
        own = _own(rows)
        if work is None:
            return replace(own, frame=own.frame.mapInArrow(function, _struct(schema)))
        frame = own.frame if own.stored else own.frame.repartition(self._tasks(work))
        done = self.session.sparkContext.accumulator(0)
        made = frame.mapInArrow(Counting(function, done), _struct(schema))
        return replace(own, frame=made, stages=(*own.stages, Stage(work, done)))

    @contextmanager
    def kept(self, rows: Rows) -> Iterator[SparkRows]:
        """See `Engine.kept`."""
        own = _own(rows)
        frame = own.frame.persist()
        try:
            yield SparkRows(frame, own.stages)
        finally:
            frame.unpersist()

    def arrow(self, rows: Rows) -> pa.Table:
        """See `Engine.arrow`."""
        own = _own(rows)
        with self._used(own):
            found: pa.Table = own.frame.toArrow()
        return found

    def fold(self, rows: Rows, partial: PartialFunction, combine: BatchFunction) -> list[pa.RecordBatch]:
        """See `Engine.fold`."""
        own = _own(rows)
        schema = _struct(partial.schema)
        partials = own.frame.mapInArrow(partial, schema)
        count = own.frame.rdd.getNumPartitions()
        while count > _PARTIALS:
            count = -(-count // _PARTIALS)
            partials = partials.repartition(count).mapInArrow(combine, schema)
        with self._used(own):
            return list(combine(iter(partials.toArrow().to_batches())))

    def changes(self, table: Table, columns: Sequence[str], before: int, after: int) -> SparkRows:
        """See `Engine.changes`; by Delta's change feed."""
        reader = self.session.read.format("delta").option("readChangeFeed", "true")
        reader = reader.option("startingVersion", before + 1).option("endingVersion", after)
        with _explaining(table.name):
            frame = reader.load(self._lake.path(table)).select(*columns, CHANGE)
        return SparkRows(frame, stored=True, history=table.name)

    # ---- commits ----------------------------------------------------------------------------------------------------

    def append(self, rows: Rows, table: Table, marks: Marks | None = None) -> int:
        """See `Engine.append`."""
        return self._write(rows, table, "append", marks)

    def replace(self, rows: Rows, table: Table, marks: Marks | None = None) -> int:
        """See `Engine.replace`."""
        return self._write(rows, table, "overwrite", marks)

    def merge(self, rows: Rows, table: Table, marks: Marks | None = None, touch: Sequence[str] | None = None) -> Counts:
        """See `Engine.merge`."""
        merging = self._merging(_own(rows).frame.select(*table.schema.names), table)
        if touch is not None:
            merging = merging.whenMatchedUpdate(
                "old.sha256 <=> new.sha256", set={name: f"new.{name}" for name in touch}
            )
        merging = merging.whenMatchedUpdateAll().whenNotMatchedInsertAll()
        found = self._committed(merging.execute, _own(rows), table, marks)
        return Counts(found.get("numTargetRowsInserted", 0), found.get("numTargetRowsUpdated", 0))

    def write_apart(
        self,
        rows: Rows,
        table: Table,
        contents: Table,
        known: Rows,
        touch: Sequence[str] | None = None,
        between: Callable[[], None] = nothing,
    ) -> Counts:
        """See `Engine.write_apart`; the rows wait on the executors' disks, and three passes take their columns.

        A task that Spark repeats may find other files than the one before. So what is written to `table` has its
        content among those that are known, or that the first commit has by its own word. Where an executor is lost with
        rows that waited, Spark fails, and the next call begins anew.
        """
        (key,) = contents.key
        own, held = _own(rows), _own(known).frame.select(key).distinct()
        # Not `persist`: Spark then fails over a query that has WITH, joined with itself.
        wide = own.frame.localCheckpoint(eager=False, storageLevel=StorageLevel.DISK_ONLY)
        try:
            # Of each content one row, found by narrow columns: contents are not shuffled.
            firsts = wide.groupBy(F.col(key).alias("first_key")).agg(F.min(table.key[0]).alias("first_row"))
            firsts = F.broadcast(firsts.join(held, F.col("first_key") == held[key], "left_anti"))
            is_first = (wide[key] == firsts["first_key"]) & (wide[table.key[0]] == firsts["first_row"])
            new = wide.join(firsts, is_first, "left_semi")
            before = delta.existing(self._lake, contents).version()
            self._write(replace(own, frame=new), contents, "append", None)
            after = delta.existing(self._lake, contents).version()
            if after > before:
                held = held.unionByName(self.changes(contents, [key], before, after).frame.select(key))
            between()
            described = SparkRows(wide.select(*table.schema.names).join(held, key, "left_semi"))
            return self.merge(described, table, touch=touch) if touch else Counts(self.append(described, table))
        finally:
            wide._jdf.queryExecution().analyzed().rdd().unpersist(False)  # which a data frame alone does not free

    def update(self, rows: Rows, table: Table, marks: Marks | None = None) -> int:
        """See `Engine.update`."""
        (key,) = table.key
        merging = self._merging(_own(rows).frame, table)
        merging = merging.whenMatchedUpdate(set={name: f"new.{name}" for name in rows.columns if name != key})
        return self._committed(merging.execute, _own(rows), table, marks).get("numTargetRowsUpdated", 0)

    def delete(self, keys: Rows, table: Table, marks: Marks | None = None) -> int:
        """See `Engine.delete`."""
        merging = self._merging(_own(keys).frame.select(*table.key), table).whenMatchedDelete()
        return self._committed(merging.execute, _own(keys), table, marks).get("numTargetRowsDeleted", 0)

    def compact(self, table: Table, at_most: int | None = None) -> Compacted:
        """See `Engine.compact`; by Delta's OPTIMIZE."""
        found = delta.existing(self._lake, table)
        merged = [file for group in groups(delta.files_of(self._lake, table, found)) for file in group]
        size = sum(file.size for file in merged)
        if not merged or (at_most is not None and size > at_most):
            return Compacted()
        target = SparkDeltaTable.forPath(self.session, self._lake.path(table))
        with self._configured({_SMALL: str(TARGET_BYTES // 2), _TARGET: str(TARGET_BYTES)}):
            crash_point("upkeep.merging-by-spark")
            marks = marks_of_same_rows(found)
            done = self._committed(target.optimize().executeCompaction, SparkRows(target.toDF()), table, marks)
        return Compacted(done.get("numRemovedFiles", 0), size, done.get("numAddedFiles", 0))

    # ---- the engine itself ------------------------------------------------------------------------------------------

    def prepare(self, rows: int) -> None:
        """See `Engine.prepare`; Spark adds what it needs by itself."""

    def register(self, tables: Sequence[Table]) -> None:
        """See `Engine.register`; the catalog keeps names and folders, nothing else."""
        for table in tables:
            layer, _, _ = table.name.partition(".")
            folder = self._lake.path(table)
            # A folder of its own: `DROP DATABASE … CASCADE` removes the database's folder with all that is in it.
            database = _quoted(self._lake.folder(f"catalog/{layer}"))
            self.session.sql(f"CREATE DATABASE IF NOT EXISTS {layer} LOCATION {database}")
            self.session.sql(f"CREATE TABLE IF NOT EXISTS {table.name} USING delta LOCATION {_quoted(folder)}")
            found = SparkDeltaTable.forName(self.session, table.name).detail().head()
            if found is None or _named(found["location"]) != folder:
                raise ForeignTableError(
                    f"Spark's catalog has {table.name} at {found and found['location']}, not at {folder}. Use another "
                    f"catalog for this lake, or drop that entry (`DROP TABLE {table.name}` leaves its files)."
                )

    def cancel(self) -> None:
        """See `Engine.cancel`."""
        self._cancelled = True
        if "session" in self.__dict__:
            self.session.sparkContext.cancelAllJobs()

    def close(self) -> None:
        """See `Engine.close`; the session stays for the next engine of this process, and ends with it."""

    # ---- how --------------------------------------------------------------------------------------------------------

    def _tasks(self, work: Work) -> int:
        cores = self.session.sparkContext.defaultParallelism
        return max(1, min(work.rows, _TASKS_A_CORE * cores), work.bytes // (2 * SHARE_BYTES))

    def _write(self, rows: Rows, table: Table, mode: str, marks: Marks | None) -> int:
        own = _own(rows)
        writer = own.frame.select(*table.schema.names).write.format("delta").mode(mode)
        path = self._lake.path(table)
        return self._committed(lambda: writer.save(path), own, table, marks).get("numOutputRows", 0)

    def _merging(self, rows: DataFrame, table: Table) -> DeltaMergeBuilder:
        target = SparkDeltaTable.forPath(self.session, self._lake.path(table)).alias("old")
        return target.merge(rows.alias("new"), " AND ".join(f"old.{key} = new.{key}" for key in table.key))

    def _committed(
        self, write: Callable[[], object], rows: SparkRows, table: Table, marks: Marks | None
    ) -> Mapping[str, int]:
        """Write, and return what Spark counted in the commit; nothing where there was nothing to commit."""
        before = delta.existing(self._lake, table).version()
        self._lake.guard()
        with self._used(rows), self._marked(marks):
            write()
        if delta.existing(self._lake, table).version() == before:
            return {}
        commit = self._lake.asking(lambda: delta.existing(self._lake, table).history(1))[0]
        metrics = commit.get("operationMetrics", {})
        return {name: int(value) for name, value in metrics.items() if str(value).isdecimal()}

    @contextmanager
    def _marked(self, marks: Marks | None) -> Iterator[None]:
        with self._configured({_USER_METADATA: json.dumps(dict(marks))} if marks else {}):
            yield

    @contextmanager
    def _configured(self, options: Mapping[str, str]) -> Iterator[None]:
        """Options of the session's while the block runs."""
        for name, value in options.items():
            self.session.conf.set(name, value)
        try:
            yield
        finally:
            for name in options:
                self.session.conf.unset(name)

    @contextmanager
    def _used(self, rows: SparkRows) -> Iterator[None]:
        """Show the stages of rows while they are computed, and say in words of ours what Spark fails of."""
        if self._cancelled:
            raise CancelledError("The work was cancelled.")
        with ExitStack() as stack:
            stack.enter_context(_explaining(rows.history))
            for stage in rows.stages:
                stack.enter_context(followed(self._progress, stage))
            yield


@contextmanager
def _explaining(history: str | None = None) -> Iterator[None]:
    try:
        yield
    except SPARK_ERRORS as error:
        raise explained(error, history) from error


def _own(rows: Rows) -> SparkRows:
    assert isinstance(rows, SparkRows), "rows of another engine"
    return rows


def _struct(schema: pa.Schema) -> StructType:
    return StructType.fromJson(json.loads(Schema.from_arrow(without_comments(schema)).to_json()))


def _with_views(text: str, views: Mapping[str, str]) -> str:
    """A query in which names stand for views of other names."""
    named = ", ".join(f"{name} AS (SELECT * FROM {view})" for name, view in views.items())
    start = text.lstrip()
    if not named:
        return text
    return f"WITH {named}, {start[len('WITH') :]}" if start.upper().startswith("WITH ") else f"WITH {named} {start}"


def _literal(value: Value) -> str:
    match value:
        case str():
            return _quoted(value)
        case None:
            return "NULL"
        case _:
            return str(value).lower()


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _named(location: str) -> str:
    """A table's folder by Spark's name for it, as `Lake.path` names it."""
    return str(Path(location.removeprefix("file:"))) if location.startswith("file:") else absolute_uri(location)
