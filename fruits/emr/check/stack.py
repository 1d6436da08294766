"""Checks of the CloudFormation stack: that it is there, whole, and made of this version's template."""

import json
from collections.abc import Iterator
from importlib.resources import files

from fruits.emr.aws import client, completed
from fruits.emr.check.finding import Finding, Outcome, Subject
from lakehouse.errors import LakehouseError

_WHOLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE")
_UPDATE = (
    "Update it: aws cloudformation update-stack --stack-name {} --template-body file://bootstrap/infrastructure.json "
    "--capabilities CAPABILITY_IAM (with the parameters that it has)."
)


def completed_by(subject: Subject) -> tuple[list[Finding], Subject]:
    """What there is to say of the stack's outputs, and the subject with them, where there are any."""
    emr = subject.emr
    try:
        return [], subject.completed(completed(emr))
    except LakehouseError as error:
        advice = (
            f"aws cloudformation create-stack --stack-name {emr.stack} --template-body "
            "file://bootstrap/infrastructure.json --capabilities CAPABILITY_IAM; what is checked of it is left out now."
        )
        return [Finding("stack", Outcome.FAILURE, str(error), advice)], subject


def current(subject: Subject) -> Iterator[Finding]:
    """Whether the stack is at rest, and its template this version's."""
    emr = subject.emr
    cloudformation = client("cloudformation", emr.region)
    (found,) = cloudformation.describe_stacks(StackName=emr.stack)["Stacks"]
    status = str(found["StackStatus"])
    if status not in _WHOLE:
        advice = "Wait until it is at rest, and look at its events in AWS's console where something failed."
        yield Finding("stack", Outcome.WARNING, f"{emr.stack} in {emr.region} is {status}.", advice)
    body = cloudformation.get_template(StackName=emr.stack, TemplateStage="Original")["TemplateBody"]
    shipped = json.loads(files("lakehouse.bootstrap").joinpath("infrastructure.json").read_text(encoding="utf-8"))
    if body == shipped:  # botocore has parsed what is JSON
        yield Finding("stack", Outcome.OK, f"{emr.stack} in {emr.region}, {status}, of this version's template.")
    else:
        said = f"{emr.stack} in {emr.region} was made of another version of bootstrap/infrastructure.json."
        yield Finding("stack", Outcome.WARNING, said, _UPDATE.format(emr.stack))


def key(subject: Subject) -> Iterator[Finding]:
    """Whether the key can be used: without it nothing in the bucket can be read."""
    emr = subject.emr
    if emr.key is None:
        said = "the stack tells of none, and the settings name none."
        yield Finding("key", Outcome.NOT_CHECKED, said, _UPDATE.format(emr.stack))
        return
    found = client("kms", emr.region).describe_key(KeyId=emr.key)["KeyMetadata"]
    if found["KeyState"] == "Enabled":
        yield Finding("key", Outcome.OK, f"{emr.key} is enabled.")
    else:
        advice = f"Without it the lake is lost: aws kms cancel-key-deletion or enable-key --key-id {emr.key}."
        yield Finding("key", Outcome.FAILURE, f"{emr.key} is {found['KeyState']}.", advice)
