"""Convert Arrow arrays to NumPy without a Python object per number, and without importing pandas.

Pandas takes half a second to import, and is not used where nothing is fitted.
"""

import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


class _WithoutPandas(MetaPathFinder):
    """Says that pandas is not installed, to the thread that made it: others may be importing it."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:  # noqa: ARG002
        if name == "pandas" and threading.get_ident() == self._thread:
            raise ModuleNotFoundError("pandas is not imported yet", name=name)


class _Deferred:
    """A module that is imported when something in it is asked for."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self._module), name)


pc = _Deferred("pyarrow.compute")
"""Wraps each of its functions as it is imported, which takes a tenth of a short run."""
pq = _Deferred("pyarrow.parquet")
"""Imports file systems and, through them, OpenSSL, which nobody needs who reads no file."""


def keep_pandas_out() -> None:
    """Have pyarrow convert its first value without importing pandas, which it does only to ask whether that is its.

    pyarrow asks once in a process. Whoever imports pandas later can use it, with pyarrow's conversions from and to it.
    """
    if "pandas" in sys.modules:
        return
    blind = _WithoutPandas()
    sys.meta_path.insert(0, blind)
    try:
        pa.array([], pa.int64())
    finally:
        sys.meta_path.remove(blind)


def made_of(batch: pa.RecordBatch, schema: pa.Schema, /, **made: pa.Array | str | int) -> pa.RecordBatch:
    """A batch of a schema for each row of another: the columns that are `made`, and the others as they are there.

    A single value is every row's.
    """

    def column(field: pa.Field) -> pa.Array:
        values = made[field.name] if field.name in made else batch.column(field.name)
        if not isinstance(values, pa.Array):
            return pa.repeat(pa.scalar(values, field.type), batch.num_rows)
        return values if values.type.equals(field.type) else values.cast(field.type)

    return pa.RecordBatch.from_arrays([column(field) for field in schema], schema=schema)


def as_numpy(column: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """Numbers as NumPy's, of the same type and without a copy where they lie in one piece.

    Not by `to_numpy`, which imports pandas each time that it is not there.

    Raises:
        ArrowTypeError: there are nulls, or the values are no numbers.
    """
    return np.from_dlpack(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)


def as_matrix(column: pa.Array) -> NDArray[np.float32]:
    """A column of float32 lists, all of one length, as a matrix (rows, length)."""
    values: NDArray[np.float32] = as_numpy(column.flatten())
    return values.reshape(len(column), -1)


def as_column(matrix: NDArray[np.floating]) -> pa.Array:
    """A matrix (rows, length) as a column of float32 lists."""
    rows, length = matrix.shape
    offsets = np.arange(rows + 1, dtype=np.int32) * length
    return pa.ListArray.from_arrays(offsets, matrix.astype(np.float32, copy=False).ravel())
