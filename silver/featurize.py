"""Features of photographs, by whatever encoder the job is given."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lakehouse.arrow import as_column, made_of
from lakehouse.engine.port import Batches, Given
from silver.encoders.base import Encoder, Predict
from silver.tables import FEATURES

IMAGE = ("path", "label", "split", "sha256", "batch")
"""The columns of `bronze.images` that `silver.features` has too."""

_loaded: dict[str, Predict] = {}  # once a process, not once a share


@dataclass(frozen=True)
class Encoding:
    """From rows of `bronze.contents`, with what describes an image beside, to rows of `silver.features`, each computed.

    The other columns go through, so that nothing is joined.
    """

    encoder: Encoder

    def __call__(self, images: Given) -> Batches:
        """Compute features, a batch at a time."""
        version = self.encoder.feature_version
        if version not in _loaded:
            _loaded[version] = self.encoder.load()
        for batch in images:
            if batch.num_rows:
                features = as_column(self._predicted(batch, _loaded[version]))
                yield made_of(batch, FEATURES.schema, features=features, feature_version=version)

    def _predicted(self, batch: pa.RecordBatch, predict: Predict) -> NDArray[np.float32]:
        contents = [memoryview(content.as_buffer()) for content in batch.column("content")]
        try:
            features = predict(contents)
        except Exception:
            _name_culprit(batch.column("path"), contents, predict)
            raise
        if features.shape != (len(contents), self.encoder.dimension):
            raise ValueError(
                f"The encoder {self.encoder.feature_version} makes {self.encoder.dimension} features a photograph; of "
                f"{len(contents)} photographs it has made an array of shape {features.shape}."
            )
        return features


def _name_culprit(paths: pa.Array, contents: Sequence[memoryview], predict: Predict) -> None:
    """Raise the error of the first photograph that has one on its own, with its path."""
    for path, content in zip(paths, contents, strict=True):
        try:
            predict([content])
        except Exception as error:
            error.add_note(f"The photograph is {path}.")
            raise
