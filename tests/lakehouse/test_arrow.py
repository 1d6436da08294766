"""Arrow's values as NumPy's, without pandas."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from lakehouse.arrow import as_numpy

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
