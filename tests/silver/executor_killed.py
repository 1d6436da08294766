"""All layers on a cluster of two executors, each a process of its own, with an encoder that takes its time.

Run by `test_executor_killed.py` as `python executor_killed.py PHOTOGRAPHS LAKE CALLS HOME`.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyspark
from numpy.typing import NDArray

from bronze.photograph import decode
from fruits.operations.run import LAYERS, run_pipeline
from fruits.settings import Settings, load_settings
from lakehouse.engine.spark import jars
from lakehouse.engine.spark.session import spark_session
from lakehouse.workspace import Workspace
from silver.encoders.base import Encoder, Predict

VERSION = "stub-executor-r1"


@dataclass(frozen=True)
class LoadWaiting:
    """Loads a function that notes each call as a line of a file, and waits.

    Attributes:
        calls: the file.
        seconds: how long each photograph takes.
    """

    calls: str
    seconds: float

    def __call__(self) -> Predict:
        """Load it."""
        return self._computed

    def _computed(self, contents: Sequence[memoryview]) -> NDArray[np.float32]:
        return np.stack([self._of_one(content) for content in contents])

    def _of_one(self, content: memoryview) -> NDArray[np.float32]:
        with Path(self.calls).open("a") as lines:
            lines.write(f"{os.getpid()}\n")
        time.sleep(self.seconds)
        pixels = np.asarray(decode(content), dtype=np.float32)
        return np.concatenate([pixels.mean((0, 1)), pixels.std((0, 1)), pixels[0, 0, :2]]).astype(np.float32)


def encoder(calls: str, seconds: float) -> Encoder:
    """An encoder of eight dimensions that takes its time."""
    return Encoder(VERSION, 8, LoadWaiting(calls, seconds))


def cluster_settings(photographs: str, lake: str) -> Settings:
    """The shipped settings, on two executors of one core: what they lack of the driver's is passed on."""
    classpath = os.pathsep.join(map(str, jars.jars(load_settings().packages)))
    executors = {
        "spark.executor.memory": "1g",
        "spark.executor.extraClassPath": classpath,
        "spark.executor.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
    }
    here = {
        "spark.master": "local-cluster[2,1,1536]",
        "spark.driver.memory": "1g",
        "spark.sql.shuffle.partitions": 2,
        "spark.databricks.delta.snapshotPartitions": 1,
    }
    return load_settings(images=photographs, lake=lake, engine="spark", spark=executors, spark_local=here)


def make_home(folder: Path) -> None:
    """A folder for SPARK_HOME that leads to Spark's files: Spark's own workers write theirs below it, in `work`."""
    (folder / "work").mkdir(parents=True)
    for part in Path(pyspark.__file__).parent.iterdir():
        if part.name != "work":  # of somebody who gave Spark no home of its own
            (folder / part.name).symlink_to(part)


if __name__ == "__main__":
    images, lake, calls, home = sys.argv[1:]
    make_home(Path(home))
    os.environ["SPARK_HOME"] = home
    settings = cluster_settings(images, lake)
    workspace = Workspace(settings)
    summary = run_pipeline(workspace, LAYERS, lambda: encoder(calls, 0.15))
    print(json.dumps(summary))
    spark_session(settings).stop()
