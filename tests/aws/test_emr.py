"""`fruits emr` by AWS's own names, with an instance's credentials and no variable that names an endpoint or a key."""

import boto3
import pytest

from tests.aws.box import Box
from tests.aws.inside import REGION
from tests.aws.stack import make_stack

SERVICES = ("cloudformation", "elasticmapreduce", "s3")
CHECKED = ("ec2", "servicequotas", "sts")
"""What is asked before a launch."""


def put_photograph(bucket: str) -> None:
    """There must be one."""
    boto3.client("s3", region_name=REGION).put_object(Bucket=bucket, Key="photographs/Apple/1.jpg", Body=b"content")


@pytest.mark.slow
def test_cluster_is_run_from_its_plan_to_its_end(box: Box) -> None:
    """Each service is asked at its own host, for its region; moto completes the steps, and runs none."""
    stack = box.call(make_stack, "fruits")
    bucket = stack["Bucket"]
    planned = box.fruits("emr", "plan", "--photographs", "22700")
    assert planned.returncode == 0, planned.stderr
    assert "fruits silver" in planned.stdout
    box.call(put_photograph, bucket)
    box.tell("complete_steps")
    before = len(box.requests())
    words = ["--images", f"s3://{bucket}/photographs", "--lake", f"s3://{bucket}/lake"]
    done = box.fruits("emr", "run", *words)
    assert done.returncode == 0, done.stderr
    assert "fruits gold: completed" in done.stderr
    hosts = {(one["host"].removeprefix(f"{bucket}."), one["region"]) for one in box.requests()[before:]}
    own = {(f"{service}.{REGION}.amazonaws.com", REGION) for service in (*SERVICES, *CHECKED)}
    regional = {(f"{REGION}.elasticmapreduce.amazonaws.com", REGION)}
    assert hosts <= own | regional
    assert {service for service in SERVICES if any(service in host for host, _ in hosts)} == {*SERVICES}
    down = box.fruits("emr", "status")
    assert down.returncode == 0, down.stderr
