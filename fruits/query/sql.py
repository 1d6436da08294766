"""`fruits sql`: DuckDB over the Delta tables, without Java."""

import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import duckdb
import pyarrow as pa

from fruits.catalog import ALL_TABLES
from lakehouse.errors import DamagedTableError, LakehouseError, SettingsError, StorageError
from lakehouse.failures import refusal
from lakehouse.storage.uri import native_name, on_disk
from lakehouse.tables import delta
from lakehouse.tables.damage import DOCTOR, THOROUGH, first_line
from lakehouse.tables.delta import Lake
from lakehouse.tables.history import AsOf, check_readable, version_as_of
from lakehouse.tables.table import Table

_ROWS = 2048  # a batch; of photographs' content that is a few megabytes
_NO_LAYER = "lake"
"""The schema of the tables without one in their names; what somebody makes in a session under their names is theirs."""
T = TypeVar("T")
_OF_DUCKDB = re.compile(r"^(?:\[Errno \d+\] )?(?!Out of Memory)[A-Z][\w ]* Error: ")
READING = (duckdb.Error, pa.ArrowException, OSError)
"""What reading tables may fail with: Arrow's and the system's errors where it fails in the middle of an answer."""


@dataclass(frozen=True)
class Answer:
    """What a statement answers: its columns, and its rows as they come."""

    columns: list[str]
    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]

    def rows(self) -> Iterator[tuple[object, ...]]:
        """The rows as Python's values."""
        for batch in self.batches:
            yield from _rows(batch)

    def first(self, most: int) -> tuple[list[tuple[object, ...]], int]:
        """The first rows as Python's values, and how many there are in all, which are counted alone."""
        found: list[tuple[object, ...]] = []
        count = 0
        for batch in self.batches:
            count += batch.num_rows
            if len(found) < most:
                found += _rows(batch.slice(0, most - len(found)))
        return found, count


class Session:
    """DuckDB over a lake, its tables views by their names, which each statement sees as they are when it begins."""

    def __init__(self, lake: Lake, as_of: AsOf | None = None) -> None:
        """Connect; `as_of` is the tables' version, or the moment, that is asked about instead of the present."""
        self.lake, self._as_of = lake, as_of
        # A name in a query is a table's, never that of a variable here.
        self.connection = duckdb.connect(config={"python_enable_replacements": False})
        # Of two files one may say that its instants are UTC and the other say nothing: then it is UTC, too.
        self.connection.execute("SET TimeZone = 'UTC'")
        self.connection.execute(f"CREATE SCHEMA {_NO_LAYER}; SET search_path = 'main,{_NO_LAYER}'")
        self._thread = ThreadPoolExecutor(1)
        self._reader: pa.RecordBatchReader | None = None

    def execute(self, statement: str) -> Answer | None:
        """Run one statement of SQL; None where it is one that answers nothing, as SET.

        Raises:
            SettingsError: it is wrong; the message is DuckDB's, and shows where.
            LakehouseError: the lake has no table, or not the one that is named.
        """
        if self._reader is not None:
            self._reader.close()  # an answer that was not read to its end would be in the way
        self._show(statement)
        relation = self._wait(lambda: self._relation(statement))
        if relation is None or relation.columns == ["Success"]:  # DuckDB's answer where there is none
            return None
        self._reader = self._wait(lambda: relation.to_arrow_reader(_ROWS))
        return Answer(self._reader.schema.names, self._reader.schema, self._read(self._reader))

    def _relation(self, statement: str) -> duckdb.DuckDBPyRelation | None:
        try:
            return self.connection.sql(statement)
        except duckdb.Error:
            self.connection.execute(statement)  # fails in the same way, and says where in the text
            raise

    def _read(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        while (batch := self._wait(lambda: next(reader, None))) is not None:
            yield batch

    def _wait(self, work: Callable[[], T]) -> T:
        """Do it in another thread, so that Ctrl-C ends it at once: DuckDB looks for signals only now and then."""
        future = self._thread.submit(work)
        try:
            return future.result()
        except READING as error:
            raise explained(error, self.lake) from error
        except KeyboardInterrupt:
            while not future.done():
                self.connection.interrupt()
                wait([future], timeout=0.1)
            raise

    def show_all(self) -> None:
        """Make views of all tables that there are, and were.

        Raises:
            LakehouseError: the lake has no table.
        """
        found = self._existing(ALL_TABLES)
        if not found:
            raise LakehouseError(
                f"There are no tables in {self.lake.uri}. Fill it first: `fruits run --images FOLDER --lake …`."
            )
        for table in found:
            with suppress(SettingsError):  # of a table that was not there then: who names it is told
                show(self.connection, self.lake, table, self._as_of)

    def _show(self, statement: str) -> None:
        """Make views of the tables that a statement names, or of all where it names none."""
        named = [table for table in ALL_TABLES if self._mentions(statement, table)]
        found = self._existing(named)
        if not found:
            self.show_all()
        if len(found) < len(named):
            missing = ", ".join(table.name for table in named if table not in found)
            raise LakehouseError(f"{missing} is not in {self.lake.uri} yet; `fruits run` makes it.")
        for table in found:
            show(self.connection, self.lake, table, self._as_of)

    def _mentions(self, statement: str, table: Table) -> bool:
        """Whether a statement names a table, quoted or not; where text in it looks like that, a view more is made."""
        layer, _, name = table.name.rpartition(".")
        if layer:
            return re.search(rf'(?i)(?<![\w"])"?{layer}"?\s*\.\s*"?{name}\b', statement) is not None
        if re.search(rf"(?i)\b{name}\b", statement) is None:
            return False
        try:
            tables = self.connection.get_table_names(statement)  # no column's name, and no other table's of a query
        except duckdb.Error:  # it is wrong, or is more than one statement to DuckDB, as PIVOT
            return table in self._existing([table])
        return name in {found.lower() for found in tables}

    def _existing(self, tables: Iterable[Table]) -> list[Table]:
        return [table for table in tables if delta.open_table(self.lake, table) is not None]


def explained(error: Exception, lake: Lake) -> LakehouseError:
    """The error to raise for one of READING: the machine's, a file's of the lake's, or the query's."""
    of_duckdb = _OF_DUCKDB.search(str(error)) is not None  # whatever the class: through Arrow it is an OSError
    if refused := None if of_duckdb else refusal(error):
        return StorageError(f"The answer cannot be computed: {refused}")
    # What has no class of its own is of Parquet's reader, about pages that cannot be decoded.
    inside = type(error) in (duckdb.Error, OSError) and not of_duckdb
    if inside or native_name(lake.uri) in str(error):
        advice = DOCTOR if isinstance(error, duckdb.IOException) else THOROUGH
        return DamagedTableError(f"A table of {lake.uri} cannot be read: {first_line(error)}. {advice}")
    return SettingsError(str(error))


def statements(queries: str) -> list[str]:
    """The statements of a text, one after another.

    Raises:
        SettingsError: one of them is no SQL; the message is DuckDB's, and shows where.
    """
    try:
        return [one.query for one in duckdb.extract_statements(queries.encode().decode())]
    except UnicodeEncodeError as error:
        raise SettingsError("The query is not UTF-8, as SQL must be.") from error
    except duckdb.Error as error:
        raise SettingsError(str(error)) from error


def connect(lake: Lake) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection in which the lake's tables are views by their names, `bronze.images` to `runs`.

    Raises:
        LakehouseError: the lake has no table.
    """
    session = Session(lake)
    session.show_all()
    return session.connection


def show(connection: duckdb.DuckDBPyConnection, lake: Lake, table: Table, as_of: AsOf | None = None) -> None:
    """Make a table that exists a view of its name, as it is or was.

    Raises:
        SettingsError: the table was not there, or cannot be read any more as it was.
    """
    version = None
    if as_of is not None:
        version = version_as_of(lake, table, as_of)
        check_readable(lake, table, version)
    layer, _, name = table.name.rpartition(".")
    schema = layer or _NO_LAYER
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    files = delta.data_files(lake, table, version)
    if files and on_disk(lake.uri):
        source = f"read_parquet([{', '.join(map(_quoted, files))}], union_by_name = true)"
    else:
        # On S3 through delta-rs: DuckDB's own way there is an extension that it would have to fetch.
        source = f"_{schema}_{name}"
        rows = delta.dataset(lake, table, version) if files else table.schema.empty_table()
        connection.register(source, rows)
    if files and table.added:  # which none of the files may have
        connection.register(f"_{schema}_{name}_added", table.schema.empty_table().select(list(table.added)))
        source = f"(SELECT * FROM {source} UNION ALL BY NAME SELECT * FROM _{schema}_{name}_added)"
    try:
        connection.execute(f"CREATE OR REPLACE VIEW {schema}.{name} AS SELECT {_columns(table)} FROM {source}")
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        raise DamagedTableError(f"{table.name} cannot be read: {first_line(error)}. {DOCTOR}") from error


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[object, ...]]:
    return zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _quoted(file: str) -> str:
    """A file's name as a SQL string that matches itself alone, for DuckDB takes it for a pattern."""
    literal = "".join(f"[{character}]" if character in "*?[" else character for character in file)
    return "'" + literal.replace("'", "''") + "'"


def _columns(table: Table) -> str:
    """The table's columns by name, for a merged file holds the change feed's too; time stamps as UTC without a zone.

    DuckDB computes with zones only where its extension is at hand.
    """
    times = {field.name for field in table.schema if pa.types.is_timestamp(field.type)}
    return ", ".join(f"make_timestamp(epoch_us({n})) AS {n}" if n in times else n for n in table.schema.names)


def answer(lake: Lake, query: str) -> tuple[list[str], list[tuple[object, ...]]]:
    """The columns and rows of a statement's answer; both empty where it answers nothing.

    Raises:
        SettingsError: the query is wrong; the message is DuckDB's, and shows where.
        LakehouseError: the lake has no table, or not the one that is named.
    """
    found = Session(lake).execute(query)
    return (found.columns, list(found.rows())) if found else ([], [])
