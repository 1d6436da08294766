"""`fruits emr run`: a cluster is made as asked for, followed to its end, and ended in every case."""

import _thread
import re
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from fruits.console import log
from fruits.emr.aws import AwsError
from fruits.emr.cluster import Clusters, StepFailedError
from fruits.emr.run import bring_up, run_serverless, run_standing, run_transient
from fruits.emr.settings import load_emr_settings
from fruits.operations.run import LAYERS
from fruits.settings import Settings, load_settings
from lakehouse.errors import SettingsError
from tests.fruits.emr.conftest import (
    REGION,
    complete_a_step,
    emr_backend,
    fail_silver,
    serverless_backend,
    settings_in,
)

GettingOn = Callable[[Callable[[], None]], None]
LOG = "\n".join([*(f"line {number}" for number in range(100)), "ValueError: the 100th photograph is no photograph"])


def clusters() -> list[Any]:
    """All clusters there ever were."""
    return [*emr_backend().clusters.values()]


def test_cluster_is_made_with_delta_and_ended_when_its_steps_are_done(
    aws: dict[str, str], settings: Settings, getting_on: GettingOn, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the stack says: roles, security, subnet; a step a layer, in order; and what it cost is said."""
    getting_on(complete_a_step)
    run_transient(load_emr_settings(), settings, pause=0.05)
    (cluster,) = clusters()
    described = boto3.client("emr", region_name=REGION).describe_cluster(ClusterId=cluster.id)["Cluster"]
    assert described["ReleaseLabel"] == "emr-spark-8.1.0"
    found = {one["Classification"]: one["Properties"] for one in described["Configurations"]}
    assert found["delta-defaults"] == {"delta.enabled": "true"}
    assert found["spark-defaults"]["spark.sql.extensions"] == "io.delta.sql.DeltaSparkSessionExtension"
    assert found["spark-defaults"]["spark.pyspark.python"] == "/opt/fruits/bin/python"
    assert described["SecurityConfiguration"] == aws["SecurityConfiguration"]
    assert described["ServiceRole"] == aws["ServiceRole"]
    assert described["Ec2InstanceAttributes"]["IamInstanceProfile"] == aws["InstanceProfile"]
    assert described["Ec2InstanceAttributes"]["Ec2SubnetId"] == aws["Subnet"]
    assert {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"} in described["Tags"]
    assert [(group.role, group.instance_type, group.num_instances) for group in cluster.instance_groups] == [
        ("MASTER", "m5.xlarge", 1),
        ("CORE", "m5.xlarge", 2),
    ]
    assert [step.name for step in cluster.steps] == [f"fruits {layer}" for layer in LAYERS]
    assert {step.state for step in cluster.steps} == {"COMPLETED"}
    assert cluster.state == "TERMINATED"
    said = capsys.readouterr().err
    assert "fruits gold: completed" in said
    assert re.search(r"ran for \d+ minutes: about 0\.\d\d USD by the prices of \d{4}-\d\d-\d\d in eu-west-3", said)


def test_code_is_where_the_bootstrap_action_looks_for_it(
    aws: dict[str, str], settings: Settings, getting_on: GettingOn
) -> None:
    """Under one prefix named by its content, which the next run finds there."""
    getting_on(complete_a_step)
    for _ in range(2):
        run_transient(load_emr_settings(), settings, pause=0.05)
    found = boto3.client("s3").list_objects_v2(Bucket=aws["Bucket"], Prefix="code/")["Contents"]
    keys = {one["Key"] for one in found} - {"code/weights.h5"}
    (prefix,) = {"/".join(key.split("/")[:2]) for key in keys}
    assert re.fullmatch(r"code/[0-9a-f]{12}", prefix)
    assert {key.removeprefix(f"{prefix}/") for key in keys} == {
        *("emr.sh", "job.py", "requirements-emr.lock", "requirements-emr-model.lock", "settings.yaml"),
        "fruits_lakehouse-0.1.0-py3-none-any.whl",
    }
    action = clusters()[0].bootstrap_actions[0]
    assert action.script_path == f"s3://{aws['Bucket']}/{prefix}/emr.sh"
    assert action.args == [f"s3://{aws['Bucket']}/{prefix}", "--prefix", "/opt/fruits"]


def test_scaling_spot_and_graviton_are_asked_for(
    aws: dict[str, str], settings: Settings, getting_on: GettingOn
) -> None:
    """Core nodes stay on demand; what may be taken away are task nodes."""
    getting_on(complete_a_step)
    emr = load_emr_settings(primary="m6g.xlarge", core="m6g.xlarge", max_core_nodes=6, task_nodes=4, glue=True)
    run_transient(emr, settings, pause=0.05)
    (cluster,) = clusters()
    groups = {group.role: (group.instance_type, group.num_instances, group.market) for group in cluster.instance_groups}
    assert groups["TASK"] == ("m6g.xlarge", 4, "SPOT")
    assert groups["CORE"] == ("m6g.xlarge", 2, "ON_DEMAND")
    found = {one["Classification"]: one["Properties"] for one in cluster.configurations}
    assert found["spark-hive-site"]["hive.metastore.client.factory.class"].endswith(
        "AWSGlueDataCatalogHiveClientFactory"
    )


def test_failed_step_shows_its_own_last_lines_and_ends_the_cluster(
    aws: dict[str, str], settings: Settings, getting_on: GettingOn
) -> None:
    """The name of the step, the last lines of its log, and no cluster that costs."""
    getting_on(fail_silver(aws["Bucket"], LOG))
    with pytest.raises(StepFailedError) as caught:
        run_transient(load_emr_settings(), settings, pause=0.05, patience=20)
    said = str(caught.value)
    assert said.startswith("The step fruits silver (s-")
    assert said.endswith("line 99\nValueError: the 100th photograph is no photograph")
    assert "line 60\n" not in said.partition("line 61")[0]
    assert [cluster.state for cluster in clusters()] == ["TERMINATED"]


def test_log_that_does_not_come_is_said_to_come(aws: dict[str, str], settings: Settings, getting_on: GettingOn) -> None:
    """EMR may take minutes: after a while the place is named instead."""

    def fail() -> None:
        for cluster in clusters():
            for step in cluster.steps:
                step.state = "FAILED"

    getting_on(fail)
    with pytest.raises(StepFailedError, match=r"fruits bronze \(s-\w+\) failed. Its log is not at s3://.*/logs/.* yet"):
        run_transient(load_emr_settings(), settings, pause=0.05, patience=0.2)


def test_cluster_that_dies_in_its_bootstrap_says_why(
    aws: dict[str, str], settings: Settings, getting_on: GettingOn
) -> None:
    """EMR's reason, though no step ever ran."""

    def die() -> None:
        for cluster in clusters():
            cluster.last_state_change_reason = "bootstrap action 1 returned a non-zero return code"
            cluster.state = "TERMINATED_WITH_ERRORS"

    getting_on(die)
    with pytest.raises(
        StepFailedError, match="ended before its steps were done: bootstrap action 1 returned a non-zero"
    ):
        run_transient(load_emr_settings(), settings, pause=0.05, patience=0.2)


@pytest.mark.parametrize(
    ("terminal", "answer", "state"), [(True, "n", "alive"), (True, "y", "TERMINATED"), (False, "", "TERMINATED")]
)
def test_interrupted_run_asks_whether_to_end_the_cluster(
    aws: dict[str, str],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    terminal: bool,
    answer: str,
    state: str,
) -> None:
    """Ctrl-C: who answers no keeps it, and is told how to end it; where nobody can be asked it is ended."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: terminal, raising=False)
    monkeypatch.setattr("typer.confirm", lambda *_, **__: answer == "y")

    def interrupt() -> None:
        while not (emr_backend().clusters and clusters()[0].steps):
            time.sleep(0.01)
        _thread.interrupt_main()

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run_transient(load_emr_settings(), settings, pause=30)
    (cluster,) = clusters()
    assert (cluster.state == "TERMINATED") == (state == "TERMINATED")
    assert ("`fruits emr down` ends it" in capsys.readouterr().err) == (state == "alive")


def test_standing_cluster_takes_steps_and_stays(
    aws: dict[str, str], settings: Settings, getting_on: GettingOn, capsys: pytest.CaptureFixture[str]
) -> None:
    """Up with an idle timeout, run twice, seen by status, ended by down."""
    getting_on(complete_a_step)
    cluster = bring_up(load_emr_settings(idle_minutes=45), settings)
    for _ in range(2):
        run_standing(load_emr_settings(), cluster, pause=0.05)
    (found,) = clusters()
    assert [step.name for step in found.steps] == 2 * [f"fruits {layer}" for layer in LAYERS]
    assert {step.action_on_failure for step in found.steps} == {"CANCEL_AND_WAIT"}
    assert not found.auto_terminate
    from fruits.emr.aws import completed

    seen = Clusters(completed(load_emr_settings()), log).running()
    assert [(one.cluster, one.steps) for one in seen] == [(cluster, [])]
    Clusters(load_emr_settings(), log).end(cluster)
    assert Clusters(load_emr_settings(), log).running() == []
    assert found.state == "TERMINATED"


def finish_job(state: str) -> Callable[[], None]:
    """Every job of EMR Serverless that was submitted ends in this state."""

    def move() -> None:
        for jobs in [*serverless_backend().job_runs.values()]:
            for job in jobs:
                job.state = state

    return move


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch, s3_objects: None) -> None:
    """An environment that is packed already: fetching it takes a minute and a network; it has a test of its own."""
    # moto knows no release whose name begins with emr-spark.
    monkeypatch.setattr("moto.emrserverless.models.re", SimpleNamespace(match=lambda _, label: "emr-spark-8" in label))
    monkeypatch.setattr("moto.emrserverless.models.JOB_STATUS", "RUNNING")  # where a job begins: there, at its success
    monkeypatch.setattr(
        "fruits.emr.run.write_environment", lambda files, _, to: to.write(b"packed " + files["settings.yaml"])
    )
    monkeypatch.setattr(
        "silver.encoders.mobilenet.converted_model", lambda weights, folder: (f"{weights} {folder}", "")
    )


@pytest.fixture
def s3_objects(aws: dict[str, str]) -> None:
    """Something like weights in the stack's bucket."""
    boto3.client("s3", region_name=REGION).put_object(Bucket=aws["Bucket"], Key="code/weights.h5", Body=b"weights")


def test_serverless_runs_a_job_a_layer_and_removes_the_application(
    aws: dict[str, str], settings: Settings, getting_on: GettingOn, packed: None
) -> None:
    """With the job's role, the environment beside each worker, and nothing left that could cost."""
    getting_on(finish_job("SUCCESS"))
    run_serverless(load_emr_settings(), settings, pause=0.05)
    ((application, jobs),) = serverless_backend().job_runs.items()
    assert [job.name for job in jobs] == [f"fruits {layer}" for layer in LAYERS]
    assert {job.execution_role_arn for job in jobs} == {aws["JobRole"]}
    assert jobs[1].job_driver is not None
    submit = jobs[1].job_driver["sparkSubmit"]
    assert submit["entryPointArguments"][:3] == ["silver", "--config", "./environment/settings.yaml"]
    (environment,) = re.findall(r"spark\.archives=(\S+)#environment", str(submit["sparkSubmitParameters"]))
    content = boto3.client("s3").get_object(Bucket=aws["Bucket"], Key=environment.split("/", 3)[3])["Body"].read()
    assert f"lake: s3://{aws['Bucket']}/lake".encode() in content
    assert serverless_backend().applications[application].state == "TERMINATED"


def test_serverless_job_that_fails_removes_the_application_too(
    aws: dict[str, str], settings: Settings, getting_on: GettingOn, packed: None
) -> None:
    """The job and its state are named, and where its log will be."""
    getting_on(finish_job("FAILED"))
    with pytest.raises(StepFailedError, match=r"fruits bronze \(\w+\) failed.*/logs/applications/.*SPARK_DRIVER yet"):
        run_serverless(load_emr_settings(), settings, pause=0.05, patience=0.2)
    assert {one.state for one in serverless_backend().applications.values()} == {"TERMINATED"}


def test_missing_stack_is_named_with_what_makes_it(no_stack: None) -> None:
    """Before anything is uploaded or made."""
    with pytest.raises(AwsError, match=r"stack fruits in eu-west-3 cannot be read .*bootstrap/infrastructure.json"):
        run_transient(load_emr_settings(), settings_in("fruits"))
    assert clusters() == []


def test_no_credentials_say_how_to_give_some(no_stack: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for S3."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(AwsError, match=r"Unable to locate credentials\. Set AWS_PROFILE"):
        run_transient(load_emr_settings(), settings_in("fruits"))


def test_local_folder_is_refused_before_anything_is_made(aws: dict[str, str]) -> None:
    """A cluster cannot reach it."""
    with pytest.raises(SettingsError, match=r"`images` is file:///.*which a cluster cannot reach"):
        run_transient(load_emr_settings(), load_settings(images="/photographs", lake="s3://fruits/lake"))
    assert clusters() == []
