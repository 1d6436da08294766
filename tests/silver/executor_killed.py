"""All layers on a cluster of two executors, each a process of its own, with an encoder that takes its time.

Run by `test_executor_killed.py` as `python executor_killed.py PHOTOGRAPHS LAKE CALLS HOME`.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pyspark
from numpy.typing import NDArray

from bronze.photograph import decode
from fruits.run import LAYERS, take_through
from lakehouse import jvm
from lakehouse.settings import Settings, load_settings
from lakehouse.workspace import Workspace
from silver.featurize import Encoder, Predict

VERSION = "stub-executor-r1"


def encoder(calls: str, seconds: float) -> Encoder:
    """An encoder of eight dimensions that notes each call as a line of a file, and waits."""

    def load() -> Predict:
        def computed(content: memoryview) -> NDArray[np.float32]:
            with Path(calls).open("a") as lines:
                lines.write(f"{os.getpid()}\n")
            time.sleep(seconds)
            pixels = np.asarray(decode(content), dtype=np.float32)
            return np.concatenate([pixels.mean((0, 1)), pixels.std((0, 1)), pixels[0, 0, :2]]).astype(np.float32)

        return computed

    return Encoder(VERSION, 8, load)


def cluster_settings(photographs: str, lake: str) -> Settings:
    """The shipped settings, on two executors of one core: what they lack of the driver's is passed on."""
    shipped = load_settings()
    jars = os.pathsep.join(map(str, jvm.jars(shipped.packages)))
    cluster = {
        "spark.master": "local-cluster[2,1,1536]",
        "spark.executor.memory": "1g",
        "spark.executor.extraClassPath": jars,
        "spark.executor.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
        "spark.driver.memory": "1g",
        "spark.sql.shuffle.partitions": 2,
        "spark.databricks.delta.snapshotPartitions": 1,
    }
    return load_settings(images=photographs, lake=lake, spark={**shipped.spark, **cluster})


def make_home(folder: Path) -> None:
    """A folder for SPARK_HOME that leads to Spark's files: Spark's own workers write theirs below it."""
    folder.mkdir()
    for part in Path(pyspark.__file__).parent.iterdir():
        (folder / part.name).symlink_to(part)


if __name__ == "__main__":
    images, lake, calls, home = sys.argv[1:]
    make_home(Path(home))
    os.environ["SPARK_HOME"] = home
    workspace = Workspace(cluster_settings(images, lake))
    summary = take_through(workspace, LAYERS, lambda: encoder(calls, 0.15))
    print(json.dumps(summary))
    workspace.spark.stop()
