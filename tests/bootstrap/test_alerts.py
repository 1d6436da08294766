"""What the template makes for runs that start themselves, and for who is told; all of it off unless asked for."""

import json
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.validate import ParamValidator
from cfnlint.decode.cfn_yaml import load
from moto.core.config import default_user_config

from fruits.operations.metrics import NAMESPACE, UNITS
from tests import more_moto
from tests.bootstrap.test_infrastructure import TEMPLATE, aws, create  # noqa: F401 - a fixture

pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse")
OFF = {"Schedules": "false", "AlertEmail": "", "ClusterHours": "0", "QuarantinePercent": "0", "BudgetUsd": "0"}


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    """The template's resources, their tags in their long form."""
    found: dict[str, Any] = load(str(TEMPLATE))["Resources"]
    return found


@pytest.fixture
def executed(aws: None, monkeypatch: pytest.MonkeyPatch) -> list[int]:  # noqa: F811
    """The seconds that state machines have waited, which takes no time."""
    waited: list[int] = []
    more_moto.sync_jobs(monkeypatch, waited)
    monkeypatch.setitem(default_user_config["stepfunctions"], "execute_state_machine", True)
    return waited


def test_all_is_off_unless_it_is_asked_for(aws: None) -> None:  # noqa: F811
    """No topic, no rule, no machine, no schedule."""
    outputs = create()
    assert not {"Topic", "StateMachine", "Application", "Arrivals"} & outputs.keys()
    parameters = load(str(TEMPLATE))["Parameters"]
    assert {name: parameters[name]["Default"] for name in OFF} == OFF
    assert boto3.client("sns").list_topics()["Topics"] == []
    assert boto3.client("events").list_rules()["Rules"] == []


def test_who_gives_an_address_is_told(aws: None, resources: dict[str, Any]) -> None:  # noqa: F811
    """By the topic that everything else tells, which is there then; moto's CloudFormation makes no subscription."""
    assert create(AlertEmail="somebody@example.org")["Topic"]
    given = resources["Email"]
    assert given["Condition"] == "HasEmail"
    assert given["Properties"] == {"TopicArn": {"Ref": "Topic"}, "Protocol": "email", "Endpoint": {"Ref": "AlertEmail"}}


def test_application_costs_nothing_idle(resources: dict[str, Any]) -> None:
    """Nothing is kept ready, and it stops a minute after the last job."""
    given = resources["Application"]["Properties"]
    assert "InitialCapacity" not in given
    assert given["AutoStartConfiguration"]["Enabled"]
    assert given["AutoStopConfiguration"] == {"Enabled": True, "IdleTimeoutMinutes": 1}


def test_bucket_tells_of_photographs_and_names_none(resources: dict[str, Any]) -> None:
    """Only where schedules are on, of what comes under photographs/; the queue gets no key."""
    told = resources["Bucket"]["Properties"]["NotificationConfiguration"]["Fn::If"]
    assert told[:2] == ["HasSchedules", {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}]
    rule = resources["ArrivalsRule"]["Properties"]
    assert rule["State"] == "DISABLED"
    assert rule["EventPattern"]["detail"]["object"] == {"key": [{"prefix": "photographs/"}]}
    assert rule["Targets"][0]["Input"] == '{"arrived": true}'


def test_old_cluster_is_told_again_and_again_until_it_ends(executed: list[int]) -> None:
    """With its age, and how to end it; waiting costs nothing."""
    outputs = create(ClusterHours="8")
    queues, machines, emr = boto3.client("sqs"), boto3.client("stepfunctions"), boto3.client("emr")
    url = queues.create_queue(QueueName="reader")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    boto3.client("sns").subscribe(TopicArn=outputs["Topic"], Protocol="sqs", Endpoint=arn)
    instances = {"InstanceCount": 1, "MasterInstanceType": "m5.xlarge", "KeepJobFlowAliveWhenNoSteps": True}
    cluster = emr.run_job_flow(Name="fruits", Instances=instances, JobFlowRole="r", ServiceRole="s")["JobFlowId"]
    (rule,) = boto3.client("events").list_rules()["Rules"]
    (target,) = boto3.client("events").list_targets_by_rule(Rule=rule["Name"])["Targets"]
    started = machines.start_execution(
        stateMachineArn=target["Arn"], name="cluster", input=json.dumps({"cluster": cluster})
    )["executionArn"]
    messages: list[str] = []
    while len(messages) < 2:
        found = queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        messages += [json.loads(one["Body"])["Message"] for one in found]
    emr.terminate_job_flows(JobFlowIds=[cluster])
    while machines.describe_execution(executionArn=started)["status"] == "RUNNING":
        pass
    assert machines.describe_execution(executionArn=started)["status"] == "SUCCEEDED"
    told = "has been there for {} hours, and costs by the hour."
    assert any(f"{cluster} of the stack lake" in one and told.format(8) in one for one in messages)
    assert any(told.format(16) in one and f"fruits emr down {cluster} ends it" in one for one in messages)
    assert set(executed) == {3600}


def test_metrics_of_alarms_and_dashboard_are_those_that_a_run_sends(resources: dict[str, Any]) -> None:
    """By name, namespace and dimension."""
    body = json.loads(resources["DashboardOfRuns"]["Properties"]["DashboardBody"]["Fn::Sub"])
    shown = [line for widget in body["widgets"] for line in widget["properties"]["metrics"]]
    assert {line[1] for line in shown} == {*UNITS}
    assert {(line[0], line[2], line[3]) for line in shown} == {(NAMESPACE, "Stack", "${AWS::StackName}")}
    asked = [one["MetricStat"]["Metric"] for one in metrics(resources, "QuarantineAlarm") if "MetricStat" in one]
    assert {(one["Namespace"], one["Dimensions"][0]["Name"]) for one in asked} == {(NAMESPACE, "Stack")}
    assert {one["MetricName"] for one in asked} == {"Quarantined", "Ingested"}


@pytest.mark.parametrize("name", ["RunsAlarm", "QuarantineAlarm"])
def test_alarm_is_one_that_cloudwatch_takes(resources: dict[str, Any], name: str) -> None:
    """By boto3's model; moto's CloudFormation makes none. Nothing is no alarm."""
    given = json.loads(json.dumps(resources[name]["Properties"]).replace('{"Ref": "QuarantinePercent"}', "5"))
    given = {**_plain(given), "AlarmName": name}
    model = botocore.session.get_session().get_service_model("cloudwatch").operation_model("PutMetricAlarm")
    assert not ParamValidator().validate(given, model.input_shape).has_errors()
    assert given["TreatMissingData"] == "notBreaching"
    assert given["AlarmActions"] == ["Topic"]
    assert [one.get("ReturnData", True) for one in given["Metrics"]].count(True) == 1


def test_budget_is_of_the_tag_that_everything_has(resources: dict[str, Any]) -> None:
    """What is spent is told at 80 %, what is forecast when it is more."""
    given = resources["Budget"]["Properties"]
    assert given["Budget"]["CostFilters"] == {"TagKeyValue": ["user:project$fruits"]}
    told = [one["Notification"] for one in given["NotificationsWithSubscribers"]]
    assert [(one["NotificationType"], one["Threshold"]) for one in told] == [("ACTUAL", 80), ("FORECASTED", 100)]


def metrics(resources: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The metrics of an alarm."""
    found: list[dict[str, Any]] = resources[name]["Properties"]["Metrics"]
    return found


def _plain(value: Any) -> Any:
    """References and joined texts as the names that they refer to."""
    if isinstance(value, dict):
        if value.keys() <= {"Ref", "Fn::Sub"}:
            return str(next(iter(value.values())))
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value
