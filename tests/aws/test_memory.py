"""The memory that `fruits emr` gives executors, with large photographs on S3 by AWS's own names.

An executor of an m5.xlarge has four cores; here it has one, and a quarter of its memory (SCALE). YARN kills an executor
whose processes hold more than heap and overhead together. Spark's cluster on one machine does not: a watcher does it.
"""

import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fruits.catalog import Layer
from fruits.emr.request import run_job_flow, spark_submit
from fruits.emr.sent import on_cluster
from fruits.emr.settings import load_emr_settings
from fruits.settings import load_settings
from lakehouse.engine.spark import jars
from lakehouse.storage import aws
from tests.aws.box import Box
from tests.aws.buckets import fill
from tests.aws.stack import make_stack
from tests.aws.yarn import Yarn
from tests.bootstrap.conftest import ROOT
from tests.silver.executor_killed import make_home

SCALE = 4
PHOTOGRAPHS = 12
SIZES = ("spark.executor.memory", "spark.executor.memoryOverhead")
"""Of an executor's memory: the settings that YARN adds up."""
_MB = 1 << 20


def write_photographs(folder: Path) -> None:
    """Photographs of 12 megapixels, of a camera's size in bytes."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(1)
    for number in range(PHOTOGRAPHS):
        noise = random.integers(0, 256, (750, 1000, 3), np.uint8) // (1 + number % 4)
        Image.fromarray(noise).resize((4000, 3000)).save(folder / f"{number}.jpg", quality=90)


@contextmanager
def watching(yarn: Yarn) -> Iterator[None]:
    """Let it look several times a second."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.2):
            yarn.look()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def install(prefix: Path, settings: str) -> None:
    """What the bootstrap action leaves, with this environment's Python."""
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (prefix / "bin" / "python").chmod(0o755)
    (prefix / "job.py").write_bytes((ROOT / "bootstrap" / "job.py").read_bytes())
    (prefix / "settings.yaml").write_text(settings)


def scaled(properties: dict[str, str]) -> dict[str, str]:
    """An executor's part of a core, of what the plan gives a whole node's."""
    assert properties["spark.executor.cores"] == str(SCALE)
    sizes = {name: f"{megabytes(properties[name]) // SCALE}m" for name in SIZES}
    return {**properties, **sizes, "spark.executor.cores": "1"}


def megabytes(value: str) -> int:
    """Of a setting of Spark's."""
    return int(value.removesuffix("m"))


def platform(properties: dict[str, str], work: Path) -> dict[str, str]:
    """What EMR's release has set besides: jars and S3; and here a cluster on this machine."""
    settings = load_settings()
    classpath = os.pathsep.join(map(str, jars.jars([*settings.packages, *settings.s3_packages])))
    whole = sum(megabytes(properties[name]) for name in SIZES)
    return {
        **properties,
        "spark.master": f"local-cluster[1,1,{whole}]",
        "spark.driver.memory": "1g",
        "spark.driver.extraClassPath": classpath,
        "spark.executor.extraClassPath": classpath,
        # Each of these virtual machines lives for a minute, in which the better compiler only costs.
        "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
        "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "1",
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.local.dir": str(work),
    }


@pytest.mark.slow
def test_executors_of_the_plan_hold_large_photographs(box: Box, tmp_path: Path) -> None:
    """By the steps' own command, as the instances' role: all are taken, and none of the executors is killed."""
    stack = box.call(make_stack, "memory")
    bucket = stack["Bucket"]
    write_photographs(tmp_path / "photographs" / "Apple")
    box.call(fill, bucket, str(tmp_path / "photographs"), "photographs/")
    emr = load_emr_settings()
    run = load_settings(images=f"s3://{bucket}/photographs", lake=f"s3://{bucket}/lake", weights="untrained")
    install(tmp_path / "fruits", on_cluster(run, emr))
    make_home(tmp_path / "spark")
    request = run_job_flow(emr.placeholders(), "s3://bucket/code/1", standing=False)
    (defaults,) = [one for one in request["Configurations"] if one["Classification"] == "spark-defaults"]
    properties = scaled(defaults["Properties"])
    with box.role(stack["InstanceRole"]):
        conf = platform(properties, tmp_path) | box.call(aws.hadoop_options)
        done = submit(box, tmp_path, conf)
    assert (done["bronze"]["ingested"], done["bronze"]["quarantined"]) == (PHOTOGRAPHS, 0)
    assert (done["silver"]["featurized"], done["gold"]["projected"]) == (PHOTOGRAPHS, PHOTOGRAPHS)


def submit(box: Box, folder: Path, conf: dict[str, str]) -> dict[str, Any]:
    """Run the steps' command under YARN's rule; returns what it prints.

    All layers are one job, as in a scheduled run: what the executor keeps of one is held during the next, too.
    """
    given = {key: value for key, value in conf.items() if "pyspark" not in key}
    of_step = spark_submit(Layer.BRONZE, str(folder / "fruits"), given)
    command = ["run" if word == Layer.BRONZE else word for word in of_step]
    home = folder / "spark"
    limit = sum(megabytes(conf[name]) for name in SIZES) * _MB
    with box.start(f"{home}/bin/{command[0]}", *command[1:], SPARK_HOME=str(home)) as process:
        yarn = Yarn(process.pid, limit)
        with watching(yarn):
            out, err = process.communicate(timeout=500)
    assert process.returncode == 0, (out + err)[-4000:]
    print(f"At most {yarn.most // _MB} of {limit // _MB} MB, Python's {yarn.most_of_children // _MB}")
    assert yarn.killed == 0
    assert 0 < yarn.most_of_children < yarn.most  # the workers were seen, too
    # The end of a run ends its executors, by a signal that can be heard (143); what ran short of memory ends otherwise.
    assert {*re.findall(r"Command exited with code (\d+)", err)} <= {"143"}
    assert "ExecutorLostFailure" not in err
    assert "OutOfMemoryError" not in err
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found
