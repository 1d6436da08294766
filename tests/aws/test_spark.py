"""Spark's way to S3 (Java, Hadoop's S3A) under AWS's own names: an instance's credentials, the box's certificates.

The jars are fetched outside the box, which leads nowhere.
"""

import json
from collections.abc import Iterator

import pytest

from fruits.settings import load_settings
from lakehouse.engine.spark import jars
from tests.aws.box import Box
from tests.aws.buckets import fill
from tests.aws.inside import REGION
from tests.aws.stack import make_stack
from tests.aws.test_credentials import SIX_HOURS
from tests.aws.test_life import Life, check_hosts, make_buckets

pytestmark = pytest.mark.slow
JAVA = "aws-sdk-java"
"""How AWS's SDK for Java names itself, in part."""
LIFETIME = 20.0
"""Seconds; a run takes longer."""


@pytest.fixture
def short_lives(box: Box) -> Iterator[None]:
    """Credentials that end within seconds, of which the second half is never handed out."""
    box.tell("lifetime", LIFETIME)
    yield
    box.tell("lifetime", SIX_HOURS)


def test_run_by_the_role_that_the_stack_makes_outlives_credentials(box: Box, twelve: str, short_lives: None) -> None:
    """All layers; the role is refused nothing, Java writes the tables' log, and new credentials are found in time."""
    settings = load_settings()
    jars.jars([*settings.packages, *settings.s3_packages])
    stack = box.call(make_stack, "spark")
    bucket, role = stack["Bucket"], stack["InstanceRole"]
    box.call(fill, bucket, twelve, "photographs/")
    life = Life(box, f"s3://{bucket}/photographs", f"s3://{bucket}/lake")
    with box.role(role):
        before = box.tell("issued")
        words = ["--images", life.images, "--lake", life.lake, "--engine", "spark", "--format", "json"]
        done = box.fruits("run", *words)
        assert box.tell("issued") - before > 2
    assert done.returncode == 0, done.stderr
    first = json.loads(done.stdout)
    assert (first["bronze"]["ingested"], first["silver"]["featurized"], first["gold"]["projected"]) == (12, 12, 12)
    asked = [request for request in box.requests(bucket) if request["role"] == role]
    assert [request for request in asked if request["refused"]] == []
    assert {request["code"] for request in box.requests(bucket)} <= {"", "ExpiredToken"}
    commits = [one for one in asked if one["method"] == "PUT" and "/images/_delta_log/0" in one["key"]]
    assert any(JAVA in one["agent"] for one in commits)
    check_hosts(life)


def test_bucket_with_dots_stands_in_the_path_of_javas_requests(box: Box, twelve: str) -> None:
    """As in all others'; and one whose name Java reads as no host is refused before Java is started."""
    settings = load_settings()
    jars.jars([*settings.packages, *settings.s3_packages])
    lake = "lake.with.dots"
    box.call(make_buckets, "photographs-of-spark", lake, twelve)
    words = ["--images", "s3://photographs-of-spark", "--engine", "spark", "--format", "json"]
    done = box.fruits("bronze", *words, "--lake", f"s3://{lake}/lake")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bronze"]["ingested"] == 12
    asked = box.requests(lake)
    assert {(one["host"], one["region"]) for one in asked} == {(f"s3.{REGION}.amazonaws.com", REGION)}
    assert any(JAVA in one["agent"] and one["method"] == "PUT" for one in asked)
    box.call(make_buckets, "others-of-spark", "lake.2026", twelve)
    refused = box.fruits("bronze", *words, "--lake", "s3://lake.2026/lake")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "The bucket lake.2026 cannot be opened by Spark" in refused.stderr
