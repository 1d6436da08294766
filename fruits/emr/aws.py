"""AWS's control plane by boto3: clients, the stack's outputs, and errors that say what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, overload

from fruits.emr.boto import CloudFormation, ElasticMapReduce, ServerlessEmr
from fruits.emr.boto_schedules import Events, Scheduler, Sqs, StepFunctions
from fruits.emr.settings import EmrSettings
from lakehouse.errors import LakehouseError
from lakehouse.storage import aws, aws_errors

_ADVICE = {
    "NoCredentialsError": "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a role.",
    "ExpiredToken": "The credentials have expired: sign in again.",
    "ExpiredTokenException": "The credentials have expired: sign in again.",
    "EndpointConnectionError": "Check the network, and AWS_ENDPOINT_URL.",
    "ThrottlingException": "AWS asks for fewer requests: try again in a minute.",
    "ServiceQuotaExceededException": "Ask AWS for a higher quota, or use fewer or smaller nodes.",
    "LimitExceededException": "Ask AWS for a higher quota, or use fewer or smaller nodes.",
}
_DENIED = "The credentials must allow it: see docs/emr.md for what launching needs."


class AwsError(LakehouseError):
    """AWS refused something, or is out of reach."""


@overload
def client(service: Literal["emr"], region: str) -> ElasticMapReduce: ...


@overload
def client(service: Literal["emr-serverless"], region: str) -> ServerlessEmr: ...


@overload
def client(service: Literal["cloudformation"], region: str) -> CloudFormation: ...


@overload
def client(service: Literal["ec2", "iam", "kms", "pricing", "s3", "service-quotas", "sts"], region: str) -> Any: ...


@overload
def client(service: Literal["scheduler"], region: str) -> Scheduler: ...


@overload
def client(service: Literal["stepfunctions"], region: str) -> StepFunctions: ...


@overload
def client(service: Literal["sqs"], region: str) -> Sqs: ...


@overload
def client(service: Literal["events"], region: str) -> Events: ...


def client(service: str, region: str) -> Any:
    """A boto3 client, which asks again where AWS asks for patience; of services that are only read, not so often."""
    from botocore.config import Config

    attempts = 8 if service in ("emr", "emr-serverless", "cloudformation") else 3
    retries = {"mode": "standard", "total_max_attempts": attempts}
    return aws.session().client(service, region_name=region, config=Config(retries=retries))


def errors_of_aws() -> tuple[type[Exception], ...]:
    """What boto3 raises where AWS refuses, is out of reach, or somebody else answers in its place, as a proxy does."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    return BotoCoreError, ClientError, ResponseParserError


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Turn boto3's errors in the block into one that says what did not work, why, and what to do."""
    try:
        yield
    except errors_of_aws() as error:
        code = aws_errors.code_of(error)
        denied = "Denied" in code or "Unauthorized" in code
        advice = _ADVICE.get(code, _DENIED if denied else "")
        raise AwsError(f"{what}: {str(error).rstrip('.')}. {advice}".rstrip()) from error


def completed(emr: EmrSettings) -> EmrSettings:
    """The settings, with the stack's outputs where a key is null.

    Raises:
        AwsError: there is no such stack, or it cannot be read.
        SettingsError: the stack lacks an output.
    """
    return emr if emr.completed_already else emr.completed(stack_outputs(emr))


def stack_outputs(emr: EmrSettings) -> dict[str, str]:
    """The stack's outputs by their names.

    Raises:
        AwsError: there is no such stack, or it cannot be read.
    """
    with telling(f"The stack {emr.stack} in {emr.region} cannot be read (make it of bootstrap/infrastructure.json)"):
        (stack,) = client("cloudformation", emr.region).describe_stacks(StackName=emr.stack)["Stacks"]
    return {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", ())}
