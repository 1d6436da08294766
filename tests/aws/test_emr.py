"""`fruits emr` by AWS's own names, with an instance's credentials and no variable that names an endpoint or a key."""

import re
from typing import Any

import boto3
import pytest

from fruits.emr.aws import completed
from fruits.emr.code import code_files, upload
from fruits.emr.run import _environment_of
from fruits.emr.sent import on_cluster
from fruits.emr.settings import load_emr_settings
from fruits.settings import load_settings
from lakehouse.storage import write_file
from tests.aws.box import Box
from tests.aws.buckets import fill
from tests.aws.inside import REGION
from tests.aws.stack import make_stack
from tests.bootstrap.conftest import ROOT

FIRST_RUN = (ROOT / "docs" / "first-run-on-aws.md").read_text()
ELSEWHERE = {"emr check", "emr prices"}
"""What moto lacks a part of, as the list of prices: these may tell of it, and are tried with other servers, too."""
SERVICES = ("cloudformation", "elasticmapreduce", "s3")
CHECKED = ("ec2", "servicequotas", "sts")
"""What is asked before a launch."""


def put_photograph(bucket: str) -> None:
    """There must be one."""
    boto3.client("s3", region_name=REGION).put_object(Bucket=bucket, Key="photographs/Apple/1.jpg", Body=b"content")


def put_environment(bucket: str, stack: str = "fruits") -> str:
    """Something in the place of the packages for EMR Serverless, which are fetched outside of the box; its URI."""
    emr = completed(load_emr_settings(stack=stack))
    settings = load_settings(images=f"s3://{bucket}/photographs", lake=f"s3://{bucket}/lake")
    packed = _environment_of(emr, upload(bucket, code_files(on_cluster(settings, emr))))
    write_file(packed, b"packages")
    return packed


@pytest.fixture(scope="module")
def bucket(box: Box) -> str:
    """The bucket of the stack that `fruits emr` looks for, with a photograph."""
    bucket: str = box.call(make_stack, "fruits")["Bucket"]
    box.call(put_photograph, bucket)
    return bucket


def asked_since(box: Box, before: int, bucket: str) -> set[tuple[str, str]]:
    """The hosts that were asked since, and for which regions; the bucket's as S3's."""
    return {(one["host"].removeprefix(f"{bucket}."), one["region"]) for one in box.requests()[before:]}


@pytest.mark.slow
def test_jobs_run_without_a_cluster_to_their_end(box: Box, bucket: str) -> None:
    """An application is made, runs three jobs and is removed, all at the service's own host; moto runs none of them."""
    box.call(put_environment, bucket)
    before = len(box.requests())
    words = ["--images", f"s3://{bucket}/photographs", "--lake", f"s3://{bucket}/lake"]
    done = box.fruits("emr", "run", "--serverless", *words)
    assert done.returncode == 0, done.stderr
    assert [f"fruits {layer}: success" in done.stderr for layer in ("bronze", "silver", "gold")] == [True] * 3
    assert "is removed" in done.stderr
    hosts = asked_since(box, before, bucket)
    own = {(f"{service}.{REGION}.amazonaws.com", REGION) for service in ("emr-serverless", *SERVICES, *CHECKED)}
    assert hosts <= own
    assert (f"emr-serverless.{REGION}.amazonaws.com", REGION) in hosts
    assert not any("elasticmapreduce" in host for host, _ in hosts)
    applications = box.call(list_applications)
    assert [one["state"] for one in applications if one["state"] != "TERMINATED"] == []


def list_applications() -> list[dict[str, Any]]:
    """Those of EMR Serverless, with their states."""
    found = boto3.client("emr-serverless", region_name=REGION).list_applications()["applications"]
    return [{"name": one["name"], "state": one["state"]} for one in found]


@pytest.mark.slow
def test_cluster_is_run_from_its_plan_to_its_end(box: Box, bucket: str) -> None:
    """Each service is asked at its own host, for its region; moto completes the steps, and runs none."""
    planned = box.fruits("emr", "plan", "--photographs", "22700")
    assert planned.returncode == 0, planned.stderr
    assert "fruits silver" in planned.stdout
    box.tell("complete_steps")
    before = len(box.requests())
    words = ["--images", f"s3://{bucket}/photographs", "--lake", f"s3://{bucket}/lake"]
    done = box.fruits("emr", "run", *words)
    assert done.returncode == 0, done.stderr
    assert "fruits gold: completed" in done.stderr
    hosts = asked_since(box, before, bucket)
    own = {(f"{service}.{REGION}.amazonaws.com", REGION) for service in (*SERVICES, *CHECKED)}
    regional = {(f"{REGION}.elasticmapreduce.amazonaws.com", REGION)}
    assert hosts <= own | regional
    assert {service for service in SERVICES if any(service in host for host, _ in hosts)} == {*SERVICES}
    down = box.fruits("emr", "status")
    assert down.returncode == 0, down.stderr


def commands_of_first_run(bucket: str) -> list[str]:
    """The page's commands `fruits …`, in its order, with its placeholders filled, but for the cluster's name."""
    found = re.findall(r"`(?:time )?(fruits [^`|]*?)(?: 2>&1)?(?: \|[^`]*)?`|CLUSTER=\$\((fruits [^\n]*)\)", FIRST_RUN)
    filled = ((one or other).replace("--images …", '--images "s3://$BUCKET/photographs"') for one, other in found)
    return [one.replace("$BUCKET", bucket).replace('"', "") for one in filled]


def words_of(command: str) -> list[str]:
    """The arguments; a query is one of them."""
    before, select, query = command.removeprefix("fruits ").partition("SELECT ")
    return [*before.split(), *([select + query] if query else [])]


@pytest.mark.slow
def test_page_of_the_first_run_says_what_can_be_said(box: Box, bucket: str, twelve: str) -> None:
    """Each command is taken, in the page's order, and ends as the page expects where moto lets it."""
    box.call(put_environment, bucket)
    box.call(fill, bucket, twelve, "photographs/")
    box.tell("complete_steps")
    lake = box.fruits("run", "--images", f"s3://{bucket}/photographs", "--lake", f"s3://{bucket}/lake")
    assert lake.returncode == 0, lake.stderr  # moto's clusters run nothing, so this is what theirs would have written
    cluster, seen = "", []
    for command in commands_of_first_run(bucket):
        words = [word.replace("$CLUSTER", cluster) for word in words_of(command)]
        done = box.fruits(*words)
        seen.append(" ".join(words[:2]) if words[0] == "emr" else words[0])
        assert "Traceback" not in done.stderr
        assert done.returncode != 2, done.stderr  # which says that the call is wrong
        assert done.returncode == 0 or seen[-1] in ELSEWHERE, done.stderr
        if seen[-1] == "emr up":
            cluster = done.stdout.strip()
    named = {"emr check", "emr prices", "emr run", "emr up", "emr down", "emr status", "sql"}
    assert {*seen} == named
    assert seen.count("emr run") == 3
    assert {tuple(one) for one in re.findall(r"(Apple|Kiwi)\W+(\d+)", done.stdout)} == {("Apple", "6"), ("Kiwi", "6")}
