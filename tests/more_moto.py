"""What moto lacks of AWS and `fruits emr schedule` needs, added to it as AWS's documentation describes it.

Importing this module adds the resources to moto's CloudFormation; `sync_jobs` lets its Step Functions wait for jobs of
EMR Serverless.
"""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import botocore.session
import pytest
from moto.core.common_models import CloudFormationModel
from moto.emrserverless.models import Application, emrserverless_backends
from moto.events.models import Rule
from moto.scheduler.models import scheduler_backends
from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_callback,
    state_task_service_unsupported,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.resource import ResourceCondition
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_aws_sdk import (
    StateTaskServiceAwsSdk,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_unsupported import (
    StateTaskServiceUnsupported,
)
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.utils.boto_client import boto_client_for
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

ACCOUNT = "123456789012"
_OVER = {"SUCCESS", "FAILED", "CANCELLED"}


class ServerlessApplication(CloudFormationModel):
    """An application of EMR Serverless, as a resource of a stack."""

    def __init__(self, made: Application) -> None:
        self.made = made

    @property
    def physical_resource_id(self) -> str:
        return self.made.id

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr in ("Arn", "ApplicationId")

    def get_cfn_attribute(self, attribute_name: str) -> str:
        return {"Arn": self.made.arn, "ApplicationId": self.made.id}[attribute_name]

    @staticmethod
    def cloudformation_name_type() -> str:
        return "Name"

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::EMRServerless::Application"

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **kwargs: Any
    ) -> "ServerlessApplication":
        given = cloudformation_json["Properties"]
        made = emrserverless_backends[account_id][region_name].create_application(
            name=given["Name"],
            release_label=given["ReleaseLabel"],
            application_type=given["Type"].upper(),
            client_token="",
            initial_capacity="",
            maximum_capacity=given["MaximumCapacity"],
            tags={one["Key"]: one["Value"] for one in given["Tags"]},
            auto_start_configuration=given["AutoStartConfiguration"],
            auto_stop_configuration=given["AutoStopConfiguration"],
            network_configuration=None,
        )
        return cls(made)

    @classmethod
    def delete_from_cloudformation_json(cls, resource_name: str, _: Any, account_id: str, region_name: str) -> None:
        emrserverless_backends[account_id][region_name].applications.pop(resource_name, None)


class ScheduleGroup(CloudFormationModel):
    """A group of schedules, as a resource of a stack."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def physical_resource_id(self) -> str:
        return self.name

    @staticmethod
    def cloudformation_name_type() -> str:
        return "Name"

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::Scheduler::ScheduleGroup"

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **kwargs: Any
    ) -> "ScheduleGroup":
        name = cloudformation_json["Properties"]["Name"]
        scheduler_backends[account_id][region_name].create_schedule_group(name, [])
        return cls(name)

    @classmethod
    def delete_from_cloudformation_json(cls, resource_name: str, _: Any, account_id: str, region_name: str) -> None:
        scheduler_backends[account_id][region_name].delete_schedule_group(resource_name)


def know_releases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let EMR Serverless take releases whose names begin with emr-spark, as moto does not."""
    monkeypatch.setattr("moto.emrserverless.models.re", SimpleNamespace(match=lambda _, label: "emr-spark-8" in label))


def sync_jobs(monkeypatch: pytest.MonkeyPatch, waited: list[int]) -> None:
    """Let `emr-serverless:startJobRun.sync` wait for the job's end, and nothing else wait at all.

    Args:
        monkeypatch: takes it back after the test.
        waited: gets the seconds of each state that would have waited.
    """
    know_releases(monkeypatch)
    for backend in stepfunctions_parser_backends[ACCOUNT].values():
        backend.reset()
    # CloudFormation puts state machines where none is executed.
    monkeypatch.setattr("moto.stepfunctions.models.stepfunctions_backends", stepfunctions_parser_backends)
    patterns = state_task_service_unsupported._SUPPORTED_INTEGRATION_PATTERNS
    monkeypatch.setattr(
        state_task_service_unsupported,
        "_SUPPORTED_INTEGRATION_PATTERNS",
        {*patterns, ResourceCondition.Sync},
    )
    monkeypatch.setattr(state_task_service_callback, "_DELAY_SECONDS_SYNC_CONDITION_CHECK", 0.02)
    for service in (StateTaskServiceUnsupported, StateTaskServiceAwsSdk):
        monkeypatch.setattr(service, "_normalise_parameters", _to_boto)
        monkeypatch.setattr(service, "_normalise_response", _from_boto)
    monkeypatch.setattr(StateTaskServiceUnsupported, "_build_sync_resolver", _wait_for_job)
    monkeypatch.setattr(WaitFunction, "_wait_interval", lambda *_, wait_seconds, **__: waited.append(wait_seconds))


def silent_where_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a rule that is turned off send nothing."""
    send = Rule.send_to_targets

    def send_where_enabled(rule: Rule, *arguments: Any, **more: Any) -> None:
        if rule.state == "ENABLED":
            send(rule, *arguments, **more)

    monkeypatch.setattr(Rule, "send_to_targets", send_where_enabled)


def to_api(request: dict[str, Any], service: str, operation: str) -> dict[str, Any]:
    """A request in Step Functions' names, which begin with a capital letter, in the API's own.

    Raises:
        KeyError: the API has no such name.
    """
    converted: dict[str, Any] = _own_names(request, _model(service, operation).input_shape)
    return converted


def _model(service: str, operation: str) -> Any:
    name = operation[0].upper() + operation[1:]
    return botocore.session.get_session().get_service_model(service).operation_model(name)


def _own_names(value: Any, shape: Any) -> Any:
    if shape.type_name == "structure":
        own = {name[0].upper() + name[1:]: name for name in shape.members}
        return {own[name]: _own_names(one, shape.members[own[name]]) for name, one in value.items()}
    return [_own_names(one, shape.member) for one in value] if shape.type_name == "list" else value


def _capital_names(value: Any, shape: Any) -> Any:
    if shape.type_name == "structure":
        known = {name: one for name, one in value.items() if name in shape.members}
        return {name[0].upper() + name[1:]: _capital_names(one, shape.members[name]) for name, one in known.items()}
    return [_capital_names(one, shape.member) for one in value] if shape.type_name == "list" else value


def _to_boto(task: Any, parameters: dict[str, Any], *_: object) -> None:
    named = to_api(parameters, task._get_boto_service_name(), task.resource.api_action)
    parameters.clear()
    parameters.update(named)


def _from_boto(task: Any, response: Any, *_: object) -> None:
    shape = _model(task._get_boto_service_name(), task.resource.api_action).output_shape
    if isinstance(response, dict) and shape is not None and task.resource.condition is None:
        named = _capital_names(response, shape)
        response.clear()
        response.update(named)


def _wait_for_job(
    task: Any, *, env: Any, resource_runtime_part: Any, state_credentials: Any, **_: Any
) -> Callable[[], Any]:
    """As AWS: the job as it is described, in names with a capital letter; of one that failed, as the error's cause."""
    started = env.stack.pop()
    client = boto_client_for(resource_runtime_part.region, "emr-serverless", state_credentials)

    def look() -> Any:
        job = client.get_job_run(applicationId=started["applicationId"], jobRunId=started["jobRunId"])["jobRun"]
        if job["state"] not in _OVER:
            return None
        said = {
            "ApplicationId": job["applicationId"],
            "JobRunId": job["jobRunId"],
            "Name": job.get("name"),
            "State": job["state"],
            "StateDetails": job.get("stateDetails", ""),
        }
        if job["state"] == "SUCCESS":
            return said
        failed = TaskFailedEventDetails(
            resource=task._get_sfn_resource(),
            resourceType=task._get_sfn_resource_type(),
            error=StatesErrorNameType.StatesTaskFailed.to_name(),
            cause=json.dumps(said, separators=(",", ":")),
        )
        raise FailureEventException(
            FailureEvent(
                env=env,
                error_name=StatesErrorName(typ=StatesErrorNameType.StatesTaskFailed),
                event_type=HistoryEventType.TaskFailed,
                event_details=cast("EventDetails", {"taskFailedEventDetails": failed}),
            )
        )

    return look
