"""`fruits sql`: DuckDB over the Delta tables, in three formats, and errors that are the asker's."""

import base64
import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pytest

import bronze.tables
from fruits.catalog import ALL_TABLES
from fruits.console import SqlFormat
from fruits.query.answers import print_answer
from fruits.query.sql import answer
from fruits.settings import load_settings
from gold.tables import EXPLAINED_VARIANCE, MODELS
from lakehouse.engine import open_engine
from lakehouse.errors import LakehouseError, SettingsError
from lakehouse.progress import NullProgress
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import Table

QUERY = "SELECT component, ratio FROM gold.explained_variance ORDER BY component"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with all tables, and two components in one of them."""
    lake = Lake(str(tmp_path / "lake"))
    delta.create(lake, ALL_TABLES)
    rows = [
        {"pca_version": 1, "component": number, "variance": 2.0, "ratio": ratio, "cumulative": ratio}
        for number, ratio in ((1, 0.75), (2, 0.25))
    ]
    delta.write_small(
        pa.Table.from_pylist(rows, schema=EXPLAINED_VARIANCE.schema),
        lake,
        EXPLAINED_VARIANCE,
        mode="append",
    )
    return lake


def test_answer_has_columns_and_rows(lake: Lake) -> None:
    """A query over a table by its name returns column names and rows."""
    assert answer(lake, QUERY) == (["component", "ratio"], [(1, 0.75), (2, 0.25)])


@pytest.mark.parametrize("table", ALL_TABLES, ids=lambda table: table.name)
def test_every_table_can_be_asked(lake: Lake, table: Table) -> None:
    """Each table is there under its name, with its columns in order, even while it is empty."""
    columns, _ = answer(lake, f"SELECT * FROM {table.name}")
    assert columns == table.schema.names


def test_rows_that_were_merged_are_rows_like_others(lake: Lake, engine_name: str) -> None:
    """With the change feed on, Spark's MERGE writes files with one more column, `_change_type`: it is none of ours."""
    engine = open_engine(load_settings(lake=lake.uri, engine=engine_name), lake, NullProgress())
    for thresholds in ({1: 0.75, 2: 0.25}, {2: 0.5, 3: 0.5}):
        fits = [{"pca_version": version, "threshold": threshold} for version, threshold in thresholds.items()]
        engine.merge(engine.of(pa.Table.from_pylist(fits, schema=MODELS.schema)), MODELS)
    engine.close()
    columns, rows = answer(lake, "SELECT * FROM gold.models ORDER BY pca_version")
    assert columns == MODELS.schema.names
    at = columns.index("threshold")
    assert [(row[0], row[at]) for row in rows] == [(1, 0.75), (2, 0.5), (3, 0.5)]


def test_tables_join_across_layers(lake: Lake) -> None:
    """One query may read several layers."""
    query = "SELECT count(*) FROM bronze.images JOIN silver.features USING (path) JOIN gold.projections USING (path)"
    assert answer(lake, query) == (["count_star()"], [(0,)])


def test_json_is_one_list_of_objects(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """A program reads rows by column name."""
    print_answer(*answer(lake, QUERY), SqlFormat.json)
    assert json.loads(capsys.readouterr().out) == [{"component": 1, "ratio": 0.75}, {"component": 2, "ratio": 0.25}]


def test_csv_has_a_header_and_quotes_what_needs_it(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """Csv survives commas, quotes and line breaks in values, and tells null as an empty field."""
    print_answer(*answer(lake, "SELECT 'a,\"b\"\nc' AS text, NULL AS nothing, 1 AS one"), SqlFormat.csv)
    assert [*csv.reader(io.StringIO(capsys.readouterr().out))] == [["text", "nothing", "one"], ['a,"b"\nc', "", "1"]]


def test_table_is_for_the_eye(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """The table shows columns and values."""
    print_answer(*answer(lake, QUERY), SqlFormat.table)
    shown = capsys.readouterr().out
    for text in ("component", "ratio", "0.75", "0.25"):
        assert text in shown


def test_table_shows_text_as_it_stands(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """A value in square brackets, such as a folder's name, is text and not markup."""
    print_answer(*answer(lake, "SELECT '/fruits [red]/x[/].png' AS path"), SqlFormat.table)
    assert "/fruits [red]/x[/].png" in capsys.readouterr().out


@pytest.mark.parametrize("shape", [SqlFormat.csv, SqlFormat.json])
def test_bytes_are_base64(lake: Lake, capsys: pytest.CaptureFixture[str], shape: SqlFormat) -> None:
    """Bytes survive a text format as base64."""
    print_answer(*answer(lake, "SELECT '\\xFF\\x00'::BLOB AS content"), shape)
    assert base64.b64encode(b"\xff\x00").decode() in capsys.readouterr().out


def test_dates_and_lists_survive_json(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """Time stamps become text and lists stay lists."""
    print_answer(
        *answer(lake, "SELECT TIMESTAMP '2026-01-02 03:04:05' AS t, [1.5, 2.5]::DOUBLE[] AS l"), SqlFormat.json
    )
    assert json.loads(capsys.readouterr().out) == [{"t": "2026-01-02 03:04:05", "l": [1.5, 2.5]}]


def test_decimals_are_numbers_in_json(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """DuckDB makes DECIMAL of a literal such as 1.5: a program still reads a number."""
    print_answer(*answer(lake, "SELECT count(*) * 1.5 AS n FROM gold.explained_variance"), SqlFormat.json)
    assert json.loads(capsys.readouterr().out) == [{"n": 3.0}]


@pytest.mark.parametrize(
    ("query", "message"),
    [("SELECT nothing FROM gold.models", "nothing"), ("SELEC 1", "syntax error"), ("SELECT * FROM gold.none", "none")],
)
def test_wrong_query_is_the_askers_mistake(lake: Lake, query: str, message: str) -> None:
    """DuckDB's own message, as an error of the call."""
    with pytest.raises(SettingsError, match=message):
        answer(lake, query)


def test_query_changes_nothing(lake: Lake) -> None:
    """The tables are views: they can be read and not written."""
    version = delta.existing(lake, EXPLAINED_VARIANCE).version()
    with pytest.raises(SettingsError, match=r"(?i)view|not a table|delete"):
        answer(lake, "DELETE FROM gold.explained_variance")
    assert delta.existing(lake, EXPLAINED_VARIANCE).version() == version


def test_lake_without_tables_says_how_to_fill_it(tmp_path: Path) -> None:
    """An empty lake is an error that says what to run."""
    with pytest.raises(LakehouseError, match=r"There are no tables in .*fruits run --images"):
        answer(Lake(str(tmp_path / "none")), "SELECT 1")


def test_lake_with_some_tables_answers_for_those(tmp_path: Path) -> None:
    """After bronze alone its tables can be asked."""
    lake = Lake(str(tmp_path / "lake"))
    delta.create(lake, bronze.tables.TABLES)
    assert answer(lake, "SELECT count(*) AS n FROM bronze.images") == (["n"], [(0,)])
