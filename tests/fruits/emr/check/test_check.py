"""`fruits emr check`: one line for each thing that a run needs, and nothing made or changed."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from fruits.cli.emr import app
from fruits.emr.aws import AwsError
from fruits.emr.check import Finding, Outcome, check, network
from fruits.emr.run import bring_up, run_serverless, run_transient
from fruits.emr.settings import load_emr_settings
from fruits.settings import Settings
from tests.fruits.emr.answers import Answers, offering, quota, refused, simulated
from tests.fruits.emr.conftest import REGION, emr_backend, serverless_backend

READS = ("Get", "List", "Describe", "Head", "Simulate")


@pytest.fixture(autouse=True)
def package_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uv asks no network; `test_index` has an index of its own."""
    monkeypatch.setenv("UV_OFFLINE", "1")


@pytest.fixture
def linked_roles(aws: dict[str, str]) -> None:
    """An account in which clusters and applications have run before."""
    iam = boto3.client("iam", region_name=REGION)
    for service in ("elasticmapreduce", "ops.emr-serverless", "spot"):
        iam.create_service_linked_role(AWSServiceName=f"{service}.amazonaws.com")
    answers = {"elasticmapreduce": "EMRCleanup", "ops.emr-serverless": "AmazonEMRServerless", "spot": "EC2Spot"}
    for role in answers.values():  # moto makes other names of a service's than AWS does
        iam.create_role(RoleName=f"AWSServiceRoleFor{role}", AssumeRolePolicyDocument="{}")


def found(findings: list[Finding], outcome: Outcome) -> dict[str, Finding]:
    """The findings of an outcome, by what was looked at."""
    return {one.what: one for one in findings if one.outcome == outcome}


@pytest.mark.parametrize("serverless", [False, True])
def test_account_that_is_ready_fails_at_nothing(linked_roles: None, settings: Settings, serverless: bool) -> None:
    """Every question is answered: nothing is left unchecked."""
    findings = check(load_emr_settings(), settings, serverless=serverless)
    unwell = [one for one in findings if one.outcome != Outcome.OK and one.what != "package index"]
    assert unwell == []
    assert {"credentials", "region", "release", "stack", "key", "images", "weights", "lake"} <= {
        one.what for one in findings
    }


@pytest.mark.parametrize("serverless", [False, True])
def test_check_only_reads(linked_roles: None, settings: Settings, answers: Answers, serverless: bool) -> None:
    """Of every service it asks what begins with Get, List, Describe, Head or Simulate, and S3 holds what it held."""
    s3 = boto3.client("s3", region_name=REGION)
    bucket = settings.lake.split("/")[2]
    before = s3.list_objects_v2(Bucket=bucket)["Contents"]
    answers.asked.clear()
    check(load_emr_settings(task_nodes=2, glue=True, fleets=True), settings, serverless=serverless)
    services = {service for service, _ in answers.operations()}
    assert {"sts", "cloudformation", "s3", "iam", "kms", "ec2", "service-quotas"} <= services
    assert [one for one in answers.operations() if not one[1].startswith(READS)] == []
    assert s3.list_objects_v2(Bucket=bucket)["Contents"] == before


def test_without_credentials_nothing_else_is_asked(no_stack: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One failure, that says how to give some."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    findings = check(load_emr_settings(), None)
    assert [one.outcome for one in findings] == [Outcome.FAILURE, Outcome.NOT_CHECKED]
    assert "Set AWS_PROFILE" in findings[0].said


@pytest.mark.parametrize(("minutes", "outcome"), [(2, Outcome.WARNING), (300, Outcome.OK)])
def test_credentials_that_end_before_the_run_are_told(
    aws: dict[str, str], monkeypatch: pytest.MonkeyPatch, minutes: int, outcome: Outcome
) -> None:
    """A run whose credentials end cannot be followed or ended from here."""
    until = datetime.now(UTC) + timedelta(minutes=20 + minutes if minutes > 20 else minutes)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", until.isoformat())
    credentials = found(check(load_emr_settings(), None), outcome)["credentials"]
    assert f"until {until:%Y-%m-%d %H:%M} UTC" in credentials.said


def test_missing_stack_is_a_failure_and_the_account_is_checked_all_the_same(no_stack: None, answers: Answers) -> None:
    """With the command that makes it."""
    findings = check(load_emr_settings(), None)
    assert "create-stack --stack-name fruits" in found(findings, Outcome.FAILURE)["stack"].advice
    assert found(findings, Outcome.OK).keys() >= {"credentials", "region", "release", "quota of on-demand vCPUs"}


def test_stack_of_another_version_is_told(aws: dict[str, str], answers: Answers) -> None:
    """It works or not: an update makes it this version's."""
    answers.given["cloudformation", "GetTemplate"] = {"TemplateBody": "Resources: {}"}
    assert "another version" in found(check(load_emr_settings(), None), Outcome.WARNING)["stack"].said


def test_quota_counts_what_runs_already(aws: dict[str, str], answers: Answers) -> None:
    """Three m5.xlarge want 12 vCPUs: of 16 that is well, and with another one of four processors, too, but not two."""
    answers.given["service-quotas", "GetServiceQuota"] = quota(16)
    ec2 = boto3.client("ec2", region_name=REGION)
    image = ec2.register_image(Name="linux", RootDeviceName="/dev/xvda")["ImageId"]
    for count, outcome in ((1, Outcome.OK), (2, Outcome.FAILURE)):
        ec2.run_instances(ImageId=image, InstanceType="m5.xlarge", MinCount=1, MaxCount=1)
        line = found(check(load_emr_settings(), None), outcome)["quota of on-demand vCPUs"]
        assert f"12 wanted, {4 * count} in use, of 16" in line.said
    assert "L-1216C47A" in line.advice


def test_quota_that_ends_scaling_alone_is_no_failure(aws: dict[str, str], answers: Answers) -> None:
    """The cluster starts, and does not grow as far as it may."""
    answers.given["service-quotas", "GetServiceQuota"] = quota(16)
    line = found(check(load_emr_settings(max_core_nodes=8), None), Outcome.WARNING)["quota of on-demand vCPUs"]
    assert "36 wanted" in line.said


def test_quota_without_a_value_of_its_own_is_awss_default(aws: dict[str, str], answers: Answers) -> None:
    """Service Quotas has the account's value only where it was ever changed."""
    answers.given["service-quotas", "GetServiceQuota"] = refused("GetServiceQuota", "NoSuchResourceException")
    answers.given["service-quotas", "GetAWSDefaultServiceQuota"] = quota(8)
    line = found(check(load_emr_settings(), None, serverless=True), Outcome.FAILURE)["quota of EMR Serverless"]
    assert "16 wanted, 0 in use, of 8, AWS's default" in line.said


def test_what_may_not_be_asked_is_not_checked(aws: dict[str, str], settings: Settings, answers: Answers) -> None:
    """Each such line names the request, and a run is not refused for it."""
    denied = {
        ("service-quotas", "GetServiceQuota"): "quota of on-demand vCPUs",
        ("iam", "SimulatePrincipalPolicy"): "role of the jobs",
        ("iam", "GetRole"): "AWSServiceRoleForEMRCleanup",
        ("ec2", "DescribeInstanceTypeOfferings"): "offered",
        ("kms", "DescribeKey"): "key",
    }
    for service, operation in denied:
        answers.given[service, operation] = refused(operation)
    unchecked = found(check(load_emr_settings(), settings), Outcome.NOT_CHECKED)
    for (_, operation), what in denied.items():
        if what in unchecked:  # where the role itself cannot be seen its policies are not simulated
            assert operation in unchecked[what].said + unchecked[what].advice
    assert unchecked.keys() >= {*denied.values()} - {"role of the jobs"}
    bring_up(load_emr_settings(), settings)


def test_new_account_is_told_of_the_roles_that_services_make(aws: dict[str, str], settings: Settings) -> None:
    """Spot's only where there is Spot; and that the caller may make them is simulated."""
    warned = found(check(load_emr_settings(task_nodes=1), settings), Outcome.WARNING)
    assert "--aws-service-name elasticmapreduce.amazonaws.com" in warned["AWSServiceRoleForEMRCleanup"].advice
    assert "--aws-service-name spot.amazonaws.com" in warned["AWSServiceRoleForEC2Spot"].advice
    warned = found(check(load_emr_settings(), settings, serverless=True), Outcome.WARNING)
    assert (
        "--aws-service-name ops.emr-serverless.amazonaws.com" in warned["AWSServiceRoleForAmazonEMRServerless"].advice
    )


def test_role_that_may_not_list_the_lake_fails(
    linked_roles: None, settings: Settings, answers: Answers, aws: dict[str, str]
) -> None:
    """The simulation is told the prefix that a listing has; without ListBucket there nothing in the lake is found."""

    def decide(action: str, _: str, request: Mapping[str, Any]) -> str:
        context = {one["ContextKeyName"]: one["ContextKeyValues"] for one in request["ContextEntries"]}
        job = "InstanceRole" in request["PolicySourceArn"]
        return "implicitDeny" if job and action == "s3:ListBucket" and context["s3:prefix"] == ["lake/"] else "allowed"

    answers.given["iam", "SimulatePrincipalPolicy"] = lambda request: simulated(request, decide)
    failed = found(check(load_emr_settings(), settings), Outcome.FAILURE)
    assert failed.keys() == {"role of the jobs"}
    assert f"s3:ListBucket on arn:aws:s3:::{aws['Bucket']}, s3:prefix lake/" in failed["role of the jobs"].said


def test_missing_key_that_is_forbidden_is_a_failure(aws: dict[str, str], settings: Settings, answers: Answers) -> None:
    """S3 says 403 of a missing key to who may not list: neither a lease nor a table can be made there."""
    answers.given["s3", "HeadObject"] = refused("HeadObject", "AccessDenied")
    failed = found(check(load_emr_settings(), settings), Outcome.FAILURE)
    assert "403" in failed[f"missing key under {settings.lake}"].said


def test_type_that_the_zone_lacks_is_refused_before_launch(
    aws: dict[str, str], settings: Settings, answers: Answers
) -> None:
    """Where there is one subnet, nothing else can be had; and nothing is made."""

    def few(request: Mapping[str, Any]) -> dict[str, Any]:
        found = offering(request)["InstanceTypeOfferings"]
        return {"InstanceTypeOfferings": [one for one in found if one["InstanceType"] != "m7g.xlarge"]}

    answers.given["ec2", "DescribeInstanceTypeOfferings"] = few
    emr = load_emr_settings(core="m7g.xlarge")
    assert "m7g.xlarge: not offered in" in found(check(emr, settings), Outcome.FAILURE)["instance types"].said
    with pytest.raises(AwsError, match=r"Nothing was launched.*\ninstance types: m7g\.xlarge: not offered in"):
        run_transient(emr, settings)
    assert emr_backend().clusters == {}


@pytest.mark.parametrize(
    ("gone", "said"), [("photographs/Apple/1.jpg", r"images: .*is empty"), ("code/weights.h5", r"weights: .*not there")]
)
def test_run_is_refused_where_its_input_is_not_there(
    aws: dict[str, str], settings: Settings, gone: str, said: str
) -> None:
    """By each way to launch one, before code is uploaded."""
    s3 = boto3.client("s3", region_name=REGION)
    s3.delete_object(Bucket=aws["Bucket"], Key=gone)
    for launch in (run_transient, run_serverless, bring_up):
        with pytest.raises(AwsError, match=said):
            launch(load_emr_settings(), settings)
    assert emr_backend().clusters == {}
    assert serverless_backend().applications == {}
    assert len(s3.list_objects_v2(Bucket=aws["Bucket"])["Contents"]) == 1


def test_bucket_of_another_region_is_a_failure(aws: dict[str, str], settings: Settings, answers: Answers) -> None:
    """Reading across regions costs, and S3A would not find it."""
    error = refused("HeadBucket", "AccessDenied")
    error.response["ResponseMetadata"]["HTTPHeaders"] = {"x-amz-bucket-region": "us-west-2"}
    answers.given["s3", "HeadBucket"] = error
    failed = found(check(load_emr_settings(), settings), Outcome.FAILURE)
    assert "is in us-west-2, and the cluster in eu-west-3" in failed[f"bucket {aws['Bucket']}"].said


def test_subnet_without_a_way_out_is_a_failure(aws: dict[str, str]) -> None:
    """The bootstrap action would find no package index, after minutes that are paid for."""
    ec2 = boto3.client("ec2", region_name=REGION)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    emr = load_emr_settings().model_copy(update={"subnet": subnet})
    (tagless, closed) = (one for one in check(emr, None) if one.what == f"subnet {subnet}")
    assert "create-tags" in tagless.advice
    assert closed.said == "has no route out, so no node reaches a package index."


def test_command_fails_with_a_line_for_each_thing(aws: dict[str, str], settings: Settings) -> None:
    """As text for people with what to do, as JSON for programs; status 1 where a run would fail, and else 0."""
    options = ["check", "--lake", settings.lake, "--images"]
    failed = CliRunner().invoke(app, [*options, f"s3://{aws['Bucket']}/photographs/none"])
    assert failed.exit_code == 1
    assert (
        f"failure      images: s3://{aws['Bucket']}/photographs/none is empty.\n             → aws s3 sync"
        in failed.stdout
    )
    well = CliRunner().invoke(app, [*options, str(settings.images), "--format", "json"])
    assert well.exit_code == 0
    lines = json.loads(well.stdout)
    assert {one["outcome"] for one in lines} == {"ok", "warning"}
    assert all(line.keys() == {"what", "outcome", "said", "advice"} for line in lines)


def test_index_is_asked_for_a_pin_with_its_hashes() -> None:
    """The first of the lock, whole."""
    lock = "# comment\na==1 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\n    # via b\nb==2 \\\n"
    assert network._first_pin(lock) == "a==1 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\n"
