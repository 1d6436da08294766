"""All Delta I/O: create, read, append, merge, replace, delete.

Rows go through Spark. What is small and one (versions, statistics of files, a table of one row) goes through delta-rs,
which answers in milliseconds and needs no Java.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
from delta.tables import DeltaTable as SparkDeltaTable
from deltalake import CommitProperties, DeltaTable, Schema, Transaction, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from lakehouse import s3
from lakehouse.errors import ForeignTableError
from lakehouse.storage import absolute_uri, is_s3, list_files, local_path

LAYOUT = "1"
_GLOB_SYNTAX = "{}*"
"""What a lake's folder may have in its name, and Hadoop reads as a pattern; `?` and brackets it may not have."""
READ_ERRORS = (PySparkException, Py4JJavaError)
"""What reading versions whose files or log are gone raises: Spark's own error, or what py4j could not translate."""


@dataclass(frozen=True)
class Table:
    """A Delta table as data.

    Attributes:
        name: `<layer>.<table>`, its name in SQL; it lies under `<lake>/<layer>/<table>`.
        schema: plain Spark types, so that every reader of Delta reads them.
        key: the columns that make a row one.
        statistics: the columns whose minimum and maximum the log keeps for each file.
    """

    name: str
    schema: StructType
    key: tuple[str, ...]
    statistics: tuple[str, ...]

    @property
    def properties(self) -> dict[str, str]:
        """The Delta table properties."""
        return {
            "delta.enableChangeDataFeed": "true",
            "delta.dataSkippingStatsColumns": ",".join(self.statistics),
            "fruits.layout": LAYOUT,
        }


def unguarded() -> None:
    """Let every commit pass."""


@dataclass(frozen=True)
class Lake:
    """The folder that holds the tables of all layers.

    Attributes:
        uri: the folder.
        guard: called before each commit; raises where it must not be made, as when the lease is lost.
    """

    uri: str
    guard: Callable[[], None] = field(default=unguarded, compare=False, repr=False)

    def path(self, table: Table) -> str:
        """The folder of a table, as Spark and delta-rs name it."""
        return self.folder(table.name.replace(".", "/"))

    def folder(self, name: str) -> str:
        """A folder of the lake's, as Spark and delta-rs name it: a path on a disk, a URI on S3."""
        return f"{self.uri if is_s3(self.uri) else local_path(self.uri)}/{name}"

    def uri_of(self, name: str) -> str:
        """The URI of a file or folder of the lake's that is no table (converted models, the MLflow store)."""
        return f"{self.uri}/{name}"

    @property
    def options(self) -> dict[str, str]:
        """What delta-rs needs to be told to get there."""
        if not is_s3(self.uri):
            return {}
        from lakehouse import s3

        return s3.delta_options()


def create(lake: Lake, tables: Sequence[Table]) -> None:
    """Create the tables that do not exist.

    Raises:
        ForeignTableError: one exists with another layout; nothing was changed.
    """
    missing = []
    for table in tables:
        found = open_table(lake, table)
        if found is None:
            missing.append(table)
        else:
            _check_layout(table, found)
    for table in missing:
        lake.guard()
        DeltaTable.create(
            lake.path(table),
            Schema.from_json(table.schema.json()),
            mode="ignore",
            name=table.name,
            # delta-rs refuses properties that it does not know unless told that they are meant.
            configuration=table.properties,
            raise_if_key_not_exists=False,
            storage_options=lake.options,
        )


def register(spark: SparkSession, lake: Lake, tables: Sequence[Table]) -> None:
    """Make tables known to Spark's catalog as `<layer>.<table>`; the catalog keeps names and folders, nothing else.

    Raises:
        ForeignTableError: the catalog knows the name as a table elsewhere, which was left as it is.
    """
    for table in tables:
        layer, _, _ = table.name.partition(".")
        folder = lake.path(table)
        # A folder of its own: `DROP DATABASE … CASCADE` removes the database's folder with all that is in it.
        spark.sql(f"CREATE DATABASE IF NOT EXISTS {layer} LOCATION {_quoted(lake.folder(f'catalog/{layer}'))}")
        spark.sql(f"CREATE TABLE IF NOT EXISTS {table.name} USING delta LOCATION {_quoted(folder)}")
        found = SparkDeltaTable.forName(spark, table.name).detail().head()
        if found is None or _named(found["location"]) != folder:
            raise ForeignTableError(
                f"Spark's catalog has {table.name} at {found and found['location']}, not at {folder}. Use another "
                f"catalog for this lake, or drop that entry (`DROP TABLE {table.name}` leaves its files)."
            )


def open_table(lake: Lake, table: Table, version: int | None = None) -> DeltaTable | None:
    """The delta-rs handle of a table, or None where it does not exist."""
    try:
        return DeltaTable(lake.path(table), version=version, storage_options=lake.options)
    except TableNotFoundError:
        return None
    except (DeltaError, OSError):
        _look_at(lake)
        raise


def existing(lake: Lake, table: Table, version: int | None = None) -> DeltaTable:
    """The delta-rs handle of a table that must exist."""
    return DeltaTable(lake.path(table), version=version, storage_options=lake.options)


def read(spark: SparkSession, lake: Lake, table: Table) -> DataFrame:
    """The current rows of a table: of the version that is the newest now, whatever is written later.

    delta-rs reads the log and Spark the data files that it names, which our tables allow: no deletion vectors, no
    column mapping, no partitions (`create` refuses others). Spark's own reading of a log takes seconds in a process
    that has just begun, for each table, before the first row.
    """
    handle = open_table(lake, table)
    files = _data_files(lake, table, handle)
    if handle is None or not files:
        return spark.createDataFrame([], table.schema)
    folder = lake.path(table)
    if any(character in folder for character in _GLOB_SYNTAX):
        # Of n files under such a name Spark's own reader reads each n times, `__globPaths__` or not; Delta's does not.
        return spark.read.format("delta").option("versionAsOf", handle.version()).load(folder)
    return spark.read.schema(table.schema).option("__globPaths__", "false").parquet(*files)


def data_files(lake: Lake, table: Table, version: int | None = None) -> list[str]:
    """The data files of a version, by default the current one; empty for a table that does not exist."""
    return _data_files(lake, table, open_table(lake, table, version))


def read_changes(spark: SparkSession, lake: Lake, table: Table, first: int, last: int) -> DataFrame:
    """The change feed between two versions of a table, both included."""
    reader = spark.read.format("delta").option("readChangeFeed", "true")
    return reader.option("startingVersion", first).option("endingVersion", last).load(lake.path(table))


def append(rows: DataFrame, lake: Lake, table: Table) -> int:
    """Append rows in one commit; returns how many."""
    writer = rows.write.format("delta").mode("append")
    return _committed(lambda: writer.save(lake.path(table)), lake, table, "numOutputRows")


def replace(rows: DataFrame, lake: Lake, table: Table) -> int:
    """Replace all rows in one commit; returns how many there are now."""
    writer = rows.write.format("delta").mode("overwrite")
    return _committed(lambda: writer.save(lake.path(table)), lake, table, "numOutputRows")


def merge(rows: DataFrame, lake: Lake, table: Table, touch: Mapping[str, str] | None = None) -> int:
    """Insert the rows whose key is new and update the others, in one commit; returns how many were inserted.

    Args:
        rows: the rows, each key once.
        lake: where the table is.
        table: the table.
        touch: columns to update, as SQL over `new`, where the content (`sha256`) is the same; None: all of them.
    """
    merging = _merge_into(rows, lake, table)
    if touch is not None:
        merging = merging.whenMatchedUpdate("old.sha256 <=> new.sha256", set=dict(touch))
    merging = merging.whenMatchedUpdateAll().whenNotMatchedInsertAll()
    return _committed(merging.execute, lake, table, "numTargetRowsInserted")


def delete(keys: DataFrame, lake: Lake, table: Table) -> int:
    """Delete the rows with these keys in one commit; returns how many."""
    merging = _merge_into(keys.select(*table.key), lake, table).whenMatchedDelete()
    return _committed(merging.execute, lake, table, "numTargetRowsDeleted")


def write_small(rows: pa.Table, lake: Lake, table: Table, *, mode: str) -> None:
    """Append or overwrite (`mode`) a table of few rows in one commit, without Spark."""
    lake.guard()
    write_deltalake(lake.path(table), rows, mode=mode, storage_options=lake.options)  # type: ignore[call-overload]


def transaction_version(lake: Lake, table: Table, application: str) -> int:
    """The last number that `mark_transaction` wrote for this application, 0 where there is none."""
    return existing(lake, table).transaction_version(application) or 0


def mark_transaction(
    lake: Lake, table: Table, application: str, number: int, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a number into the table's log, in a commit without data; `metadata` as `write_metadata` does."""
    marks = CommitProperties(app_transactions=[Transaction(application, number)], custom_metadata=dict(metadata or {}))
    _commit_nothing(lake, table, marks)


def metadata(lake: Lake, table: Table) -> Mapping[str, Any]:
    """What the newest commit's entry in the table's history says."""
    return existing(lake, table).history(1)[0]


def write_metadata(lake: Lake, table: Table, metadata: Mapping[str, str]) -> None:
    """Write words into the table's history, in a commit without data."""
    _commit_nothing(lake, table, CommitProperties(custom_metadata=dict(metadata)))


def maximum(lake: Lake, table: Table, column: str) -> int | None:
    """The greatest value of an integer column by the log's statistics, reading no data; None for an empty table."""
    values = _file_statistics(lake, table, f"max.{column}")
    return max(values) if values else None


def versions(lake: Lake, table: Table, column: str) -> set[int]:
    """The values of an integer column that is constant within each file, by the log's statistics, reading no data."""
    return {*_file_statistics(lake, table, f"min.{column}"), *_file_statistics(lake, table, f"max.{column}")}


def dataset(lake: Lake, table: Table, version: int | None = None) -> "pa.dataset.Dataset":
    """A version's rows, by default the current ones, to be read in part: what is not asked for stays where it is."""
    return existing(lake, table, version).to_pyarrow_dataset()


def rows_where(
    lake: Lake, table: Table, column: str, values: Sequence[object], columns: Sequence[str]
) -> list[dict[str, Any]]:
    """Some columns of the few current rows that have one of these values in a column."""
    wanted = pa.array(values, arrow_schema(table).field(column).type)  # Arrow would make no values ones of type null
    found = dataset(lake, table).to_table(list(columns), filter=pc.field(column).isin(wanted))
    return [dict(row) for row in found.to_pylist()]


def any_row(lake: Lake, table: Table, column: str, value: object) -> bool:
    """Whether any current row has this value in a column, which alone is read."""
    rows = dataset(lake, table)
    return bool(rows.head(1, columns=[column], filter=pc.field(column) == value).num_rows)


def arrow_schema(table: Table) -> pa.Schema:
    """The columns of a table, as Arrow types."""
    return pa.schema(Schema.from_json(table.schema.json()).to_arrow())


def count(lake: Lake, table: Table) -> int:
    """The number of rows by the log's statistics, reading no data."""
    return sum(_file_statistics(lake, table, "num_records"))


def _named(location: str) -> str:
    """A table's folder by Spark's name for it, as `Lake.path` names it."""
    return str(Path(location.removeprefix("file:"))) if location.startswith("file:") else absolute_uri(location)


def _data_files(lake: Lake, table: Table, handle: DeltaTable | None) -> list[str]:
    names = _actions(handle).column("path").to_pylist() if handle else []
    # The log percent-encodes names, delta-rs' own list of files the lake's folder as well.
    return [f"{lake.path(table)}/{unquote(name)}" for name in names]


def _look_at(lake: Lake) -> None:
    """Raise a StorageError that says what to do, where the lake's folder on S3 cannot be listed, or not from here."""
    if is_s3(lake.uri):
        next(list_files(lake.uri, recursive=True), None)
        s3.check_region(lake.uri)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _commit_nothing(lake: Lake, table: Table, properties: CommitProperties) -> None:
    lake.guard()
    rows = arrow_schema(table).empty_table()
    write_deltalake(lake.path(table), rows, mode="append", commit_properties=properties, storage_options=lake.options)


def _actions(handle: DeltaTable) -> pa.Table:
    # Not `pa.table(…)`, which asks whether this is pandas', and imports it to know: 0.4 s.
    return pa.RecordBatchReader.from_stream(handle.get_add_actions(flatten=True)).read_all()


def _file_statistics(lake: Lake, table: Table, name: str) -> list[int]:
    files = _actions(existing(lake, table))
    if name not in files.column_names:
        return []
    return [value for value in files.column(name).to_pylist() if value is not None]


def _merge_into(rows: DataFrame, lake: Lake, table: Table):  # type: ignore[no-untyped-def]
    target = SparkDeltaTable.forPath(rows.sparkSession, lake.path(table)).alias("old")
    return target.merge(rows.alias("new"), " AND ".join(f"old.{key} = new.{key}" for key in table.key))


def _committed(write: Callable[[], object], lake: Lake, table: Table, metric: str) -> int:
    """Write, and return a count that Spark noted in the commit; 0 where there was nothing to commit."""
    before = existing(lake, table).version()
    lake.guard()
    write()
    handle = existing(lake, table)
    return int(handle.history(1)[0]["operationMetrics"][metric]) if handle.version() > before else 0


def _check_layout(table: Table, found: DeltaTable) -> None:
    layout = found.metadata().configuration.get("fruits.layout")
    actual = StructType.fromJson(json.loads(found.schema().to_json()))
    plain = found.protocol().min_reader_version == 1 and not found.metadata().partition_columns
    if layout != LAYOUT or actual != table.schema or not plain:
        raise ForeignTableError(
            f"The table {table.name} has another layout (fruits.layout={layout}, this version writes {LAYOUT}; "
            f"columns: {', '.join(actual.names)}). It was not touched. Use the version of fruits that wrote it, or "
            "another lake."
        )
