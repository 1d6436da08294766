"""Arrow's values as NumPy's, without pandas."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from lakehouse.arrow import as_column, as_numpy, made_of

WITHOUT = """
import sys
import threading
import pyarrow as pa
from lakehouse.arrow import as_numpy, keep_pandas_out

{}
"""


def said(code: str) -> str:
    """What a new interpreter prints, in which nothing is imported yet."""
    command = [sys.executable, "-c", WITHOUT.format(code)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_numbers_are_converted_without_pandas() -> None:
    """Whole columns, slices and lists' values, of which pyarrow's own conversion imports it."""
    code = """
keep_pandas_out()
column = pa.array([3, 1, 2], pa.int64())
print(as_numpy(column), as_numpy(column[1:]), as_numpy(pa.chunked_array([column, column])))
print("pandas" in sys.modules)
column.to_numpy()
print("pandas" in sys.modules)
"""
    assert said(code).splitlines() == ["[3 1 2] [1 2] [3 1 2 3 1 2]", "False", "True"]


def test_another_thread_may_import_pandas_meanwhile() -> None:
    """As what a fit needs is imported beside other work."""
    code = """
found = []
def look():
    import pandas
    found.append(pandas.__name__)
sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=look)] + [threading.Thread(target=keep_pandas_out) for _ in range(50)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(found)
"""
    assert said(code) == "['pandas']\n"


def test_nulls_and_words_are_refused() -> None:
    """Instead of turned into other numbers."""
    for values in (pa.array([1, None], pa.int64()), pa.array(["a"])):
        with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError)):
            as_numpy(values)


def test_empty_columns_are_empty() -> None:
    """Also those without a chunk."""
    for column in (pa.array([], pa.float32()), pa.chunked_array([], pa.float32())):
        assert as_numpy(column).dtype == np.float32
        assert len(as_numpy(column)) == 0


def test_batch_is_made_of_columns_that_are_there_and_those_that_are_given() -> None:
    """In the schema's order and types; what the schema does not name is left out, and one value is every row's."""
    vector = pa.list_(pa.field("element", pa.float32()))
    schema = pa.schema([("version", pa.int64()), ("path", pa.string()), ("vector", vector), ("batch", pa.int64())])
    there = pa.RecordBatch.from_pydict(
        {"path": ["a", "b"], "batch": pa.array([1, 2], pa.int32()), "content": [b"", b""]}
    )
    made = made_of(there, schema, vector=as_column(np.eye(2)), version=7)
    assert made.schema == schema
    assert made.to_pylist() == [
        {"version": 7, "path": "a", "vector": [1.0, 0.0], "batch": 1},
        {"version": 7, "path": "b", "vector": [0.0, 1.0], "batch": 2},
    ]
    assert made_of(there, schema, vector=as_column(np.eye(2)), version=7, batch=3)["batch"].to_pylist() == [3, 3]


def test_column_that_is_nowhere_is_an_error() -> None:
    """Not a column of nulls."""
    with pytest.raises(KeyError, match="sha256"):
        made_of(pa.RecordBatch.from_pydict({"path": ["a"]}), pa.schema([("sha256", pa.string())]))
