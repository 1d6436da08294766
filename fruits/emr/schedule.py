"""`fruits emr schedule`: runs on AWS that start themselves, by the clock or when photographs arrive.

The stack has what they need (its parameter Schedules): a standing application of EMR Serverless, a state machine that
makes one run, a group for schedules. Here schedules are put into that group and taken out of it; each has the whole
request for its job as input, so that what runs is what was sent with it, and no later version.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from fruits.emr.aws import client, completed, stack_outputs, telling
from fruits.emr.expressions import check_expression, next_times
from fruits.emr.run import prepare_serverless
from fruits.emr.serverless_request import start_job_run
from fruits.emr.settings import EmrSettings
from fruits.operations.watch import BUSY
from fruits.settings import Settings
from lakehouse.errors import SettingsError
from lakehouse.storage import aws_errors

LEAST_GATHER = 5
"""Minutes: the state machine takes one of them itself, so that none of what arrives is missed."""
_SEEN = 20
"""Executions that are looked through for the last run: most looks for arrivals find none."""


class Trigger(StrEnum):
    """What makes a run start; a schedule has its name."""

    CLOCK = "clock"
    ARRIVAL = "arrival"


@dataclass(frozen=True)
class Standing:
    """What the stack has for runs that start themselves.

    Attributes:
        application: the id of the application of EMR Serverless.
        architecture: its processors, x86_64 or arm64.
        state_machine: the ARN of what makes a run.
        group: the name of the schedules' group.
        role: the ARN of the role that a schedule starts the state machine with.
        arrivals: the URL of the queue of photographs that have arrived.
        rule: the name of the rule that fills it.
    """

    application: str
    architecture: str
    state_machine: str
    group: str
    role: str
    arrivals: str
    rule: str


@dataclass(frozen=True)
class ShownSchedule:
    """A schedule: when it looks, when next (UTC; none where only AWS can tell), and which code it runs."""

    trigger: str
    expression: str
    zone: str
    next: list[datetime]
    code: str


@dataclass(frozen=True)
class ShownRun:
    """The last execution that came to a run: when it began and ended (UTC), how, and why where it failed."""

    began: datetime
    ended: datetime | None
    status: str
    why: str


@dataclass(frozen=True)
class Shown:
    """What `schedule --show` shows; `arrived` is about how many photographs wait for the next look."""

    schedules: list[ShownSchedule]
    arrived: int
    last_run: ShownRun | None


def standing(emr: EmrSettings) -> Standing:
    """What the stack has for runs that start themselves.

    Raises:
        SettingsError: the stack was made or updated without it.
    """
    outputs = stack_outputs(emr)
    names = {
        **{"application": "Application", "architecture": "Architecture", "state_machine": "StateMachine"},
        **{"group": "ScheduleGroup", "role": "ScheduleRole", "arrivals": "Arrivals", "rule": "ArrivalsRule"},
    }
    if missing := [name for name in names.values() if name not in outputs]:
        raise SettingsError(
            f"The stack {emr.stack} has no {', '.join(missing)}, which schedules need: update it from this version's "
            "bootstrap/infrastructure.json with the parameter Schedules=true (docs/emr.md has the command)."
        )
    found = {field: outputs[name] for field, name in names.items()}
    return Standing(**{**found, "architecture": found["architecture"].lower()})


def schedule(
    emr: EmrSettings, settings: Settings, expression: str | None, gather_minutes: int | None, zone: str
) -> list[str]:
    """Have runs start by the clock, when photographs arrive, or both; replaces what there was of the kind.

    Args:
        emr: settings of `fruits emr`.
        settings: of the run.
        expression: rate(…) or cron(…); None for no clock.
        gather_minutes: how often to look for arrivals; None for no looking.
        zone: the time zone of a cron expression.

    Returns:
        What was done, a sentence a schedule.

    Raises:
        SettingsError: the call is wrong, or the stack lacks what it takes; nothing was scheduled.
        AwsError: AWS refused something.
    """
    wanted = {}
    if expression is not None:
        wanted[Trigger.CLOCK] = check_expression(expression)
    if gather_minutes is not None:
        if gather_minutes < LEAST_GATHER:
            raise SettingsError(f"--gather is {gather_minutes} minutes: {LEAST_GATHER} are the least.")
        wanted[Trigger.ARRIVAL] = f"rate({gather_minutes} minutes)"
    there = standing(emr)
    emr = completed(emr).model_copy(update={"serverless_architecture": there.architecture})
    if Trigger.ARRIVAL in wanted:
        _check_arrivals(emr, settings)
    emr, code, packed = prepare_serverless(emr, settings)
    options = ["--busy-status", str(BUSY), *(["--metrics", emr.log_group] if emr.log_group else [])]
    job = to_step_functions(start_job_run(emr, there.application, code, packed, "run", options))
    said = []
    for trigger, when in wanted.items():
        _put(emr, there, trigger, when, zone, job)
        what = "A run starts by" if trigger is Trigger.CLOCK else "New photographs are looked for by"
        said.append(f"{what} {when}, with the code {code.rpartition('/')[2]}.")
    if Trigger.ARRIVAL in wanted:
        with telling(f"The rule {there.rule} could not be turned on"):
            client("events", emr.region).enable_rule(Name=there.rule)
    return said


def unschedule(emr: EmrSettings) -> list[str]:
    """Have no run start by itself any more; returns the names of the schedules that were removed.

    A run that goes on is not ended.
    """
    there = standing(emr)
    removed = _names(emr, there)
    with telling(f"The schedules of {emr.stack} could not be removed"):
        client("events", emr.region).disable_rule(Name=there.rule)
        for name in removed:
            client("scheduler", emr.region).delete_schedule(GroupName=there.group, Name=name)
    return removed


def look(emr: EmrSettings) -> Shown:
    """The schedules, their next times, and how the last run ended."""
    there, now = standing(emr), datetime.now(UTC)
    scheduler, queue = client("scheduler", emr.region), client("sqs", emr.region)
    shown = []
    with telling(f"The schedules of {emr.stack} cannot be seen"):
        for name in _names(emr, there):
            one = scheduler.get_schedule(GroupName=there.group, Name=name)
            zone = one["ScheduleExpressionTimezone"]
            times = next_times(one["ScheduleExpression"], one["LastModificationDate"].astimezone(UTC), now, zone)
            code = json.loads(one["Target"]["Input"])["job"]["JobDriver"]["SparkSubmit"]["EntryPoint"]
            shown.append(ShownSchedule(name, one["ScheduleExpression"], zone, times, code.split("/")[-2]))
        asked = ["ApproximateNumberOfMessages"]
        waiting = queue.get_queue_attributes(QueueUrl=there.arrivals, AttributeNames=asked)["Attributes"]
    return Shown(shown, int(waiting["ApproximateNumberOfMessages"]), _last_run(emr, there))


def _last_run(emr: EmrSettings, there: Standing) -> ShownRun | None:
    machines = client("stepfunctions", emr.region)
    with telling(f"The runs of {emr.stack} cannot be seen"):
        for one in machines.list_executions(stateMachineArn=there.state_machine, maxResults=_SEEN)["executions"]:
            found = machines.describe_execution(executionArn=one["executionArn"])
            if one["status"] == "SUCCEEDED" and not json.loads(found.get("output") or "{}").get("ran"):
                continue  # it found that there was nothing to do
            ended = one.get("stopDate")
            why = found.get("cause") or found.get("error") or ""
            return ShownRun(
                one["startDate"].astimezone(UTC), ended.astimezone(UTC) if ended else None, one["status"], why
            )
    return None


def _names(emr: EmrSettings, there: Standing) -> list[str]:
    with telling(f"The schedules of {emr.stack} cannot be listed"):
        found = client("scheduler", emr.region).list_schedules(GroupName=there.group)["Schedules"]
    return sorted(one["Name"] for one in found)


def _put(emr: EmrSettings, there: Standing, trigger: Trigger, when: str, zone: str, job: dict[str, Any]) -> None:
    from botocore.exceptions import ClientError

    request = put_schedule(there, trigger, when, zone, job)
    scheduler = client("scheduler", emr.region)
    with telling(f"The schedule {when} could not be made"):
        try:
            scheduler.create_schedule(**request)
        except ClientError as error:
            if aws_errors.code_of(error) != "ConflictException":
                raise
            scheduler.update_schedule(**request)


def put_schedule(there: Standing, trigger: Trigger, when: str, zone: str, job: dict[str, Any]) -> dict[str, Any]:
    """The request that makes a schedule, or puts it in the place of another."""
    return {
        "GroupName": there.group,
        "Name": str(trigger),
        "ScheduleExpression": when,
        "ScheduleExpressionTimezone": zone,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "State": "ENABLED",
        "Target": {
            "Arn": there.state_machine,
            "RoleArn": there.role,
            "Input": json.dumps({"arrival": trigger is Trigger.ARRIVAL, "job": job}),
            # Of starting the state machine, that is; a run that could not start for an hour is left to the next time.
            "RetryPolicy": {"MaximumRetryAttempts": 5, "MaximumEventAgeInSeconds": 3600},
        },
    }


def to_step_functions(request: dict[str, Any]) -> dict[str, Any]:
    """A request to EMR Serverless in Step Functions' names, which begin with a capital letter.

    Application and role are not in it: those are the stack's, whatever the input says.
    """
    named = {key: value for key, value in request.items() if key not in ("applicationId", "executionRoleArn", "tags")}
    converted: dict[str, Any] = _capital(named)
    return {**converted, "Tags": request["tags"]}


def _capital(value: Any) -> Any:
    if isinstance(value, dict):
        return {key[0].upper() + key[1:]: _capital(one) for key, one in value.items()}
    return [_capital(one) for one in value] if isinstance(value, list) else value


def _check_arrivals(emr: EmrSettings, settings: Settings) -> None:
    """Refuse what no event would tell of: photographs that are not where the stack's rule looks."""
    own = f"s3://{emr.bucket}/photographs"
    if settings.inventory is not None:
        raise SettingsError(
            f"`images` is {settings.images}, an inventory, which does not name what has just arrived. "
            f'With --on-arrival name {own}, or have a schedule by the clock ("rate(1 day)") follow the inventories.'
        )
    if settings.source != own and not settings.source.startswith(f"{own}/"):
        raise SettingsError(
            f"`images` is {settings.source}, of which no arrival is told: with --on-arrival they lie under {own}. "
            'A schedule by the clock ("rate(1 hour)") takes them from anywhere.'
        )
