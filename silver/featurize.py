"""Features of photographs, by whatever encoder the job is given."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.vectors import as_column
from silver.tables import FEATURES

Predict = Callable[[memoryview], NDArray[np.float32]]
"""From the bytes of one photograph to its features, float32, shape (d,)."""

_loaded: dict[str, Predict] = {}  # once a Python worker, not once a task


@dataclass(frozen=True)
class Encoder:
    """What makes features of photographs.

    Attributes:
        feature_version: names all that the features depend on; rows of another version are computed anew.
        dimension: features a photograph.
        load: returns the function that computes; called once in each Python worker, pickled to get there.
    """

    feature_version: str
    dimension: int
    load: Callable[[], Predict]


def featurize(images: DataFrame, encoder: Encoder, count: Callable[[int], None]) -> DataFrame:
    """The rows of `silver.features` for images, each computed.

    The other columns go through the encoder's task, so that nothing is joined.

    Args:
        images: rows of `bronze.images`.
        encoder: what computes.
        count: told how many were computed, as they are.
    """
    version, load = encoder.feature_version, encoder.load
    columns = ["path", "label", "split", "sha256", "batch"]

    def encoding(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if not batch.num_rows:
                continue
            if version not in _loaded:
                _loaded[version] = load()
            predict = _loaded[version]
            features = np.stack([*_predicted(batch, predict)])
            count(batch.num_rows)
            yield batch.select(columns).append_column("features", as_column(features))

    schema = ", ".join(FEATURES.schema[name].simpleString().replace(":", " ", 1) for name in [*columns, "features"])
    return _with_version(images.select(*columns, "content").mapInArrow(encoding, schema), encoder)


def _predicted(batch: pa.RecordBatch, predict: Predict) -> Iterator[NDArray[np.float32]]:
    for path, content in zip(batch.column("path"), batch.column("content"), strict=True):
        try:
            yield predict(memoryview(content.as_buffer()))
        except Exception as error:
            error.add_note(f"The photograph is {path}.")
            raise


def copy_features(images: DataFrame, features: DataFrame, encoder: Encoder) -> DataFrame:
    """The rows of `silver.features` for images whose content has been featurized under another path.

    Args:
        images: path, label, split, sha256, batch.
        features: rows of `silver.features`.
        encoder: whose features are copied.
    """
    known = (
        features.where(F.col("feature_version") == encoder.feature_version)
        .groupBy("sha256")
        .agg(F.first("features").alias("features"))
    )
    return _with_version(images.join(known, on="sha256", how="inner"), encoder)


def _with_version(rows: DataFrame, encoder: Encoder) -> DataFrame:
    return rows.withColumn("feature_version", F.lit(encoder.feature_version)).select(*FEATURES.schema.names)
