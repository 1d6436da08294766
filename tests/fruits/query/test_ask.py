"""`fruits sql`: answers in files, tables as they were, and queries from stdin."""

import csv
import io
import json
import os
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from fruits.catalog import TABLES
from fruits.query.answers import SHOWN
from fruits.query.ask import ask
from fruits.query.sql import Session, answer
from gold.tables import EXPLAINED_VARIANCE, MODELS
from lakehouse.errors import LakehouseError, SettingsError
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.history import parse_as_of
from tests.lakehouse.conftest import bucket, s3, s3_server  # noqa: F401 - fixtures

QUERY = "SELECT component, ratio FROM gold.explained_variance ORDER BY component"
COUNT = "SELECT count(*) AS n FROM gold.explained_variance"


def append(lake: Lake, component: int) -> None:
    """Commit one more row of `gold.explained_variance`."""
    row = {"pca_version": 1, "component": component, "variance": 1.0, "ratio": 0.5, "cumulative": 0.5 * component}
    rows = pa.Table.from_pylist([row], schema=EXPLAINED_VARIANCE.schema)
    delta.write_small(rows, lake, EXPLAINED_VARIANCE, mode="append")


def filled(uri: str) -> Lake:
    """A lake whose tables are new, but for two rows in one of them, each a commit."""
    lake = Lake(uri)
    delta.create(lake, TABLES)
    append(lake, 1)
    append(lake, 2)
    return lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """On a disk."""
    return filled(f"file://{tmp_path}/lake")


def commits(lake: Lake) -> list[datetime]:
    """When `gold.explained_variance` was created, and each of its rows written."""
    history = delta.existing(lake, EXPLAINED_VARIANCE).history()
    return sorted(datetime.fromtimestamp(commit["timestamp"] / 1000, UTC) for commit in history)


def counted(lake: Lake, as_of: str, query: str = COUNT) -> Any:
    """The number that a query answers with, of the tables as they were."""
    found = Session(lake, parse_as_of(as_of)).execute(query)
    assert found is not None
    ((count,),) = found.rows()
    return count


# ---- files ----------------------------------------------------------------------------------------------------------


def test_parquet_holds_the_answer_with_its_types(
    lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is written is read again as it was, and stdout stays empty."""
    ask(lake, QUERY, "parquet", tmp_path / "answer.parquet", None)
    found = parquet.read_table(tmp_path / "answer.parquet")
    assert found.to_pydict() == {"component": [1, 2], "ratio": [0.5, 0.5]}
    assert found.schema.types == [pa.int32(), pa.float64()]
    said = capsys.readouterr()
    assert (said.out, said.err.split()[:2]) == ("", ["2", "rows"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("answer.csv", "component,ratio\n1,0.5\n2,0.5\n"),
        ("answer.json", '[{"component": 1, "ratio": 0.5}, {"component": 2, "ratio": 0.5}]\n'),
    ],
)
def test_file_is_of_the_format_that_its_name_says(lake: Lake, tmp_path: Path, name: str, content: str) -> None:
    """Without `--format`, the file's ending says which."""
    ask(lake, QUERY, None, tmp_path / name, None)
    assert (tmp_path / name).read_text() == content


def test_csv_holds_no_formula(lake: Lake, tmp_path: Path) -> None:
    """What a spreadsheet would compute has an apostrophe before it; numbers are numbers."""
    texts = ["=1+1", "+1", "-x", "@sum", "\tx", "\uff1dx", "a=b", "'=1"]
    values = ", ".join(f"('{text.replace(chr(39), 2 * chr(39))}')" for text in texts)
    ask(lake, f"SELECT label, -1.5::DOUBLE AS n FROM (VALUES {values}) v(label)", None, tmp_path / "answer.csv", None)
    with (tmp_path / "answer.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    expected = [f"'{text}" for text in texts[:6]] + texts[6:]
    assert rows == [["label", "n"], *([text, "-1.5"] for text in expected)]


def test_empty_answer_is_a_file_too(lake: Lake, tmp_path: Path) -> None:
    """No rows: the columns, or an empty list."""
    for name in ("a.csv", "a.json", "a.parquet"):
        ask(lake, "SELECT path FROM bronze.images", None, tmp_path / name, None)
    assert (tmp_path / "a.csv").read_text() == "path\n"
    assert (tmp_path / "a.json").read_text() == "[]\n"
    assert parquet.read_table(tmp_path / "a.parquet").column_names == ["path"]


@pytest.mark.parametrize(
    ("shape", "output", "message"),
    [
        ("parquet", None, "Parquet is binary"),
        ("table", "answer.csv", "A table is for the eye"),
        ("xml", None, "table, csv, json, parquet"),
        (None, "answer.xlsx", r"answer\.xlsx is not known by its name"),
        ("csv", "nowhere/answer.csv", "nowhere/answer.csv cannot be written: No such file"),
    ],
)
def test_format_that_goes_nowhere_is_refused(
    lake: Lake, tmp_path: Path, shape: str | None, output: str | None, message: str
) -> None:
    """Nothing binary on stdout, no table in a file, no unknown format, no folder that is not there."""
    with pytest.raises(SettingsError, match=message):
        ask(lake, QUERY, shape, tmp_path / output if output else None, None)


def test_pipe_is_written_to_and_not_replaced(lake: Lake, tmp_path: Path) -> None:
    """As a device is: root who named one would have had a file in its place."""
    pipe = tmp_path / "answer.csv"
    os.mkfifo(pipe)
    with os.fdopen(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)) as reader:
        ask(lake, "SELECT 1 AS n", None, pipe, None)
        assert reader.read() == "n\n1\n"
    assert pipe.is_fifo()


def test_answer_is_written_where_a_link_points(lake: Lake, tmp_path: Path) -> None:
    """The link stays one; where links lead in a circle it is said."""
    (tmp_path / "answer.csv").symlink_to("real.txt")
    for _ in range(2):
        ask(lake, "SELECT 1 AS n", None, tmp_path / "answer.csv", None)
    assert (tmp_path / "answer.csv").readlink() == Path("real.txt")
    assert (tmp_path / "real.txt").read_text() == "n\n1\n"
    (tmp_path / "circle.csv").symlink_to("circle.csv")
    with pytest.raises(SettingsError, match=r"circle\.csv cannot be written: .* Links lead in a circle"):
        ask(lake, "SELECT 1 AS n", None, tmp_path / "circle.csv", None)
    assert [*tmp_path.glob(".*.unfinished")] == []


@pytest.mark.parametrize("queries", ["SELECT 1; SELECT 2", "SET threads = 1", ""])
def test_file_takes_one_answer(lake: Lake, tmp_path: Path, queries: str) -> None:
    """Two answers would need two files."""
    with pytest.raises(SettingsError, match="one query"):
        ask(lake, queries, None, tmp_path / "answer.csv", None)
    assert not (tmp_path / "answer.csv").exists()


def test_answer_that_breaks_off_leaves_the_file_as_it_was(lake: Lake, tmp_path: Path) -> None:
    """A query that fails in its middle takes nothing's place, and leaves nothing beside it."""
    (tmp_path / "answer.csv").write_text("before")
    failing = "SELECT CASE WHEN range < 500000 THEN range ELSE error('broken') END AS n FROM range(500001)"
    with pytest.raises(SettingsError, match="broken"):
        ask(lake, failing, None, tmp_path / "answer.csv", None)
    assert {path.name: path.read_text() for path in tmp_path.glob("*answer*")} == {"answer.csv": "before"}


def test_long_table_is_cut_and_says_so(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """The first rows, and how many there are in all; other formats hold every row."""
    ask(lake, "SELECT range AS n FROM range(5000)", None, None, None)
    said = capsys.readouterr()
    assert f"The first {SHOWN} of 5,000 rows" in said.err
    assert [line.strip() for line in said.out.splitlines() if line.strip().isdecimal()][-1] == str(SHOWN - 1)
    ask(lake, "SELECT range AS n FROM range(5000)", "csv", None, None)
    assert len(capsys.readouterr().out.splitlines()) == 5001


def test_wide_rows_stand_upright(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """A dozen columns side by side would be two letters wide: each has a line, with its value beside it."""
    model = dict.fromkeys(MODELS.schema.names) | {"pca_version": 7, "reason": "asked for"}
    rows = pa.Table.from_pylist([model], schema=MODELS.schema)
    delta.write_small(rows, lake, MODELS, mode="append")
    ask(lake, "SELECT * FROM gold.models", None, None, None)
    shown = capsys.readouterr().out
    assert re.search(r"pca_version +7 *\n", shown)
    assert re.search(r"reason +asked for *\n", shown)


# ---- tables as they were --------------------------------------------------------------------------------------------


def test_number_is_a_tables_version(lake: Lake) -> None:
    """Version 0 has no row, and each commit adds one."""
    assert [counted(lake, version) for version in "012"] == [0, 1, 2]


def test_table_without_that_version_is_named(lake: Lake) -> None:
    """Versions are each table's own: the one that lacks it is told, with its newest, and what to do."""
    with pytest.raises(SettingsError, match=r"gold\.models has no version 2: its newest is 0\..*name the moment"):
        counted(lake, "2", "SELECT count(*) FROM gold.models, gold.explained_variance")


def test_only_tables_that_are_named_need_the_version(lake: Lake) -> None:
    """`gold.models` has no version 2 and is not asked, even where all tables are looked at."""
    assert counted(lake, "2") == 2
    assert counted(lake, "2", "SELECT count(*) FROM duckdb_views() WHERE schema_name = 'gold'") == 1


def test_moment_is_that_of_the_commits(lake: Lake) -> None:
    """At its commit a row is there, just before it is not; files that were copied, with new times, change nothing."""
    _, first, second = commits(lake)
    for file in Path(lake.path(EXPLAINED_VARIANCE)).rglob("*"):
        os.utime(file, (0, 0))
    assert counted(lake, first.isoformat()) == 1
    assert counted(lake, (second - timedelta(milliseconds=1)).isoformat()) == 1
    assert counted(lake, second.isoformat()) == 2


def test_moment_without_zone_is_utc(lake: Lake) -> None:
    """The same moment in another zone, or naive."""
    first = commits(lake)[1]
    assert parse_as_of(first.replace(tzinfo=None).isoformat()) == first
    assert parse_as_of("2026-03-01T13:00+01:00") == parse_as_of("2026-03-01T12:00")
    assert parse_as_of("2026-03-01") == datetime(2026, 3, 1, tzinfo=UTC)


def test_table_that_was_not_there_is_named(lake: Lake) -> None:
    """Before it was created there is nothing to ask."""
    with pytest.raises(
        SettingsError, match=r"gold\.explained_variance has no version at 2001.*; its oldest commit is of "
    ):
        counted(lake, "2001-01-01")


@pytest.mark.parametrize("text", ["yesterday", "-1", "²", "", "2026-13-45", "0001-01-01T00:00+14:00"])
def test_text_that_is_neither_is_refused(text: str) -> None:
    """The message says what may stand there."""
    with pytest.raises(
        SettingsError, match=f"--as-of is '{re.escape(text)}'; it is a table's version, as 12, or a moment"
    ):
        parse_as_of(text)


def test_version_beyond_all_numbers_is_not_there(lake: Lake) -> None:
    """delta-rs has 64 bits for it."""
    with pytest.raises(SettingsError, match=r"gold\.explained_variance has no version 9{30}: its newest is "):
        counted(lake, "9" * 30)


def test_version_whose_files_are_gone_is_refused(lake: Lake) -> None:
    """After an erasure or a VACUUM an older version has a log and no files."""
    delta.write_small(EXPLAINED_VARIANCE.schema.empty_table(), lake, EXPLAINED_VARIANCE, mode="overwrite")
    delta.existing(lake, EXPLAINED_VARIANCE).vacuum(0, dry_run=False, enforce_retention_duration=False)
    with pytest.raises(SettingsError, match=r"version 2 can no longer be read: 2 of its 2 files are gone"):
        counted(lake, "2")
    assert counted(lake, "3") == 0


def check_that_a_session_sees_changes(lake: Lake) -> None:
    """Ask twice, with a commit in between."""
    session = Session(lake)
    session.execute("CREATE TEMP TABLE kept AS SELECT 7 AS n")
    for rows in (2, 3):
        found = session.execute("SELECT count(*), max(n) FROM gold.explained_variance, kept")
        assert found is not None
        assert list(found.rows()) == [(rows, 7)]
        append(lake, rows + 1)


def test_session_sees_what_is_written_meanwhile(lake: Lake) -> None:
    """Each statement looks at the tables anew, and what the session made itself stays."""
    check_that_a_session_sees_changes(lake)


def test_answer_may_be_left_half_read(lake: Lake) -> None:
    """The next statement is answered all the same."""
    session = Session(lake)
    found = session.execute("SELECT range FROM range(1000000)")
    assert found is not None
    assert next(found.rows()) == (0,)
    assert counted(lake, "1") == 1
    again = session.execute(COUNT)
    assert again is not None
    assert list(again.rows()) == [(2,)]


def test_table_that_is_not_made_yet_is_named(tmp_path: Path) -> None:
    """After bronze alone gold has no tables: who asks for one is told, and not that the lake is empty."""
    lake = Lake(f"file://{tmp_path}/lake")
    delta.create(lake, TABLES[:2])
    with pytest.raises(LakehouseError, match=r"gold\.models is not in .* yet"):
        answer(lake, f"SELECT * FROM bronze.images, {MODELS.name}")


@pytest.mark.parametrize("query", ['SELECT n FROM gold."models"', "SELECT n\nFROM GOLD . MODELS"])
def test_wrong_query_shows_where(lake: Lake, query: str) -> None:
    """DuckDB's message, with the line and a mark under the word."""
    with pytest.raises(SettingsError, match=r'(?s)"n" not found.*LINE 1: SELECT n.*\n +\^'):
        answer(lake, query)


def test_lake_on_s3_is_asked_in_the_same_way(bucket: str, tmp_path: Path) -> None:  # noqa: F811
    """As it is, as it was, into a file, and by one session."""
    lake = filled(f"s3://{bucket}/lake")
    assert [counted(lake, version) for version in "012"] == [0, 1, 2]
    assert counted(lake, commits(lake)[1].isoformat()) == 1
    with pytest.raises(SettingsError, match="has no version"):
        counted(lake, "2001-01-01")
    ask(lake, QUERY, None, tmp_path / "answer.json", None)
    assert [row["component"] for row in json.loads((tmp_path / "answer.json").read_text())] == [1, 2]
    check_that_a_session_sees_changes(lake)


# ---- stdin ----------------------------------------------------------------------------------------------------------


def test_queries_come_from_stdin(
    lake: Lake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no query is named and stdin is no terminal, each of its statements is answered in turn."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"-- two\n{COUNT};\nSET threads = 2;\nSELECT 'a;b' AS text\n;"))
    ask(lake, None, "json", None, None)
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert answers == [[{"n": 2}], [{"text": "a;b"}]]
