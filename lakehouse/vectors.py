"""Vectors between Arrow's list columns and NumPy's matrices, without a Python object for each number."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lakehouse.arrow import as_numpy


def as_matrix(column: pa.Array) -> NDArray[np.float32]:
    """A column of float32 lists, all of one length, as a matrix (rows, length)."""
    values: NDArray[np.float32] = as_numpy(column.flatten())
    return values.reshape(len(column), -1)


def as_column(matrix: NDArray[np.floating[Any]]) -> pa.Array:
    """A matrix (rows, length) as a column of float32 lists."""
    rows, length = matrix.shape
    offsets = np.arange(rows + 1, dtype=np.int32) * length
    return pa.ListArray.from_arrays(offsets, matrix.astype(np.float32, copy=False).ravel())
