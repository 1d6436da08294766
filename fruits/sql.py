"""`fruits sql`: DuckDB over the Delta tables, without Java."""

import base64
import csv
import sys
from collections.abc import Sequence
from enum import StrEnum

import duckdb
import pyarrow as pa
from pyspark.sql.types import TimestampType

import bronze.tables
import gold.tables
import silver.tables
from fruits.console import print_json, print_table
from lakehouse import delta
from lakehouse.delta import Lake, Table
from lakehouse.errors import LakehouseError, SettingsError
from lakehouse.storage import is_s3

TABLES = (*bronze.tables.TABLES, *silver.tables.TABLES, *gold.tables.TABLES)


class SqlFormat(StrEnum):
    """How an answer is printed."""

    table = "table"
    csv = "csv"
    json = "json"


def connect(lake: Lake) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection in which the lake's tables are views by their names, `bronze.images` to `gold.models`.

    Raises:
        LakehouseError: the lake has no table.
    """
    connection = duckdb.connect()
    found = False
    for table in TABLES:
        if delta.open_table(lake, table) is None:
            continue
        found = True
        schema, name = table.name.split(".")
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        files = delta.data_files(lake, table)
        if files and not is_s3(lake.uri):
            source = f"read_parquet([{', '.join(map(_quoted, files))}], union_by_name = true)"
        else:
            # On S3 through delta-rs: DuckDB's own way there is an extension that it would have to fetch.
            source = f"_{schema}_{name}"
            connection.register(
                source, delta.dataset(lake, table) if files else delta.arrow_schema(table).empty_table()
            )
        connection.execute(f"CREATE VIEW {schema}.{name} AS SELECT {_columns(table)} FROM {source}")
    if not found:
        raise LakehouseError(
            f"There are no tables in {lake.uri}. Fill it first: `fruits run --images FOLDER --lake …`."
        )
    return connection


def _quoted(file: str) -> str:
    """A file's name as a SQL string that matches itself alone, for DuckDB takes it for a pattern."""
    literal = "".join(f"[{character}]" if character in "*?[" else character for character in file)
    return "'" + literal.replace("'", "''") + "'"


def _columns(table: Table) -> str:
    """The table's columns by name, for a merged file holds the change feed's too; time stamps as UTC without a zone.

    DuckDB computes with zones only where its extension is at hand.
    """
    times = {field.name for field in table.schema if isinstance(field.dataType, TimestampType)}
    return ", ".join(f"make_timestamp(epoch_us({n})) AS {n}" if n in times else n for n in table.schema.names)


def answer(lake: Lake, query: str) -> tuple[list[str], list[tuple[object, ...]]]:
    """The columns and rows of a query's answer.

    Raises:
        SettingsError: the query is wrong; the message is DuckDB's.
    """
    try:
        relation = connect(lake).sql(query)
        found: pa.Table = relation.to_arrow_table() if relation is not None else pa.table({})
    except duckdb.Error as error:
        raise SettingsError(str(error)) from error
    rows = zip(*(column.to_pylist() for column in found.columns), strict=True)
    return found.column_names, list(rows)


def print_answer(columns: Sequence[str], rows: Sequence[Sequence[object]], shape: SqlFormat) -> None:
    """Print an answer on stdout; bytes as base64 in csv and json."""
    if shape == SqlFormat.table:
        print_table(columns, rows)
    elif shape == SqlFormat.json:
        print_json([dict(zip(columns, map(_plain, row), strict=True)) for row in rows])
    else:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_plain(value) for value in row] for row in rows)


def _plain(value: object) -> object:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
