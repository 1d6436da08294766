"""What Spark is told: ours, and over it the user's."""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from fruits.settings import load_settings
from lakehouse.engine.spark.environment import SPARK_HOME
from lakehouse.engine.spark.session import session_options

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OWN = {
    "spark.hadoop.fs.s3a.endpoint": "https://other.example.org",
    "spark.hadoop.fs.s3a.aws.credentials.provider": "org.example.Provider",
    "spark.hadoop.fs.s3a.connection.maximum": 500,
    "spark.executorEnv.AWS_REGION": "eu-north-1",
    "spark.driver.memory": "6g",
}


def test_settings_of_sparks_own_go_over_what_is_found_for_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who names a key of Hadoop's S3 client means it; the keys that are not named are found as ever."""
    told = {
        "AWS_ENDPOINT_URL": "https://minio.example.org",
        "AWS_REGION": "eu-west-3",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    for name in ("PYSPARK_GATEWAY_PORT", "AWS_PROFILE", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    found = session_options(load_settings(lake="s3://bucket/lake"))
    assert found["spark.hadoop.fs.s3a.endpoint"] == "https://minio.example.org"
    assert session_options(load_settings(lake="s3://bucket/lake", spark=OWN)) == {**found, **OWN}


def test_workers_of_spark_import_what_is_installed(spark: "SparkSession") -> None:
    """And no archive of Spark's, whose directory would be read anew before each task."""

    def paths(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            yield pa.RecordBatch.from_pydict({"path": sys.path})

    found = [Path(row["path"]) for row in spark.range(1).mapInArrow(paths, "path string").collect()]
    assert SPARK_HOME.parent in found
    assert not [path for path in found if path.is_relative_to(SPARK_HOME)]
