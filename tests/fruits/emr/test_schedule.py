"""`fruits emr schedule`: made, triggered, run by a state machine, told when it fails, shown and taken away.

moto's server executes the state machine that the template makes; its schedules do not fire by themselves, so the tests
start what a schedule's target names, with its input, as EventBridge Scheduler does.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto.core.config import default_user_config
from moto.emrserverless.models import JobRun
from typer.testing import CliRunner, Result

from fruits.cli.emr import app
from fruits.emr.schedule import to_step_functions
from fruits.emr.serverless_request import start_job_run
from fruits.emr.settings import load_emr_settings
from fruits.settings import Settings
from lakehouse.errors import LakehouseError, SettingsError
from tests.bootstrap.conftest import ROOT
from tests.fruits.emr.conftest import REGION, STACK, serverless_backend, valid
from tests.more_moto import silent_where_disabled, sync_jobs, to_api

Triggered = Callable[..., dict[str, Any]]
PATIENCE = 60.0  # seconds for what is waited for; a test that waits so long has failed
NO_CODE = "A run of the stack fruits in eu-west-3 failed (attempt 1). "


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch, moto_server: str) -> list[int]:
    """The seconds that state machines have waited, which takes no time."""
    seconds: list[int] = []
    sync_jobs(monkeypatch, seconds)
    silent_where_disabled(monkeypatch)
    monkeypatch.setenv("MOTO_PORT", moto_server.rpartition(":")[2])
    monkeypatch.setitem(default_user_config["stepfunctions"], "execute_state_machine", True)
    monkeypatch.setattr("fruits.emr.run.write_environment", lambda *given: given[-1].write(b"packed"))
    monkeypatch.setattr("fruits.emr.run._with_weights", lambda _, settings: settings)
    return seconds


@pytest.fixture
def stack(waited: list[int], no_stack: None) -> dict[str, str]:
    """The stack with what schedules need; returns its outputs."""
    client = boto3.client("cloudformation", region_name=REGION)
    client.create_stack(
        StackName=STACK,
        TemplateBody=(ROOT / "bootstrap" / "infrastructure.json").read_text(),
        Parameters=[{"ParameterKey": "Schedules", "ParameterValue": "true"}],
        Capabilities=["CAPABILITY_IAM"],
    )
    (made,) = client.describe_stacks(StackName=STACK)["Stacks"]
    outputs = {one["OutputKey"]: one["OutputValue"] for one in made["Outputs"]}
    # moto's CloudFormation leaves out what a bucket tells; tests/bootstrap reads it in the template.
    boto3.client("s3", region_name=REGION).put_bucket_notification_configuration(
        Bucket=outputs["Bucket"], NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    return outputs


@pytest.fixture
def job_ends(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """How jobs end, one after the other: state and details; the last one counts for all that follow."""
    ends: list[tuple[str, str]] = [("SUCCESS", "")]
    begin = JobRun.__init__

    def begin_and_end(job: JobRun, *arguments: Any, **more: Any) -> None:
        begin(job, *arguments, **more)
        job.state, job.state_details = ends.pop(0) if len(ends) > 1 else ends[0]

    monkeypatch.setattr(JobRun, "__init__", begin_and_end)
    return ends


@pytest.fixture
def trigger(stack: dict[str, str]) -> Triggered:
    """Do what EventBridge Scheduler does when a schedule's time has come; returns the execution when it is over."""

    def begin(name: str) -> dict[str, Any]:
        found = boto3.client("scheduler", region_name=REGION).get_schedule(GroupName=stack["ScheduleGroup"], Name=name)
        machines = boto3.client("stepfunctions", region_name=REGION)
        started = machines.start_execution(
            stateMachineArn=found["Target"]["Arn"], name=str(uuid.uuid4()), input=found["Target"]["Input"]
        )
        end = time.monotonic() + PATIENCE
        while (described := machines.describe_execution(**arn_of(started)))["status"] == "RUNNING":
            assert time.monotonic() < end, "the state machine never ended"
            time.sleep(0.02)
        return dict(described)

    return begin


@pytest.fixture
def told(stack: dict[str, str]) -> Iterator[Callable[[], list[str]]]:
    """The messages on the stack's topic, read by somebody who has subscribed."""
    queues = boto3.client("sqs", region_name=REGION)
    url = queues.create_queue(QueueName="reader")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    boto3.client("sns", region_name=REGION).subscribe(TopicArn=stack["Topic"], Protocol="sqs", Endpoint=arn)

    def read() -> list[str]:
        found = queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(one["Body"])["Message"] for one in found]

    yield read
    queues.delete_queue(QueueUrl=url)


def arn_of(started: Any) -> dict[str, str]:
    """What names an execution."""
    return {"executionArn": started["executionArn"]}


def command(*words: str) -> Result:
    """What a command of `fruits emr` says."""
    return CliRunner().invoke(app, [*words])


def scheduled(stack: dict[str, str], *words: str) -> Result:
    """What `fruits emr schedule` says, with photographs and lake in the stack's bucket."""
    s3 = f"s3://{stack['Bucket']}"
    result = command("schedule", *words, "--images", f"{s3}/photographs", "--lake", f"{s3}/lake")
    assert result.exit_code == 0, result.output + str(result.exception)
    return result


def jobs() -> list[JobRun]:
    """The jobs that were started."""
    return [job for runs in serverless_backend().job_runs.values() for job in runs]


def arrive(stack: dict[str, str], *keys: str) -> None:
    """Put photographs into the bucket."""
    for key in keys:
        boto3.client("s3").put_object(Bucket=stack["Bucket"], Key=key, Body=b"photograph")


def waiting(stack: dict[str, str]) -> int:
    """The messages in the queue of arrivals."""
    asked = {"QueueUrl": stack["Arrivals"], "AttributeNames": ["ApproximateNumberOfMessages"]}
    found = boto3.client("sqs", region_name=REGION).get_queue_attributes(**asked)["Attributes"]
    return int(found["ApproximateNumberOfMessages"])


def test_schedule_runs_one_job_of_all_layers(
    stack: dict[str, str], job_ends: list[Any], trigger: Triggered, told: Callable[[], list[str]]
) -> None:
    """On the standing application, with the code that was sent, in the stack's role and logs."""
    said = scheduled(stack, "rate(1 days)").stdout
    assert said.startswith("A run starts by rate(1 day), with the code ")
    done = trigger("clock")
    assert (done["status"], json.loads(done["output"])) == ("SUCCEEDED", {"ran": True})
    (job,) = jobs()
    assert (job.application_id, job.execution_role_arn) == (stack["Application"], stack["JobRole"])
    assert (job.name, job.execution_timeout_minutes) == ("fruits run", 360)
    assert job.job_driver is not None
    arguments = job.job_driver["sparkSubmit"]["entryPointArguments"]
    assert arguments[:3] == ["run", "--config", "./environment/settings.yaml"]
    assert arguments[arguments.index("--busy-status") + 1] == "75"
    assert job.tags == {"project": "fruits", "stack": STACK}
    assert stack["LogGroup"] in json.dumps(job.configuration_overrides)
    assert told() == []


def test_run_that_fails_is_told_once_and_not_tried_again(
    stack: dict[str, str],
    job_ends: list[Any],
    trigger: Triggered,
    told: Callable[[], list[str]],
    waited: list[int],
) -> None:
    """It has cost money, and would again; the message says why, and where the logs are."""
    job_ends[:] = [("FAILED", "Job failed. ExitCode: 1. Last few exceptions: No space left on device")]
    scheduled(stack, "cron(30 4 * * ? *)")
    done = trigger("clock")
    assert (done["status"], done["error"]) == ("FAILED", "RunFailed")
    assert (len(jobs()), waited) == (1, [])
    (message,) = told()
    assert message.startswith(f"{NO_CODE}Job failed. ExitCode: 1. Last few exceptions: No space left on device ")
    assert f"the log group {stack['LogGroup']}" in message
    shown = command("schedule", "--show").stdout
    assert "and failed at" in shown
    assert "No space left on device" in shown


def test_lake_that_is_held_is_waited_for(
    stack: dict[str, str], job_ends: list[Any], trigger: Triggered, told: Callable[[], list[str]], waited: list[int]
) -> None:
    """Longer each time, without an application that costs meanwhile; nobody is told where it works out."""
    job_ends[:] = [("FAILED", "Job failed. ExitCode: 75. Last few exceptions: "), ("SUCCESS", "")]
    scheduled(stack, "rate(1 day)")
    assert trigger("clock")["status"] == "SUCCEEDED"
    assert (len(jobs()), waited, told()) == (2, [300], [])
    job_ends[:] = [("FAILED", "Job failed. ExitCode: 75. Last few exceptions: ")]
    assert trigger("clock")["status"] == "FAILED"
    assert (len(jobs()), waited) == (2 + 5, [300, 300, 600, 1200, 2400])
    (message,) = told()
    assert "(attempt 5). Another run held the lake each time." in message


def test_job_that_cannot_start_is_told(
    stack: dict[str, str], trigger: Triggered, told: Callable[[], list[str]]
) -> None:
    """As with a role that was taken away, or an application that is gone."""
    scheduled(stack, "rate(1 day)")
    del serverless_backend().applications[stack["Application"]]
    assert trigger("clock")["status"] == "FAILED"
    (message,) = told()
    assert message.startswith(NO_CODE)
    assert stack["Application"] in message


def test_arrivals_are_gathered_into_one_run(
    stack: dict[str, str], job_ends: list[Any], trigger: Triggered, waited: list[int]
) -> None:
    """However many; what arrives later waits for the next; and a look that finds none starts nothing."""
    arrive(stack, "photographs/Apple/0.png")
    assert waiting(stack) == 0  # nobody has asked for it yet
    scheduled(stack, "--on-arrival", "--gather", "10m")
    assert json.loads(trigger("arrival")["output"]) == {"ran": False, "why": "no photograph had arrived"}
    assert jobs() == []
    arrive(stack, *(f"photographs/Apple/{number}.png" for number in range(1, 6)), "lake/x", "code/y")
    assert waiting(stack) == 5
    assert "About 5 photographs have arrived" in command("schedule", "--show").stdout
    assert json.loads(trigger("arrival")["output"]) == {"ran": True}
    assert (len(jobs()), waited, waiting(stack)) == (1, [60], 0)
    assert json.loads(trigger("arrival")["output"])["ran"] is False
    arrive(stack, "photographs/Apple/6.png")
    assert waiting(stack) == 1


def test_arrivals_wait_while_another_run_goes_on(
    stack: dict[str, str], job_ends: list[Any], trigger: Triggered
) -> None:
    """No second run piles up behind it, and none of what arrived is forgotten."""
    job_ends[:] = [("RUNNING", "")]
    scheduled(stack, "rate(1 day)", "--on-arrival")
    found = boto3.client("scheduler", region_name=REGION).get_schedule(GroupName=stack["ScheduleGroup"], Name="clock")
    machines = boto3.client("stepfunctions", region_name=REGION)
    started = machines.start_execution(
        stateMachineArn=found["Target"]["Arn"], name="long", input=found["Target"]["Input"]
    )
    arrive(stack, "photographs/Apple/0.png")
    assert json.loads(trigger("arrival")["output"]) == {"ran": False, "why": "another run went on"}
    assert "and goes on." in command("schedule", "--show").stdout
    assert waiting(stack) == 1
    machines.stop_execution(**arn_of(started))
    job_ends[:] = [("SUCCESS", "")]
    assert json.loads(trigger("arrival")["output"]) == {"ran": True}


def test_show_says_when_the_next_runs_are_and_unschedule_takes_them_away(stack: dict[str, str]) -> None:
    """With the time zone that the user meant."""
    assert "has no schedule: no run starts by itself." in command("schedule", "--show").stdout
    scheduled(stack, "cron(30 4 * * ? *)", "--timezone", "Europe/Paris", "--on-arrival")
    shown = json.loads(command("schedule", "--show", "--format", "json").stdout)
    by_name = {one["trigger"]: one for one in shown["schedules"]}
    assert {name: one["expression"] for name, one in by_name.items()} == {
        "arrival": "rate(15 minutes)",
        "clock": "cron(30 4 * * ? *)",
    }
    assert [len(one["next"]) for one in by_name.values()] == [3, 3]
    assert all(":30:00" in one for one in by_name["clock"]["next"])
    assert shown["last_run"] is None
    assert "No run has started by itself yet." in command("schedule", "--show").stdout
    assert command("unschedule").stdout == "Removed: arrival, clock.\n"
    assert command("unschedule").stdout == "The stack fruits has no schedule.\n"
    arrive(stack, "photographs/Apple/0.png")
    assert waiting(stack) == 0


def test_schedule_takes_the_place_of_the_one_before(stack: dict[str, str]) -> None:
    """There is one by the clock, with the newest code."""
    scheduled(stack, "rate(1 day)")
    scheduled(stack, "rate(2 hours)")
    (only,) = json.loads(command("schedule", "--show", "--format", "json").stdout)["schedules"]
    assert only["expression"] == "rate(2 hours)"


def test_stack_without_schedules_is_told_how_to_get_them(aws: dict[str, str]) -> None:
    """They are off by default."""
    for words in (["schedule", "--show"], ["unschedule"], ["schedule", "rate(1 day)", "--images", "s3://x/y"]):
        error = command(*words).exception
        assert isinstance(error, SettingsError)
        assert "with the parameter Schedules=true" in str(error)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["schedule"], "Say when"),
        (["schedule", "rate(1 day)", "--show"], "--show changes nothing"),
        (["schedule", "weekly"], "neither rate"),
        (["schedule", "--on-arrival", "--gather", "1m"], "5 are the least"),
        (["schedule", "--on-arrival", "--gather", "x"], "give a number and a unit"),
        (["schedule", "rate(1 day)", "--timezone", "Paris"], "There is no time zone 'Paris'"),
        (["schedule", "--on-arrival", "--images", "s3://elsewhere/photographs"], "of which no arrival is told"),
        (
            ["schedule", "--on-arrival", "--images", "inventory+s3://a/told/b/all"],
            "does not name what has just arrived",
        ),
    ],
)
def test_call_that_is_wrong_schedules_nothing(stack: dict[str, str], words: list[str], why: str) -> None:
    """And says so in a sentence, before anything is packed or sent."""
    error = command(*words, *([] if "--images" in words or "--show" in words else ["--images", "s3://x"])).exception
    assert isinstance(error, LakehouseError)
    assert why in str(error)
    assert boto3.client("s3").list_objects_v2(Bucket=stack["Bucket"])["KeyCount"] == 0
    assert json.loads(command("schedule", "--show", "--format", "json").stdout)["schedules"] == []


def test_job_of_the_schedule_is_a_request_that_emr_serverless_takes(aws: dict[str, str], settings: Settings) -> None:
    """In Step Functions' names, and by EMR Serverless' own model back in its own."""
    emr = load_emr_settings(log_group="/fruits/fruits", key="arn:aws:kms:eu-west-3:123456789012:key/1")
    request = start_job_run(emr, "00abc", "s3://b/code/1", "s3://b/e.tar.gz", "run", ["--busy-status", "75"])
    job = to_step_functions(request)
    assert job.keys() == {"Name", "ExecutionTimeoutMinutes", "JobDriver", "ConfigurationOverrides", "Tags"}
    api = to_api(job, "emr-serverless", "startJobRun")
    assert {**api, "applicationId": "00abc", "executionRoleArn": emr.job_role} == request
    assert valid("emr-serverless", "StartJobRun", {**request, "executionRoleArn": aws["JobRole"], "clientToken": "x"})
