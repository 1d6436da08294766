"""What is said where a cluster ends early or a step fails: the log of the node that failed, and EMR's own words."""

import gzip
import time
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient

from fruits.emr.cluster import StepFailedError
from fruits.emr.run import run_transient
from fruits.emr.settings import load_emr_settings
from fruits.settings import Settings
from tests.fruits.emr.conftest import emr_backend

GettingOn = Callable[[Callable[[], None]], None]


def put_log(bucket: str, key: str, text: str) -> None:
    """A log as EMR puts it there."""
    boto3.client("s3").put_object(Bucket=bucket, Key=f"logs/{key}", Body=gzip.compress(text.encode()))


def dying(reason: str, logs: dict[str, str], bucket: str) -> Callable[[], None]:
    """Every cluster ends for a reason, with logs of its nodes."""

    def die() -> None:
        clusters: list[Any] = [*emr_backend().clusters.values()]
        for cluster in clusters:
            for node, text in logs.items():
                put_log(bucket, f"{cluster.id}/node/{node}/bootstrap-actions/1/stderr.gz", text)
            cluster.last_state_change_reason = reason
            cluster.state = "TERMINATED_WITH_ERRORS"

    return die


def said_by_run(settings: Settings, patience: float) -> str:
    """The error of a run."""
    with pytest.raises(StepFailedError) as caught:
        run_transient(load_emr_settings(), settings, pause=0.05, patience=patience)
    return str(caught.value)


def test_log_of_a_bootstrap_is_that_of_the_node_that_failed(
    aws: dict[str, str], settings: Settings, getting_on: GettingOn
) -> None:
    """Not the first by its name, which may be one where all went well."""
    reason = "On the master instance (i-0bbb), bootstrap action 1 returned a non-zero return code"
    logs = {"i-0aaa": "this node is well", "i-0bbb": "hashes do not match", "i-0ccc": "well, too"}
    getting_on(dying(reason, logs, aws["Bucket"]))
    said = said_by_run(settings, patience=20)
    assert reason in said
    assert said.endswith("hashes do not match")


def test_log_without_a_nodes_name_is_one_that_says_something(
    aws: dict[str, str], settings: Settings, getting_on: GettingOn
) -> None:
    """A node that succeeded leaves an empty one."""
    logs = {"i-0aaa": "", "i-0bbb": "no space left"}
    getting_on(dying("bootstrap action 1 failed", logs, aws["Bucket"]))
    assert said_by_run(settings, patience=20).endswith("no space left")


def test_cluster_that_ends_for_another_reason_waits_for_no_log(
    aws: dict[str, str], settings: Settings, getting_on: GettingOn
) -> None:
    """There is none of a machine that was never had."""
    reason = "The requested number of instances exceeds your EC2 quota"
    getting_on(dying(reason, {}, aws["Bucket"]))
    begun = time.monotonic()
    assert said_by_run(settings, patience=120).endswith(f"ended before its steps were done: {reason}.")
    assert time.monotonic() - begun < 60


def test_step_that_fails_tells_what_emr_makes_of_it(
    aws: dict[str, str], settings: Settings, getting_on: GettingOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its FailureDetails, which moto does not know, beside the log."""
    details = {"Reason": "Unknown Error.", "Message": "Exception in thread main", "LogFile": "s3://b/stderr.gz"}
    asked = BaseClient._make_api_call

    def detailed(client: BaseClient, operation: str, request: dict[str, Any]) -> Any:
        answer = asked(client, operation, request)
        for step in answer.get("Steps", ()) if operation == "ListSteps" else ():
            step["Status"]["FailureDetails"] = details
        return answer

    monkeypatch.setattr(BaseClient, "_make_api_call", detailed)

    def fail() -> None:
        for cluster in [*emr_backend().clusters.values()]:
            for step in cluster.steps:
                put_log(aws["Bucket"], f"{cluster.id}/steps/{step.id}/stderr.gz", "the last line")
                step.state = "FAILED"

    getting_on(fail)
    said = said_by_run(settings, patience=20)
    assert " failed. Unknown Error. Exception in thread main. The last lines of " in said
    assert said.endswith("the last line")
