"""A version of a model, and the plain arrays that it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lakehouse.arrow import as_numpy
from lakehouse.tables.table import Row

Arrays = Mapping[str, NDArray[np.float64]]
"""What a model has learned, by name: C-contiguous float64."""


@dataclass(frozen=True)
class Version:
    """A registered version of a model.

    Attributes:
        name: the model's.
        number: counts from 1.
        fit: names this fit alone, wherever it is kept (a UUID's 32 digits).
        fitted_at: when it was registered.
        tags: what it was fitted on, and what it is like in words and numbers.
    """

    name: str
    number: int
    fit: str
    fitted_at: datetime
    tags: Mapping[str, str]


def to_row(version: Version, arrays: Arrays) -> Row:
    """A version and its arrays as a row of `registry.models`."""
    return {
        "model": version.name,
        "version": version.number,
        "fit": version.fit,
        "fitted_at": version.fitted_at,
        "tags": dict(version.tags),
        "arrays": [
            {"name": name, "shape": list(array.shape), "values": np.ascontiguousarray(array, np.float64).ravel()}
            for name, array in arrays.items()
        ],
    }


def from_column(kept: pa.ListScalar) -> dict[str, NDArray[np.float64]]:
    """The arrays that a value of the column `arrays` holds, bit for bit."""
    names, shapes, values = (kept.values.field(name) for name in ("name", "shape", "values"))
    return {
        str(name): as_numpy(value.values).reshape(shape)
        for name, shape, value in zip(names.to_pylist(), shapes.to_pylist(), values, strict=True)
    }
