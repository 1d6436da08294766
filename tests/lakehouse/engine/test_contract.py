"""The laws of `lakehouse.engine.port`, held by every engine."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruits.settings import load_settings
from lakehouse.engine import open_engine
from lakehouse.engine.port import (
    CHANGE,
    CancelledError,
    Counts,
    Engine,
    FunctionError,
    HistoryLostError,
    Rows,
    Value,
    Work,
)
from lakehouse.errors import LakehouseError, LeaseLostError
from lakehouse.progress import NullProgress
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from tests.lakehouse.engine.conftest import Guard, Notes
from tests.lakehouse.engine.fruit import (
    CONTENT,
    DOUBLED,
    FRUIT,
    NARROW,
    READ,
    CombinedSums,
    Doubling,
    Reading,
    WeightSums,
    by_path,
    fruit,
    held,
    many,
)

ALL = FRUIT.schema.names
AB = fruit(("a", "1", 1), ("b", "2", 2))


RENAMED = pa.schema([("path", pa.string()), ("batch", pa.int64()), ("content", pa.binary())])


def renamed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """A function: each row by the name that went along."""
    for batch in batches:
        columns = [batch.column(name) for name in ("name", "batch", "content")]
        yield pa.RecordBatch.from_arrays(columns, schema=RENAMED)


def version(lake: Lake) -> int:
    """The table's newest version."""
    return delta.existing(lake, FRUIT).version()


def parquet_files(lake: Lake) -> set[str]:
    """All data files in the table's folder, whether or not they are a part of it."""
    return {path.name for path in Path(lake.path(FRUIT)).glob("*.parquet")}


def read(engine: Engine, rows: Rows) -> list[dict[str, Any]]:
    """Rows, in the order of their paths."""
    return by_path(engine.arrow(rows))


# ---- rows -----------------------------------------------------------------------------------------------------------


def test_table_without_rows_has_none(engine: Engine) -> None:
    """Neither at once nor through a query."""
    nothing = engine.rows(FRUIT, ALL)
    assert (nothing.columns, engine.arrow(nothing).num_rows) == (ALL, 0)
    count = engine.sql("SELECT count(*) AS n FROM fruit", fruit=engine.rows(FRUIT, ["path"]))
    assert engine.arrow(count).to_pylist() == [{"n": 0}]


def test_appended_rows_come_back_as_they_were(engine: Engine, lake: Lake) -> None:
    """Every type, nulls and instants to the microsecond; to this engine and to delta-rs' own reader."""
    rows = fruit(("a é 🍎", "1", 1), ("b", None, 3))
    assert engine.append(engine.of(rows), FRUIT) == 2
    assert read(engine, engine.rows(FRUIT, ALL)) == by_path(rows) == held(lake)
    assert engine.arrow(engine.rows(FRUIT, ["batch"])).column_names == ["batch"]


def test_rows_are_those_of_when_they_were_asked_for(engine: Engine) -> None:
    """Later commits change nothing, and an older version is read by its number."""
    engine.append(engine.of(fruit(("a", "1", 1))), FRUIT)
    before = engine.rows(FRUIT, ["path", "sha256"])
    engine.merge(engine.of(fruit(("a", "9", 2), ("b", "2", 2))), FRUIT)
    assert read(engine, before) == [{"path": "a", "sha256": "1"}]
    assert read(engine, engine.rows(FRUIT, ["sha256", "path"], version=1)) == [{"sha256": "1", "path": "a"}]
    assert len(read(engine, engine.rows(FRUIT, ["path"]))) == 2


@pytest.mark.parametrize(
    ("among", "expected"),
    [
        ({"path": ["fruit 000003", "fruit 000011", "nowhere", "fruit 000003"]}, [3, 11]),
        ({"path": ["fruit 000003", "fruit 000011"], "batch": [3, 3]}, [3]),
        ({"path": pa.array([], pa.string())}, []),
        ({"batch": [5, 17]}, [5, 17]),
    ],
    ids=["keys", "pairs", "none", "another column"],
)
def test_rows_among_others_are_found_in_whatever_file(
    engine: Engine, among: dict[str, Any], expected: list[int]
) -> None:
    """By one column or by several together; those that are not there, and doubles, are no rows."""
    for first in (0, 10):
        engine.append(engine.of(many(10, first)), FRUIT)
    wanted = engine.of(pa.table(among))
    found = engine.rows(FRUIT, ["path", "batch", "content"], among=wanted)
    assert [row["batch"] for row in read(engine, found)] == expected
    assert [row["content"] for row in read(engine, found)] == [f"{number:x}".encode() * 3 for number in expected]


@pytest.mark.parametrize("keys", [["sha256"], ["sha256", "batch"]])
def test_columns_go_along_with_the_rows_that_match(engine: Engine, keys: list[str], tmp_path: Path) -> None:
    """Of few rows or of all, in whatever file, to a function in whatever process."""
    for first in (0, 150):
        engine.append(engine.of(many(150, first)), FRUIT)
    for wanted in ([3, 290], range(0, 300)):
        among = many(300).select(["path", *keys]).take(pa.array([*wanted])).rename_columns(["name", *keys])
        among = among.select([*keys, "name"]).append_column("length", pa.array([1] * len(wanted)))
        columns = ["sha256", "batch", "content"]
        rows = engine.rows(FRUIT, columns, among=engine.of(among), along=["name", "length"])
        assert rows.columns == [*columns, "name", "length"]
        found = engine.arrow(engine.map(rows, renamed, RENAMED, Work("named", len(wanted), 0, weight="batch")))
        assert sorted(zip(*found.to_pydict().values(), strict=True)) == [
            (f"fruit {n:06}", n, f"{n:x}".encode() * 3) for n in wanted
        ]


# ---- SQL ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    ["it's", 'a "b"', "back\\slash\\n", "${spark.master}", ":other", "漢 🍎", "%_*?[x]{y}", "", 7, -2.5, True, None],
)
def test_values_are_taken_as_they_are(engine: Engine, value: Value) -> None:
    """Whatever they hold: nothing in one is read as SQL, as a variable or as a pattern."""
    found = engine.arrow(
        engine.sql("SELECT path, :value AS value FROM a WHERE path = 'a'", {"value": value}, a=engine.of(AB))
    )
    (row,) = found.to_pylist()
    assert row["path"] == "a"
    assert (float(row["value"]) if isinstance(value, float) else row["value"]) == value


def test_queries_mean_the_same(engine: Engine) -> None:
    """What the jobs are written in: outer joins, null-safe comparison, windows, sums, text by its characters."""
    ours, theirs = (
        fruit(("a🍎1", "1", 1), ("b", None, 2), ("c", "3", 3)),
        fruit(("b", None, 2), ("c", "4", 3), ("d", "5", 4)),
    )
    found = engine.sql(
        """
        WITH both_sides AS (
            SELECT coalesce(o.path, t.path) AS path, o.path IS NULL AS gone,
                   o.sha256 IS DISTINCT FROM t.sha256 AS differs,
                   substr(coalesce(o.path, t.path), 1, :two) AS start, o.batch
            FROM ours o FULL OUTER JOIN theirs t ON o.path = t.path
        )
        SELECT path, gone, differs, start, row_number() OVER (PARTITION BY gone ORDER BY path) AS place,
               CASE WHEN contains(path, :apple) THEN 'apple' WHEN batch IN (2, 3) THEN 'later' END AS kind
        FROM both_sides
        """,
        {"two": 2, "apple": "🍎"},
        ours=engine.of(ours),
        theirs=engine.of(theirs),
    )
    assert [tuple(row.values()) for row in read(engine, found)] == [
        ("a🍎1", False, True, "a🍎", 1, "apple"),
        ("b", False, False, "b", 2, "later"),
        ("c", False, True, "c", 3, "later"),
        ("d", True, True, "d", 1, None),
    ]
    sums = engine.sql(
        """
        SELECT count(*) AS n, count(sha256) AS known, CAST(sum(batch) AS BIGINT) AS batches, bit_xor(batch) AS mixed,
               count(*) FILTER (WHERE batch > 1) AS later FROM ours
        """,
        ours=engine.of(ours),
    )
    assert engine.arrow(sums).to_pylist() == [{"n": 3, "known": 2, "batches": 6, "mixed": 0, "later": 2}]


def test_kept_rows_are_computed_once_for_all_that_use_them(engine: Engine, tmp_path: Path) -> None:
    """Queries and tables alike; in one query they may also be named twice."""
    function = Doubling(tmp_path)
    with engine.kept(engine.map(engine.of(AB), function, DOUBLED)) as kept:
        for _ in range(2):
            sums = engine.sql("SELECT CAST(sum(twice) AS BIGINT) AS n FROM d", d=kept)
            assert engine.arrow(sums).to_pylist() == [{"n": 6}]
        assert len(engine.arrow(kept)) == 2
        assert sorted(function.seen()) == ["a", "b"]
        pairs = engine.sql("SELECT x.path, y.twice FROM d x JOIN d y ON x.path = y.path", d=kept)
        assert read(engine, pairs) == [{"path": "a", "twice": 2}, {"path": "b", "twice": 4}]


# ---- functions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("costly", [False, True])
@pytest.mark.parametrize("count", [0, 1, 500])
@pytest.mark.parametrize("stored", [False, True])
def test_function_is_given_each_row_once(
    engine: Engine, notes: Notes, tmp_path: Path, costly: bool, count: int, stored: bool
) -> None:
    """Rows of a table or of memory, in one process or in several; the progress grows to the number of rows."""
    rows = many(count)
    given = engine.of(rows)
    if stored:
        engine.append(given, FRUIT)
        given = engine.rows(FRUIT, ["path", "batch", "content"])
    function = Doubling(tmp_path)
    work = Work("fruit doubled", count, 1000 * count, weight="batch") if costly else None
    found = read(engine, engine.map(given, function, DOUBLED, work))
    assert found == [{"path": f"fruit {n:06}", "twice": 2 * n} for n in range(count)]
    assert sorted(function.seen()) == [row["path"] for row in found]
    if costly:
        assert notes.stages == [("fruit doubled", count)]
        assert notes.shown == sorted(notes.shown)
        assert notes.shown[-1:] == ([count] if count else notes.shown[-1:])


@pytest.mark.parametrize("count", [3, 200])
def test_functions_error_ends_the_result_and_says_what_it_was(
    engine: Engine, lake: Lake, tmp_path: Path, count: int
) -> None:
    """Type, words and notes in one line; nothing is committed, and no file is left."""
    function = Doubling(tmp_path, raises="fruit 000002")
    rows = engine.map(engine.of(many(count)), function, DOUBLED, Work("doubled", count, 0))
    made = engine.sql(
        "SELECT path, 'x' AS label, 'x' AS sha256, picked, twice AS batch, weights, content FROM d, one",
        d=rows,
        one=engine.of(fruit(("z", "1", 1)).select(["picked", "weights", "content"])),
    )
    with pytest.raises(FunctionError, match=r"A task failed: ValueError: it is sour The fruit is fruit 000002\."):
        engine.append(made, FRUIT)
    assert (version(lake), held(lake)) == (0, [])
    with pytest.raises(LakehouseError, match=r"The store is closed\."):
        engine.arrow(engine.map(engine.of(AB), Doubling(tmp_path, lacks="b"), DOUBLED, Work("doubled", 2, 0)))


@pytest.mark.parametrize("count", [0, 1, 300])
def test_folded_rows_are_a_few_partial_results(engine: Engine, count: int) -> None:
    """Over all rows, however they are cut."""
    if count:
        engine.append(engine.of(many(count)), FRUIT)
    partials = engine.fold(engine.rows(FRUIT, ["weights"]), WeightSums(), CombinedSums())
    found = [*CombinedSums()(iter(partials))]
    expected = [{"rows": count, "sums": [count * (count - 1) / 2, count / 2]}] if count else []
    assert [row for batch in found for row in batch.to_pylist()] == expected


# ---- commits --------------------------------------------------------------------------------------------------------


def test_merge_inserts_and_updates_in_one_commit(engine: Engine, lake: Lake) -> None:
    """Counted; what is not named stays, and no rows are no commit."""
    engine.append(engine.of(AB), FRUIT)
    before = version(lake)
    assert engine.merge(engine.of(fruit(("b", "3", 3), ("c", "4", 4))), FRUIT) == Counts(inserted=1, updated=1)
    assert held(lake) == by_path(fruit(("a", "1", 1), ("b", "3", 3), ("c", "4", 4)))
    assert version(lake) == before + 1
    assert engine.merge(engine.of(FRUIT.schema.empty_table()), FRUIT) == Counts()
    assert version(lake) == before + 1


def test_merge_touches_a_row_whose_content_is_the_same(engine: Engine, lake: Lake) -> None:
    """Some columns alone follow; other content replaces the row, and a new key is inserted."""
    engine.append(engine.of(AB), FRUIT)
    engine.append(engine.of(fruit(("unknown", None, 1))), FRUIT)
    new = fruit(("a", "1", 7), ("b", "3", 8), ("c", "1", 9), ("unknown", None, 7), weights=[1.0, 0.5])
    assert engine.merge(engine.of(new), FRUIT, touch=["picked"]).inserted == 1
    a, _, b, c, unknown = [*by_path(AB), *by_path(new)[1:]]
    picked = {"picked": by_path(new)[0]["picked"]}
    without_content = by_path(fruit(("unknown", None, 1)))[0]
    assert held(lake) == [a | picked, b, c, without_content | picked]
    assert unknown["batch"] == 7


@pytest.fixture
def apart(engine: Engine, lake: Lake, tmp_path: Path) -> Callable[..., tuple[Counts, list[str]]]:
    """Write fruit and what it holds to two tables; returns what was counted, and what was read meanwhile."""
    delta.create(lake, [NARROW, CONTENT])

    def write(*rows: tuple[str, str, int], **options: Any) -> tuple[Counts, list[str]]:
        folder = tmp_path / f"{len([*tmp_path.iterdir()])}"
        folder.mkdir()
        given = engine.of(fruit(*rows).select(["path", "sha256", "batch"]))
        read = engine.map(given, Reading(folder), READ, Work("fruit read", len(rows), 0))
        known = engine.rows(CONTENT, ["sha256"])
        return engine.write_apart(read, NARROW, CONTENT, known, **options), sorted(Reading(folder).seen())

    return write


def contents(lake: Lake) -> list[tuple[str, int]]:
    """What the contents' table holds: keys and first batches."""
    rows = held(lake, table=CONTENT)
    assert all(row["content"] == row["sha256"].encode() * 3 for row in rows)
    return [(row["sha256"], row["first_batch"]) for row in rows]


def narrow(*rows: tuple[str, str, int]) -> list[dict[str, Any]]:
    """Fruit without what it holds."""
    return by_path(fruit(*rows, weights=[1.0, 0.5]).drop_columns(["content"]))


def test_contents_are_written_once_apart_from_what_describes_them(
    lake: Lake, apart: Callable[..., tuple[Counts, list[str]]]
) -> None:
    """In one pass, copies and known ones not again; where nothing is there, nothing is committed."""
    first, second = [("a", "1", 1), ("b", "2", 1), ("c", "1", 1)], [("d", "2", 2), ("e", "3", 2)]
    assert apart(*first) == (Counts(inserted=3), ["a", "b", "c"])
    assert apart(*second) == (Counts(inserted=2), ["d", "e"])
    assert (held(lake, table=NARROW), contents(lake)) == (narrow(*first, *second), [("1", 1), ("2", 1), ("3", 2)])
    versions = [delta.existing(lake, table).version() for table in (NARROW, CONTENT)]
    assert apart() == (Counts(), [])
    assert apart(("f", "3", 3)) == (Counts(inserted=1), ["f"])
    assert [delta.existing(lake, table).version() for table in (NARROW, CONTENT)] == [versions[0] + 1, versions[1]]


def test_what_describes_contents_is_merged(lake: Lake, apart: Callable[..., tuple[Counts, list[str]]]) -> None:
    """One is touched, one has other content, one that of another by now, and one is new."""
    apart(("a", "1", 1), ("b", "2", 1), ("c", "3", 1))
    files = delta.data_files(lake, CONTENT)
    counts, _ = apart(("a", "1", 2), ("b", "4", 2), ("c", "1", 2), ("d", "2", 2), touch=["picked"])
    assert counts.inserted == 1
    touched = narrow(("a", "1", 1))[0] | {"picked": narrow(("a", "1", 2))[0]["picked"]}
    assert held(lake, table=NARROW) == [touched, *narrow(("b", "4", 2), ("c", "1", 2), ("d", "2", 2))]
    assert contents(lake) == [("1", 1), ("2", 1), ("3", 1), ("4", 2)]
    assert {*files} < {*delta.data_files(lake, CONTENT)}


def test_death_between_contents_and_what_describes_them_is_made_good(
    lake: Lake, apart: Callable[..., tuple[Counts, list[str]]]
) -> None:
    """No row is without its content, and the next call does not write it again."""

    class DiedError(BaseException):
        pass

    def die() -> None:
        raise DiedError

    with pytest.raises(DiedError):
        apart(("a", "1", 1), ("b", "2", 1), between=die)
    assert (held(lake, table=NARROW), contents(lake)) == ([], [("1", 1), ("2", 1)])
    apart(("a", "1", 1), ("b", "2", 1), ("c", "3", 1))
    assert held(lake, table=NARROW) == narrow(("a", "1", 1), ("b", "2", 1), ("c", "3", 1))
    assert contents(lake) == [("1", 1), ("2", 1), ("3", 1)]


def test_update_sets_columns_of_rows_that_are_there_in_one_commit(engine: Engine, lake: Lake) -> None:
    """Counted; nulls are set too, other columns stay as they are, and keys that are not there are no commit."""
    engine.append(engine.of(many(5)), FRUIT)
    engine.append(engine.of(many(5, 5)), FRUIT)
    before, rows = version(lake), held(lake)
    labels = pa.table(
        {"label": ["Kiwi", None, "Pear"], "path": ["fruit 000002", "fruit 000007", "nowhere"], "batch": [20, 70, 0]}
    )
    assert engine.update(engine.of(labels), FRUIT) == 2
    rows[2] |= {"label": "Kiwi", "batch": 20}
    rows[7] |= {"label": None, "batch": 70}
    assert held(lake) == rows
    assert (version(lake), delta.maximum(lake, FRUIT, "batch")) == (before + 1, 70)
    assert engine.update(engine.of(labels.slice(2)), FRUIT) == 0
    assert version(lake) == before + 1


def test_update_writes_only_files_that_hold_a_row(engine: Engine, lake: Lake) -> None:
    """What it costs is the size of these."""
    for first in (0, 5):
        engine.append(engine.of(many(5, first)), FRUIT)
    before = {file.name for file in delta.snapshot(lake, FRUIT)}
    engine.update(engine.of(pa.table({"path": ["fruit 000007"], "label": ["Kiwi"]})), FRUIT)
    assert len(before - {file.name for file in delta.snapshot(lake, FRUIT)}) == 1


def test_columns_added_to_a_table_are_null_in_older_rows(engine: Engine, lake: Lake) -> None:
    """Read, compared, merged, updated and deleted like any other; `delta.create` adds them."""
    engine.append(engine.of(many(4)), FRUIT)
    schema = FRUIT.schema.append(pa.field("sort", pa.string())).append(pa.field("ripe", pa.bool_()))
    wider = replace(FRUIT, schema=schema, added=("sort", "ripe"))
    delta.create(lake, [wider])
    before = delta.existing(lake, wider).version()
    delta.create(lake, [wider])
    assert delta.existing(lake, wider).version() == before
    assert engine.arrow(engine.rows(wider, ["sort", "ripe"])).to_pylist() == [{"sort": None, "ripe": None}] * 4
    ripe = pa.table({"path": ["fruit 000001"], "sort": ["red"], "ripe": [True]})
    assert engine.update(engine.of(ripe), wider) == 1
    (row,) = many(1, 9).to_pylist()
    new = pa.Table.from_pylist([row | {"sort": "green", "ripe": False}], schema)
    assert engine.merge(engine.of(new), wider) == Counts(inserted=1)
    assert engine.delete(engine.of(pa.table({"path": ["fruit 000003"]})), wider) == 1
    query = "SELECT path, sort FROM fruit WHERE ripe IS NULL OR sort = 'red'"
    found = engine.sql(query, fruit=engine.rows(wider, ["path", "sort", "ripe"]))
    assert [(row["path"][-1], row["sort"]) for row in read(engine, found)] == [("0", None), ("1", "red"), ("2", None)]
    assert sorted(row["path"][-1] for row in delta.read_rows(lake, wider, ["path"])) == ["0", "1", "2", "9"]


def test_delete_removes_rows_by_key_in_one_commit(engine: Engine, lake: Lake) -> None:
    """Counted; keys may have other columns beside them, and keys that are not there are no commit."""
    engine.append(engine.of(many(5)), FRUIT)
    engine.append(engine.of(many(5, 5)), FRUIT)
    before = version(lake)
    keys = engine.of(fruit(("fruit 000002", None, 0), ("fruit 000007", "x", 1), ("nowhere", "1", 1)))
    assert engine.delete(keys, FRUIT) == 2
    assert [row["batch"] for row in held(lake)] == [0, 1, 3, 4, 5, 6, 8, 9]
    assert version(lake) == before + 1
    assert engine.delete(keys, FRUIT) == 0
    assert version(lake) == before + 1
    assert delta.count(lake, FRUIT) == 8


def test_replace_leaves_the_new_rows_alone_in_one_commit(engine: Engine, lake: Lake) -> None:
    """Also no rows at all; the old ones stay readable as they were."""
    engine.append(engine.of(AB), FRUIT)
    assert engine.replace(engine.of(fruit(("c", "3", 3))), FRUIT) == 1
    assert [row["path"] for row in held(lake)] == ["c"]
    assert engine.replace(engine.of(FRUIT.schema.empty_table()), FRUIT) == 0
    assert (held(lake), version(lake), held(lake, 1)) == ([], 3, by_path(AB))
    assert engine.append(engine.of(FRUIT.schema.empty_table()), FRUIT) == 0
    assert version(lake) == 3


def test_logs_statistics_are_those_of_the_rows(engine: Engine, lake: Lake) -> None:
    """Count, greatest and versions, after every kind of write; none is kept of columns that the table does not name."""
    engine.append(engine.of(many(5)), FRUIT)
    assert (delta.count(lake, FRUIT), delta.maximum(lake, FRUIT, "batch")) == (5, 4)
    engine.merge(engine.of(fruit(("fruit 000004", "x", 9))), FRUIT)
    assert (delta.count(lake, FRUIT), delta.maximum(lake, FRUIT, "batch")) == (5, 9)
    engine.replace(engine.of(many(2, 7)), FRUIT)
    assert (delta.count(lake, FRUIT), delta.maximum(lake, FRUIT, "batch")) == (2, 8)
    (file, *_) = delta.snapshot(lake, FRUIT)
    assert {*file.minimum} <= {*FRUIT.statistics}
    assert {*delta.versions(lake, FRUIT, "batch")} <= {7, 8}


@pytest.mark.parametrize("verb", ["append", "replace", "merge", "update", "delete"])
def test_marks_are_in_the_commit_itself(engine: Engine, lake: Lake, verb: str) -> None:
    """Read by `delta.metadata` until the next commit."""
    engine.append(engine.of(AB), FRUIT)
    words = {"fruits.follows": 'it\'s "me"', "another": "é"}
    getattr(engine, verb)(engine.of(AB.slice(0, 1)), FRUIT, words)
    assert words.items() <= {**delta.metadata(lake, FRUIT)}.items()
    engine.append(engine.of(fruit(("c", "1", 1))), FRUIT)
    assert not {**delta.metadata(lake, FRUIT)}.keys() & words.keys()


@pytest.mark.parametrize("verb", ["append", "replace", "merge", "update", "delete"])
def test_guard_that_raises_keeps_the_commit_back(engine: Engine, lake: Lake, guard: Guard, verb: str) -> None:
    """The table is as it was, and what was written for the commit is gone or was never there."""
    engine.append(engine.of(AB), FRUIT)
    before, files = held(lake), parquet_files(lake)
    guard.error = LeaseLostError("The lease is lost.")
    with pytest.raises(LeaseLostError):
        getattr(engine, verb)(engine.of(AB.slice(0, 1)), FRUIT)
    assert (version(lake), held(lake), parquet_files(lake)) == (1, before, files)


# ---- history --------------------------------------------------------------------------------------------------------


def net(engine: Engine, first: int, last: int) -> dict[tuple[str, float], int]:
    """What the changes between two versions sum up to, by path and first weight; what comes to nothing is left out."""
    sums: dict[tuple[str, float], int] = {}
    for row in engine.arrow(engine.changes(FRUIT, ["path", "weights"], first, last)).to_pylist():
        sign = {"insert": 1, "update_postimage": 1, "delete": -1, "update_preimage": -1}[row[CHANGE]]
        key = (row["path"], row["weights"][0])
        sums[key] = sums.get(key, 0) + sign
    return {key: count for key, count in sums.items() if count}


def test_changes_sum_up_to_the_difference(engine: Engine, lake: Lake) -> None:
    """Between any two versions, over every kind of commit, commits without data among them."""
    engine.append(engine.of(many(4)), FRUIT)
    engine.merge(engine.of(fruit(("fruit 000001", "x", 7), ("new", "y", 8))), FRUIT)
    engine.delete(engine.of(pa.table({"path": ["fruit 000002"]})), FRUIT)
    delta.write_metadata(lake, FRUIT, {"a": "b"})
    before = version(lake)
    engine.replace(engine.of(fruit(("new", "z", 8), ("other", "y", 9))), FRUIT)
    assert net(engine, 0, 1) == {(f"fruit {n:06}", n): 1 for n in range(4)}
    assert net(engine, 1, 2) == {("fruit 000001", 1): -1, ("fruit 000001", 7): 1, ("new", 8): 1}
    assert net(engine, 2, before) == {("fruit 000002", 2): -1}
    assert net(engine, before - 1, before) == {}
    after = {("fruit 000000", 0): -1, ("fruit 000001", 7): -1, ("fruit 000003", 3): -1, ("other", 9): 1}
    assert net(engine, before, version(lake)) == after


def test_lost_history_is_told_as_that(engine: Engine, lake: Lake) -> None:
    """Where files of an older version are gone; the newest is read as before."""
    engine.append(engine.of(many(3)), FRUIT)
    engine.merge(engine.of(fruit(("fruit 000001", "x", 7))), FRUIT)
    engine.delete(engine.of(pa.table({"path": ["fruit 000002"]})), FRUIT)
    current = {Path(name).name for name in delta.data_files(lake, FRUIT)}
    for file in Path(lake.path(FRUIT)).rglob("*.parquet"):
        if file.name not in current and "_delta_log" not in file.parts:
            file.unlink()
    engine.close()
    with pytest.raises(HistoryLostError, match=r"garden\.fruit"):
        net(engine, 1, version(lake))
    assert len(read(engine, engine.rows(FRUIT, ["path"]))) == 2


# ---- surroundings ---------------------------------------------------------------------------------------------------


ODD_NAMES = ["my lake é 漢 🍎", "best {of} 2024", "a*b [2024]", "a+b:c it's $HOME", "-x=1"]


def test_lake_may_lie_in_folders_with_odd_names(tmp_path: Path, engine_name: str) -> None:
    """Every verb reads and writes there and nowhere else: no name is a pattern, and nothing in one is decoded."""
    lake = Lake(f"file://{tmp_path}/{'/'.join(ODD_NAMES)}/lake")
    delta.create(lake, [FRUIT])
    settings = load_settings(engine=engine_name).model_copy(update={"lake": lake.uri})
    engine = open_engine(settings, lake, NullProgress())
    engine.append(engine.of(many(4)), FRUIT)
    engine.append(engine.of(many(4, 4)), FRUIT)
    engine.merge(engine.of(fruit(("fruit 000001", "x", 7), ("new", "y", 8))), FRUIT)
    engine.delete(engine.of(pa.table({"path": ["fruit 000002"]})), FRUIT)
    expected = sorted([f"fruit {n:06}" for n in range(8) if n != 2] + ["new"])
    assert [row["path"] for row in read(engine, engine.rows(FRUIT, ["path"]))] == expected
    assert len(net(engine, 2, version(lake))) == 4
    engine.replace(engine.rows(FRUIT, ALL), FRUIT)
    assert [row["path"] for row in held(lake)] == expected
    for above, name in zip(accumulate(ODD_NAMES[:-1], Path.joinpath, initial=tmp_path), ODD_NAMES, strict=True):
        assert os.listdir(above) == [name]
    engine.close()


def test_files_of_other_writers_are_read(engine: Engine, lake: Lake) -> None:
    """Instants in 96 bits, as Spark wrote them once, and rows in any order of columns."""
    rows = fruit(("a", "1", 1), ("b", "2", 2))
    engine.append(engine.of(fruit(("c", "3", 3))), FRUIT)
    pq.write_table(rows, f"{lake.path(FRUIT)}/old.parquet", use_deprecated_int96_timestamps=True)
    with delta.staging(lake, FRUIT) as staged:
        staged.write(rows.to_batches())
        staged.close()
        (described,) = staged.added
        described.path, described.size = "old.parquet", Path(f"{lake.path(FRUIT)}/old.parquet").stat().st_size
        delta.commit(lake, FRUIT, [described])
    found = read(engine, engine.rows(FRUIT, ["path", "picked", "sha256"]))
    assert [row["picked"] for row in found] == [datetime(2026, 1, 1, 12, 0, 0, n, UTC) for n in (1, 2, 3)]
    engine.merge(engine.of(fruit(("b", "4", 4))), FRUIT)
    assert [row["sha256"] for row in held(lake)] == ["1", "4", "3"]


def test_cancelled_work_ends_soon_and_commits_nothing(engine: Engine, lake: Lake, tmp_path: Path) -> None:
    """By another thread, and for good: the lake may be somebody else's by now."""
    function = Doubling(tmp_path, pause=0.1)
    slow = engine.map(engine.of(many(400)), function, DOUBLED, Work("slowly", 400, 0))
    begun = time.monotonic()

    def cancel() -> None:
        while not function.seen() and time.monotonic() < begun + 60:
            time.sleep(0.05)
        engine.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(CancelledError):
        engine.arrow(slow)
    thread.join()
    assert len(function.seen()) < 400
    with pytest.raises(CancelledError):
        engine.append(engine.of(AB), FRUIT)
    assert version(lake) == 0
