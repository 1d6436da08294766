"""`fruits sql`: DuckDB over the Delta tables, without Java."""

import base64
import csv
import sys
from collections.abc import Sequence
from enum import StrEnum

import duckdb

import bronze.tables
import gold.tables
import silver.tables
from fruits.console import print_json, print_table
from lakehouse import delta
from lakehouse.delta import Lake
from lakehouse.errors import LakehouseError, SettingsError

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
    connection = duckdb.connect(config={"TimeZone": "UTC"})
    found = False
    for table in TABLES:
        handle = delta.open_table(lake, table)
        if handle is None:
            continue
        found = True
        schema, name = table.name.split(".")
        connection.register(f"_{schema}_{name}", handle.to_pyarrow_dataset())
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        connection.execute(f"CREATE VIEW {schema}.{name} AS SELECT * FROM _{schema}_{name}")
    if not found:
        raise LakehouseError(
            f"There are no tables in {lake.uri}. Fill it first: `fruits run --images FOLDER --lake …`."
        )
    return connection


def answer(lake: Lake, query: str) -> tuple[list[str], list[tuple[object, ...]]]:
    """The columns and rows of a query's answer.

    Raises:
        SettingsError: the query is wrong; the message is DuckDB's.
    """
    try:
        found = connect(lake).execute(query).to_arrow_table()
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
