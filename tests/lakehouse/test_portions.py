"""Work is cut into portions by the order of paths, by each engine alike."""

from itertools import pairwise

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.engine.local.engine import LocalEngine
from lakehouse.portions import portions_of, within
from lakehouse.progress import NullProgress
from lakehouse.tables.delta import Lake
from tests.conftest import Opening

FILES = st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), st.integers(0, 50))


def table(files: dict[str, int]) -> pa.Table:
    """Files by path and length."""
    return pa.table({"path": pa.array(files, pa.string()), "length": pa.array(files.values(), pa.int64())})


@settings(max_examples=60, deadline=None)
@given(FILES, st.integers(1, 5), st.integers(1, 120))
def test_each_row_is_in_one_portion_none_too_large_and_paths_ascend(
    files: dict[str, int], most_rows: int, most_bytes: int
) -> None:
    """Whatever the paths; the order is that of UTF-8."""
    engine = LocalEngine(Lake("file:///nowhere"), NullProgress(), 1)
    rows = engine.of(table(files))
    found = [
        (portion, engine.arrow(within(engine, rows, portion, "length >= 0"))["path"].to_pylist())
        for portion in portions_of(engine, rows, most_rows, most_bytes)
    ]
    engine.close()
    assert [path for _, paths in found for path in paths] == sorted(files, key=str.encode)
    for portion, paths in found:
        assert portion.rows == len(paths) <= most_rows
        assert sum(files[path] for path in paths[:-1]) <= most_bytes
        assert (portion.first, portion.last, portion.total) == (paths[0], paths[-1], len(files))
    assert [portion.before for portion, _ in found] == [
        sum(one.rows for one, _ in found[:at]) for at in range(len(found))
    ]
    for (one, _), (other, _) in pairwise(found):
        assert one.rows + other.rows > 1


def test_engines_cut_alike(opened: Opening, engine_name: str) -> None:
    """With quotes, characters beyond 16 bits, and capitals, in UTF-8's order."""
    engine = opened(engine_name)
    files = {"b": 10, "a'c": 10, "A\\n": 10, "\uffee": 10, "😀": 10, "é": 100, "ab": 0}
    found = list(portions_of(engine, engine.of(table(files)), 3, 40))
    assert [(one.first, one.last, one.rows) for one in found] == [
        ("A\\n", "ab", 3),
        ("b", "é", 2),
        ("\uffee", "\uffee", 1),
        ("😀", "😀", 1),
    ]
