"""Features of photographs, by whatever encoder the job is given."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lakehouse.arrow import as_column
from lakehouse.engine.port import Batches, Given
from silver.tables import FEATURES

Predict = Callable[[memoryview], NDArray[np.float32]]
"""From the bytes of one photograph to its features, float32, shape (d,)."""

IMAGE = ("path", "label", "split", "sha256", "batch")
"""The columns of `bronze.images` that `silver.features` has too."""

_loaded: dict[str, Predict] = {}  # once a process, not once a share


@dataclass(frozen=True)
class Encoder:
    """What makes features of photographs.

    Attributes:
        feature_version: names all that the features depend on; rows of another version are computed anew.
        dimension: features a photograph.
        load: returns the function that computes; called once in each worker process, pickled to get there.
    """

    feature_version: str
    dimension: int
    load: Callable[[], Predict]


@dataclass(frozen=True)
class Encoding:
    """From rows of `bronze.images` with their content to rows of `silver.features`, each computed.

    The other columns go through, so that nothing is joined.
    """

    encoder: Encoder

    def __call__(self, images: Given) -> Batches:
        """Compute features, a photograph at a time."""
        version = self.encoder.feature_version
        if version not in _loaded:
            _loaded[version] = self.encoder.load()
        for batch in images:
            if batch.num_rows:
                features = np.stack([*_predicted(batch, _loaded[version])])
                yield _features(batch, as_column(features), version)


def _features(batch: pa.RecordBatch, features: pa.Array, version: str) -> pa.RecordBatch:
    columns = {name: batch.column(name) for name in IMAGE}
    columns |= {"features": features, "feature_version": pa.array([version] * batch.num_rows, pa.string())}
    return pa.RecordBatch.from_pydict({name: columns[name] for name in FEATURES.schema.names})


def _predicted(batch: pa.RecordBatch, predict: Predict) -> Iterator[NDArray[np.float32]]:
    for path, content in zip(batch.column("path"), batch.column("content"), strict=True):
        try:
            yield predict(memoryview(content.as_buffer()))
        except Exception as error:
            error.add_note(f"The photograph is {path}.")
            raise
