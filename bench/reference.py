"""The pipeline that people run today: Spark, a pandas UDF around Keras' MobileNetV2, Spark ML's PCA, Parquet.

It mirrors the notebooks for Amazon EMR by which the "Fruits!" project of a French online course is solved, published
in many copies on GitHub; without their prints, plots and second thoughts, and on this machine instead of a cluster.

    python -m bench.reference IMAGES OUT

Theirs, not ours: `repartition(24)`, a model rebuilt in each task from broadcast weights, `predict` on all photographs
of a task, a Python UDF from arrays to vectors, `StandardScaler` and `PCA` of Spark ML, the PCA fitted once to find k
and once with that k, and everything computed anew and overwritten at each run.

Where the copies differ, this takes what is quicker, so that a comparison does not flatter us: the features are cached
(many compute them again for each fit), the model has no top and is built without reading its weights' file, `predict`
draws no progress bar, and Spark has neither its page nor Delta. Python workers are as many as cores, each of them with
a TensorFlow of its own: some 600 MB a core.
"""

import io
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from pyspark import Broadcast
from pyspark.ml.feature import PCA, StandardScaler
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import col, element_at, split, udf
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import ArrayType, FloatType

from bench.stages import Stages

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # inherited by the workers
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

PARTITIONS = 24
MANY = 500  # components of the fit that finds k
SHARE = 0.8  # of the variance


def main(images: str, out: str) -> int:
    """Run it all; print how many photographs there were, the components, and the seconds of each stage, as JSON."""
    stages = Stages()
    with stages.measure("spark"):
        spark = start_spark()
    with stages.measure("model"):
        weights = spark.sparkContext.broadcast(build_model("imagenet").get_weights())
    with stages.measure("features"):
        features = read_images(spark, images).repartition(PARTITIONS)
        features = features.select("path", "label", featurize_udf(weights)("content").alias("features"))
        to_vector = udf(Vectors.dense, VectorUDT())
        features = features.withColumn("vector", to_vector("features")).cache()
        photographs = features.count()
    with stages.measure("scale"):
        scaler = StandardScaler(inputCol="vector", outputCol="scaled", withMean=True, withStd=True)
        scaled = scaler.fit(features).transform(features)
    with stages.measure("find k"):
        k = components_needed(fit_pca(scaled, MANY).explainedVariance.toArray())
    with stages.measure("pca"):
        projected = fit_pca(scaled, k).transform(scaled)
    with stages.measure("write"):
        projected.select("path", "label", "components").write.mode("overwrite").parquet(out)
        spark.stop()
    print(json.dumps({"photographs": photographs, "components": k, "seconds": stages.seconds()}))
    return 0


def start_spark() -> SparkSession:
    """Spark on all cores of this machine."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    options: dict[str, bool | float | int | str | None] = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.parquet.writeLegacyFormat": "true",
    }
    return SparkSession.builder.appName("P8").master("local[*]").config(map=options).getOrCreate()


def read_images(spark: SparkSession, folder: str) -> DataFrame:
    """Path, content and label of the photographs; the label is the name of their folder."""
    files = spark.read.format("binaryFile").option("pathGlobFilter", "*.jpg").option("recursiveFileLookup", "true")
    return files.load(folder).withColumn("label", element_at(split(col("path"), "/"), -2))


def build_model(weights: str | None) -> Any:
    """MobileNetV2 without its top: 1280 features a photograph."""
    from tensorflow.keras.applications.mobilenet_v2 import MobileNetV2

    model = MobileNetV2(weights=weights, include_top=False, pooling="avg", input_shape=(224, 224, 3))
    model.trainable = False
    return model


def preprocess(content: bytes) -> np.ndarray[Any, Any]:
    """A photograph's bytes as the model's input, float32, shape (224, 224, 3)."""
    from tensorflow.keras.applications.mobilenet_v2 import preprocess_input
    from tensorflow.keras.preprocessing.image import img_to_array

    pixels: np.ndarray[Any, Any] = preprocess_input(img_to_array(Image.open(io.BytesIO(content)).resize((224, 224))))
    return pixels


def featurize_udf(weights: Broadcast[list[np.ndarray[Any, Any]]]) -> Any:
    """The pandas UDF of the scalar-iterator kind: one model a task, one `predict` a batch."""

    def featurize(contents: Iterator[pd.Series]) -> Iterator[pd.Series]:
        model = build_model(None)
        model.set_weights(weights.value)
        for content in contents:
            predicted = model.predict(np.stack(content.map(preprocess)), verbose=0)
            yield pd.Series([features.flatten() for features in predicted])

    return pandas_udf(featurize, ArrayType(FloatType()))  # type: ignore[call-overload]  # its stubs ask for the kind


def fit_pca(scaled: DataFrame, k: int) -> Any:
    """Spark ML's PCA, by the covariance matrix and its decomposition on the driver."""
    return PCA(k=k, inputCol="scaled", outputCol="components").fit(scaled)


def components_needed(ratios: np.ndarray[Any, Any]) -> int:
    """How many components explain SHARE of the variance; all where they do not."""
    return min(int(np.searchsorted(np.cumsum(ratios), SHARE)) + 1, len(ratios))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
