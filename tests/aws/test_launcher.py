"""The permissions that `docs/emr.md` names for whoever launches, as a role that `fruits emr` works by."""

import json
import signal
import sys
from typing import Any

import boto3
import pytest

from tests.aws.box import Box
from tests.aws.buckets import fill
from tests.aws.inside import REGION
from tests.aws.stack import make_stack
from tests.aws.test_emr import put_environment, put_photograph
from tests.fruits.emr.test_permissions_document import named

ROLE = "launcher"


def make_role(name: str, actions: list[str]) -> None:
    """A role that may do this and nothing else, whatever it is done to."""
    client = boto3.client("iam", region_name=REGION)
    client.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []}))
    statement = {"Sid": "Launch", "Effect": "Allow", "Action": actions, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    client.put_role_policy(RoleName=name, PolicyName="launch", PolicyDocument=document)


def make_standing_stack(name: str) -> dict[str, str]:
    """The stack with what schedules need; returns its outputs."""
    return make_stack(name, Schedules="true")


def asked_by(box: Box, role: str) -> list[dict[str, Any]]:
    """The requests of a role; none of them was refused."""
    asked = [one for one in box.requests() if one["role"] == role]
    assert [one["refused"] for one in asked if one["refused"]] == []
    return asked


def actions_of(asked: list[dict[str, Any]]) -> set[str]:
    """What these requests wanted to do."""
    return {question["action"] for one in asked for question in one["asked"]}


@pytest.mark.slow
def test_page_names_all_that_a_launcher_asks(box: Box) -> None:
    """A cluster from check to end, a standing one, and jobs without one; nothing is refused."""
    bucket = box.call(make_stack, "launched")["Bucket"]
    box.call(put_photograph, bucket)
    box.tell("complete_steps")
    # Whoever makes the stack is an administrator, and allowed everything in it.
    box.call(make_role, ROLE, sorted(one for one in named() if one != "cloudformation:*"))
    words = ["--stack", "launched", "--images", f"s3://{bucket}/photographs", "--lake", f"s3://{bucket}/lake"]
    with box.role(ROLE):
        box.fruits("emr", "check", *words)  # which tells what moto lacks
        for command in (["run", *words], ["up", *words], ["status", "--stack", "launched"]):
            done = box.fruits("emr", *command)
            assert done.returncode == 0, done.stderr
        down = box.fruits("emr", "down", "--yes", "--stack", "launched")
        assert down.returncode == 0, down.stderr
    asked = asked_by(box, ROLE)
    actions = actions_of(asked)
    assert {"elasticmapreduce:RunJobFlow", "cloudformation:DescribeStacks", "ec2:DescribeInstanceTypes"} <= actions
    print(f"{len(asked)} requests, {len(actions)} actions: {', '.join(sorted(actions))}")


@pytest.mark.slow
def test_page_names_all_that_schedules_ask(box: Box) -> None:
    """Made, made anew, shown and removed, by what the page's row for it says."""
    bucket = box.call(make_standing_stack, "scheduled")["Bucket"]
    box.call(put_photograph, bucket)
    box.call(put_environment, bucket, "scheduled")
    box.call(make_role, "scheduler", sorted(named("schedule") | named("every command")))
    stack = ["--stack", "scheduled"]
    words = ["--images", f"s3://{bucket}/photographs", "--lake", f"s3://{bucket}/lake", *stack]
    with box.role("scheduler"):
        for when in ("rate(1 day)", "cron(30 4 * * ? *)"):
            done = box.fruits("emr", "schedule", when, "--on-arrival", *words)
            assert done.returncode == 0, done.stderr
        shown = box.fruits("emr", "schedule", "--show", *stack)
        removed = box.fruits("emr", "unschedule", *stack)
    assert shown.returncode == 0, shown.stderr
    assert "cron(30 4 * * ? *)" in shown.stdout
    assert removed.returncode == 0, removed.stderr
    assert "Removed: arrival, clock." in removed.stdout
    scheduling = {"CreateSchedule", "UpdateSchedule", "GetSchedule", "ListSchedules", "DeleteSchedule"}
    asked = actions_of(asked_by(box, "scheduler"))
    assert {f"scheduler:{name}" for name in scheduling} <= asked
    assert {"events:EnableRule", "events:DisableRule", "states:ListExecutions", "sqs:GetQueueAttributes"} <= asked


@pytest.mark.slow
def test_page_names_all_that_a_lake_asks_of_who_watches_it(box: Box, twelve: str) -> None:
    """On a machine of one's own, with photographs and lake in the stack's bucket."""
    bucket = box.call(make_stack, "watched")["Bucket"]
    box.call(fill, bucket, twelve, "photographs/")
    box.call(make_role, "watcher", sorted(named("a lake on S3")))
    words = ["--images", f"s3://{bucket}/photographs", "--lake", f"s3://{bucket}/lake", "--format", "json"]
    with (
        box.role("watcher"),
        box.start(sys.executable, "-m", "fruits", "watch", "--every", "1h", *words) as process,
    ):
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert (first["bronze"]["ingested"], first["gold"]["projected"]) == (12, 12)
    assert {"s3:PutObject", "s3:DeleteObject", "kms:Decrypt"} <= actions_of(asked_by(box, "watcher"))
