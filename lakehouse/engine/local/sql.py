"""SQL over the local engine's rows, by DuckDB in this process."""

import os
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from lakehouse.engine.local.rows import LocalRows
from lakehouse.engine.port import VALUE, Batches, CancelledError, Value
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_ROWS_A_BATCH = 10_000


class Database:
    """DuckDB without tables of its own; what a query needs is shown to it while it runs."""

    def __init__(self, threads: int) -> None:
        """Take the number of threads; nothing is opened yet."""
        self._threads = threads

    def query(self, text: str, values: Mapping[str, Value], rows: Mapping[str, LocalRows]) -> LocalRows:
        """The answer to a SELECT, computed each time it is used."""
        return LocalRows(self._schema(text, values, rows), lambda: self._answer(text, values, rows))

    def interrupt(self) -> None:
        """Have a query that runs raise a CancelledError."""
        if "_connection" in self.__dict__:
            self._connection.interrupt()

    @cached_property
    def _connection(self) -> "DuckDBPyConnection":
        import duckdb

        connection = duckdb.connect(
            config={
                "python_enable_replacements": False,  # a name in a query is a row set's, never a variable's here
                "threads": self._threads,
                "memory_limit": f"{_memory_limit() >> 20}MiB",
                "temp_directory": _spill_folder(),
                "preserve_insertion_order": False,
            }
        )
        connection.execute("SET TimeZone = 'UTC'")
        return connection

    def close(self) -> None:
        """Close the connection, if there is one; the next query opens another."""
        if "_connection" in self.__dict__:
            self.__dict__.pop("_connection").close()

    def _cursor(self, rows: Mapping[str, object]) -> "DuckDBPyConnection":
        cursor = self._connection.cursor()  # names are a cursor's own
        cursor.execute("SET TimeZone = 'UTC'")
        for name, value in rows.items():
            cursor.register(name, value)
        return cursor

    def _schema(self, text: str, values: Mapping[str, Value], rows: Mapping[str, LocalRows]) -> pa.Schema:
        empty = {name: one.schema.empty_table() for name, one in rows.items()}
        with self._cursor(empty) as cursor:
            schema: pa.Schema = cursor.sql(_named(text), params=_used(text, values)).to_arrow_table().schema
            return schema

    def _answer(self, text: str, values: Mapping[str, Value], rows: Mapping[str, LocalRows]) -> Batches:
        import duckdb

        sources = {name: _Source(one) for name, one in rows.items()}
        with self._cursor(sources) as cursor:
            try:
                yield from cursor.sql(_named(text), params=_used(text, values)).to_arrow_reader(_ROWS_A_BATCH)
            except (duckdb.Error, pa.ArrowException, OSError) as error:
                for source in sources.values():
                    if source.error is not None:  # of which DuckDB has the words alone
                        raise source.error from None
                raise _explained(error) from error


class _Source:
    """Rows that DuckDB reads, each time that a query scans them; their error is kept for who asked the query."""

    def __init__(self, rows: LocalRows) -> None:
        self.schema = rows.schema
        self.error: BaseException | None = None
        self._rows = rows

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        stream = pa.RecordBatchReader.from_batches(self.schema, self._batches())
        return stream.__arrow_c_stream__(requested_schema)

    def _batches(self) -> Batches:
        try:
            yield from self._rows.batches()
        except GeneratorExit:
            raise
        except BaseException as error:
            self.error = error
            raise


def _explained(error: Exception) -> Exception:
    import duckdb

    if isinstance(error, duckdb.InterruptException):
        return CancelledError("The query was cancelled.")
    if isinstance(error, duckdb.OutOfMemoryException):
        return LakehouseError(f"A query needs more memory than there is, and more disk in {_spill_folder()}: {error}")
    return error


def _named(text: str) -> str:
    """A text with values as DuckDB names them: `$name` for `:name`."""
    return VALUE.sub(r"$\1", text)


def _used(text: str, values: Mapping[str, Value]) -> dict[str, Value]:
    return {name: values[name] for name in set(VALUE.findall(text))}


def _spill_folder() -> str:
    return str(Path(tempfile.gettempdir()) / f"fruits-duckdb-{os.getpid()}")


def _memory_limit() -> int:
    """A fourth of this machine's memory; what needs more goes through the disk."""
    return max(1 << 30, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4)
