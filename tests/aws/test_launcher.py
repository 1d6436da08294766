"""The permissions that `docs/emr.md` names for whoever launches, as a role that `fruits emr` works by."""

import json

import boto3
import pytest

from tests.aws.box import Box
from tests.aws.inside import REGION
from tests.aws.stack import make_stack
from tests.aws.test_emr import put_photograph
from tests.fruits.emr.test_permissions_document import named

ROLE = "launcher"


def make_role(actions: list[str]) -> None:
    """A role that may do this and nothing else, whatever it is done to."""
    client = boto3.client("iam", region_name=REGION)
    client.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []}))
    statement = {"Sid": "Launch", "Effect": "Allow", "Action": actions, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    client.put_role_policy(RoleName=ROLE, PolicyName="launch", PolicyDocument=document)


@pytest.mark.slow
def test_page_names_all_that_a_launcher_asks(box: Box) -> None:
    """A cluster from check to end, a standing one, and jobs without one; nothing is refused."""
    bucket = box.call(make_stack, "launched")["Bucket"]
    box.call(put_photograph, bucket)
    box.tell("complete_steps")
    # Whoever makes the stack is an administrator, and allowed everything in it.
    box.call(make_role, sorted(one for one in named() if one != "cloudformation:*"))
    words = ["--stack", "launched", "--images", f"s3://{bucket}/photographs", "--lake", f"s3://{bucket}/lake"]
    with box.role(ROLE):
        box.fruits("emr", "check", *words)  # which tells what moto lacks
        for command in (["run", *words], ["up", *words], ["status", "--stack", "launched"]):
            done = box.fruits("emr", *command)
            assert done.returncode == 0, done.stderr
        down = box.fruits("emr", "down", "--yes", "--stack", "launched")
        assert down.returncode == 0, down.stderr
    asked = [one for one in box.requests() if one["role"] == ROLE]
    assert [one["refused"] for one in asked if one["refused"]] == []
    actions = {question["action"] for one in asked for question in one["asked"]}
    assert {"elasticmapreduce:RunJobFlow", "cloudformation:DescribeStacks", "ec2:DescribeInstanceTypes"} <= actions
    print(f"{len(asked)} requests, {len(actions)} actions: {', '.join(sorted(actions))}")
