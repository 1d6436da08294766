"""moto's server in AWS's place, with the infrastructure's stack, and somebody who lets its clusters get on.

moto is a mock: it checks what it is asked for as boto3's models do, keeps it, and runs nothing. Here a thread moves
its clusters and jobs from state to state.
"""

import gzip
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import boto3
import botocore.session
import pytest
from botocore.validate import ParamValidator
from moto.backends import get_backend
from moto.ec2.models.subnets import SubnetBackend, SubnetRouteTableAssociation
from moto.emr.models import ElasticMapReduceBackend
from moto.emrserverless.models import EMRServerlessBackend

from fruits.settings import Settings, load_settings
from lakehouse.storage.aws import session
from tests.bootstrap.conftest import ROOT
from tests.fruits.emr.answers import USUAL, Answers
from tests.moto import moto_served

Backend = TypeVar("Backend")

REGION, ACCOUNT = "eu-west-3", "123456789012"
STACK = "fruits"


@pytest.fixture(scope="session")
def moto_server() -> Iterator[str]:
    """Moto's server on the loopback interface; returns its URL."""
    with moto_served() as url:
        yield url


@pytest.fixture
def no_stack(moto_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account with nothing in it, and credentials for no other."""
    # It keeps the credentials that it found first, so it is a new one, which need not read botocore's models anew.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session())
    for name in [*os.environ]:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    told = {"AWS_ENDPOINT_URL": moto_server, "AWS_ACCESS_KEY_ID": "mock", "AWS_SECRET_ACCESS_KEY": "mock"}
    for name, value in {**told, "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # whose making takes as long as the stack's: none is used
    # moto takes the zones of a template for us-east-1's, and gives its subnets neither routes nor public addresses.
    monkeypatch.setattr("moto.cloudformation.parsing.DEFAULT_REGION", REGION)
    monkeypatch.setattr(SubnetBackend, "create_subnet_association", _associated)
    for service in ("s3", "emr", "emr-serverless", "cloudformation", "iam", "kms", "logs", "ec2"):
        for backend in get_backend(service)[ACCOUNT].values():
            backend.reset()
    for of_schedules in ("events", "scheduler", "sns", "sqs", "stepfunctions"):
        for other in get_backend(of_schedules)[ACCOUNT].values():
            other.reset()


_create_subnet_association = SubnetBackend.create_subnet_association


def _associated(backend: Any, route_table_id: str, subnet_id: str) -> SubnetRouteTableAssociation:
    backend.get_subnet(subnet_id).map_public_ip_on_launch = True  # as the template says, which moto passes over
    backend.associate_route_table(route_table_id=route_table_id, subnet_id=subnet_id)
    return _create_subnet_association(backend, route_table_id, subnet_id)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """What a usual account answers and moto does not, and a record of what is asked."""
    return Answers(monkeypatch, USUAL)


@pytest.fixture
def aws(no_stack: None, answers: Answers) -> dict[str, str]:
    """The infrastructure's stack, made of the template; returns its outputs."""
    client = boto3.client("cloudformation", region_name=REGION)
    template = (ROOT / "bootstrap" / "infrastructure.json").read_text()
    client.create_stack(StackName=STACK, TemplateBody=template, Capabilities=["CAPABILITY_IAM"])
    (stack,) = client.describe_stacks(StackName=STACK)["Stacks"]
    return {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}


@pytest.fixture
def settings(aws: dict[str, str]) -> Settings:
    """A run's settings with everything in the stack's bucket, where a photograph is and something like weights."""
    for key in ("photographs/Apple/1.jpg", "code/weights.h5"):
        boto3.client("s3", region_name=REGION).put_object(Bucket=aws["Bucket"], Key=key, Body=b"content")
    return settings_in(aws["Bucket"])


def settings_in(bucket: str) -> Settings:
    """A run's settings with everything in a bucket, where the stack's roles reach it."""
    s3 = f"s3://{bucket}"
    return load_settings(images=f"{s3}/photographs", lake=f"{s3}/lake", weights=f"{s3}/code/weights.h5")


def valid(service: str, operation: str, request: dict[str, Any]) -> bool:
    """Whether boto3 takes a request: every key is one of the operation's, every value of its type, none missing."""
    model = botocore.session.get_session().get_service_model(service).operation_model(operation)
    report = ParamValidator().validate(request, model.input_shape)
    assert not report.has_errors(), report.generate_report()
    return True


def emr_backend() -> ElasticMapReduceBackend:
    """Moto's clusters."""
    return _in_use(ElasticMapReduceBackend, get_backend("emr")[ACCOUNT], "clusters")


def serverless_backend() -> EMRServerlessBackend:
    """Moto's applications and jobs."""
    return _in_use(EMRServerlessBackend, get_backend("emr-serverless")[ACCOUNT], "applications")


def _in_use(kind: type[Backend], backends: Mapping[str, object], kept: str) -> Backend:
    """That of the region where something is kept: moto's server takes a region for the one that its URL would name."""
    found = next((one for one in [*backends.values()] if getattr(one, kept)), None) or backends[REGION]
    assert isinstance(found, kind)
    return found


@pytest.fixture
def getting_on() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Call something again and again, in a thread, until the test is over."""
    over, threads = threading.Event(), []

    def begin(move: Callable[[], None]) -> None:
        def work() -> None:
            while not over.wait(0.02):
                move()

        threads.append(threading.Thread(target=work, daemon=True))
        threads[-1].start()

    yield begin
    over.set()
    for thread in threads:
        thread.join()


def complete_a_step() -> None:
    """The first step that is not over, of each cluster that lives, is completed."""
    for cluster in [*emr_backend().clusters.values()]:
        waiting = [step for step in cluster.steps if step.state in ("PENDING", "RUNNING")]
        if waiting and not str(cluster.state).startswith("TERMINAT"):
            waiting[0].state = "COMPLETED"


def fail_silver(bucket: str, log: str) -> Callable[[], None]:
    """Bronze completes, silver fails, EMR cancels the rest and puts a log on S3."""

    def move() -> None:
        for cluster in [*emr_backend().clusters.values()]:
            by_name = {step.name: step for step in cluster.steps}
            if "fruits silver" not in by_name or by_name["fruits silver"].state == "FAILED":
                continue
            key = f"logs/{cluster.id}/steps/{by_name['fruits silver'].id}/stderr.gz"
            boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=gzip.compress(log.encode()))
            by_name["fruits bronze"].state = "COMPLETED"
            by_name["fruits silver"].state = "FAILED"
            by_name["fruits gold"].state = "CANCELLED"

    return move
