"""Checks of who may do what: IAM simulates the policies of the stack's roles, and of who asks.

A simulation knows identity policies, boundaries and an organisation's policies; it does not know a bucket's or a key's
own policy. See "Testing IAM policies with the IAM policy simulator" in AWS's guide.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fruits.catalog import Layer
from fruits.emr.aws import client, errors_of_aws
from fruits.emr.check.account import LinkedRole, needed_roles
from fruits.emr.check.finding import Finding, Outcome, Subject, unanswered
from fruits.emr.check.places import s3_places
from lakehouse.storage import aws, aws_errors

_ONE = "any-object"
_READ = ("s3:GetObject",)
_WRITE = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload")
_KEY = ("kms:Decrypt", "kms:GenerateDataKey")
_CATALOG = ("glue:GetDatabase", "glue:CreateDatabase", "glue:GetTable", "glue:CreateTable", "glue:UpdateTable")
_CLUSTER = (
    *("elasticmapreduce:RunJobFlow", "elasticmapreduce:AddJobFlowSteps", "elasticmapreduce:AddTags"),
    *("elasticmapreduce:DescribeCluster", "elasticmapreduce:ListSteps", "elasticmapreduce:ListClusters"),
    "elasticmapreduce:TerminateJobFlows",
)
_APPLICATION = tuple(
    f"emr-serverless:{action}"
    for action in (
        *("CreateApplication", "GetApplication", "StopApplication", "DeleteApplication", "StartJobRun", "GetJobRun"),
        *("ListJobRuns", "CancelJobRun", "TagResource"),
    )
)


@dataclass(frozen=True)
class _Need:
    """Actions on resources, with what a request of that kind says of itself."""

    actions: Sequence[str]
    resources: Sequence[str]
    context: dict[str, str] = field(default_factory=dict)


def roles(subject: Subject) -> Iterator[Finding]:
    """Whether the roles of the jobs, and of EMR itself, may do what a run does."""
    iam = client("iam", subject.emr.region)
    try:
        found = {"role of the jobs": (_job_role(iam, subject), _of_jobs(subject))}
        if not subject.serverless:
            service = str(iam.get_role(RoleName=subject.emr.service_role)["Role"]["Arn"])
            found["role of EMR"] = (service, _of_service(subject, found["role of the jobs"][0]))
    except errors_of_aws() as error:
        yield unanswered("roles", error)
        return
    for what, (arn, needs) in found.items():
        advice = (
            "Update the stack from this version's bootstrap/infrastructure.json, or look for a boundary on the role."
        )
        yield _simulated(iam, what, arn, needs, advice)


def caller(subject: Subject) -> Iterator[Finding]:
    """Whether who asks may launch, follow and end it."""
    what = "your permissions"
    iam = client("iam", subject.emr.region)
    arn = str(client("sts", subject.emr.region).get_caller_identity()["Arn"])
    if arn.endswith(":root"):
        yield Finding(what, Outcome.OK, "the root user may do everything.")
        return
    if ":assumed-role/" in arn:  # a session, whose policies are its role's
        arn = str(iam.get_role(RoleName=arn.split("/")[1])["Role"]["Arn"])
    elif ":user/" not in arn:
        yield Finding(what, Outcome.NOT_CHECKED, f"IAM simulates users and roles, and {arn} is neither.")
        return
    job = _job_role(iam, subject)
    yield _simulated(iam, what, arn, _of_caller(subject, iam, job), "See docs/emr.md for what launching needs.")


def _simulated(iam: Any, what: str, arn: str, needs: Iterable[_Need], advice: str) -> Finding:
    refused: list[str] = []
    asked = 0
    for need in needs:
        entries = [
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
            for key, value in need.context.items()
        ]
        try:
            pages = iam.get_paginator("simulate_principal_policy").paginate(
                PolicySourceArn=arn,
                ActionNames=list(need.actions),
                ResourceArns=list(need.resources),
                ContextEntries=entries,
            )
            results = [one for page in pages for one in page["EvaluationResults"]]
        except errors_of_aws() as error:
            return unanswered(what, error)
        asked += len(results)
        refused += [_said(one, need) for one in results if one["EvalDecision"] != "allowed"]
    if refused:
        return Finding(what, Outcome.FAILURE, f"{arn} may not: {'; '.join(refused)}.", advice)
    return Finding(what, Outcome.OK, f"{arn}: IAM's simulation allows all {asked} that were asked for.")


def _said(result: dict[str, Any], need: _Need) -> str:
    context = "".join(f", {key} {value}" for key, value in need.context.items())
    why = " (denied by a policy)" if result["EvalDecision"] == "explicitDeny" else ""
    return f"{result['EvalActionName']} on {result.get('EvalResourceName', '*')}{context}{why}"


def _of_jobs(subject: Subject) -> list[_Need]:
    """What a run reads, lists and writes, with the prefixes that its listings say."""
    emr, partition = subject.emr, _partition(subject)
    own = f"arn:{partition}:s3:::{emr.bucket}"
    places = s3_places(subject.settings) if subject.settings else {}
    images = places.get("images", f"s3://{emr.bucket}/photographs")
    lake = places.get("lake", f"s3://{emr.bucket}/lake")
    needs = [
        *(_listing(subject, uri) for uri in (images, lake, f"s3://{emr.bucket}/code")),
        _Need(_READ, [f"{_arn(subject, images)}/{_ONE}", f"{own}/code/{_ONE}"]),
        _Need(_WRITE, [f"{_arn(subject, lake)}/{_ONE}", f"{own}/logs/{_ONE}"]),
    ]
    if inventory := places.get("inventory"):
        folder = inventory.removesuffix("/manifest.json")
        above = folder.rpartition("/")[0] if folder != inventory else folder
        needs += [_listing(subject, above), _Need(_READ, [f"{_arn(subject, above)}/{_ONE}"])]
    files = [_arn(subject, places[key]) for key in ("weights", "labels") if key in places]
    if files:
        needs.append(_Need(_READ, files))
    if emr.key:
        needs.append(_Need(_KEY, [emr.key]))
    if emr.glue and emr.key:
        account = emr.key.split(":")[4]
        glue = f"arn:{partition}:glue:{emr.region}:{account}"
        resources = [f"{glue}:{one}" for layer in Layer for one in (f"database/{layer}", f"table/{layer}/*")]
        needs.append(_Need(_CATALOG, [f"{glue}:catalog", *resources]))
    return needs


def _of_service(subject: Subject, instance_role: str) -> list[_Need]:
    needs = [_Need(["iam:PassRole"], [instance_role], {"iam:PassedToService": "ec2.amazonaws.com"})]
    if subject.emr.key:
        needs.append(_Need(_KEY, [subject.emr.key]))
    return needs


def _of_caller(subject: Subject, iam: Any, job_role: str) -> list[_Need]:
    emr = subject.emr
    own = f"arn:{_partition(subject)}:s3:::{emr.bucket}"
    needs = [
        _listing(subject, f"s3://{emr.bucket}/code"),
        _Need(("s3:GetObject", "s3:PutObject"), [f"{own}/code/{_ONE}"]),
        _Need(_APPLICATION if subject.serverless else _CLUSTER, ["*"]),
    ]
    if emr.key:
        needs.append(_Need(_KEY, [emr.key]))
    if subject.serverless:
        needs.append(_Need(["iam:PassRole"], [job_role], {"iam:PassedToService": "emr-serverless.amazonaws.com"}))
    else:
        service = str(iam.get_role(RoleName=emr.service_role)["Role"]["Arn"])
        needs.append(_Need(["iam:PassRole"], [service], {"iam:PassedToService": "elasticmapreduce.amazonaws.com"}))
        needs.append(_Need(["iam:PassRole"], [job_role], {"iam:PassedToService": "ec2.amazonaws.com"}))
    return needs + [_making(subject, role) for role in needed_roles(subject) if _lacks(iam, role.name)]


def _making(subject: Subject, role: LinkedRole) -> _Need:
    account = str(subject.emr.job_role).split(":")[4]
    arn = f"arn:{_partition(subject)}:iam::{account}:role/{role.path}"
    return _Need(["iam:CreateServiceLinkedRole"], [arn], {"iam:AWSServiceName": role.service})


def _lacks(iam: Any, name: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        iam.get_role(RoleName=name)
    except ClientError as error:
        if aws_errors.code_of(error) == "NoSuchEntity":
            return True
        raise
    return False


def _job_role(iam: Any, subject: Subject) -> str:
    """The ARN of the role that the jobs have."""
    if subject.serverless:
        return str(subject.emr.job_role)
    profile = iam.get_instance_profile(InstanceProfileName=subject.emr.instance_profile)["InstanceProfile"]
    return str(profile["Roles"][0]["Arn"])


def _listing(subject: Subject, uri: str) -> _Need:
    bucket, key = aws.split(uri)
    resource = f"arn:{_partition(subject)}:s3:::{bucket}"
    return _Need(["s3:ListBucket"], [resource], {"s3:prefix": f"{key}/" if key else ""})


def _arn(subject: Subject, uri: str) -> str:
    bucket, key = aws.split(uri)
    return f"arn:{_partition(subject)}:s3:::{bucket}{f'/{key}' if key else ''}"


def _partition(subject: Subject) -> str:
    """AWS's name for the part of its cloud: `aws`, or another for China, the US government and the sovereign ones."""
    return (subject.emr.key or subject.emr.job_role or "arn:aws").split(":")[1]
