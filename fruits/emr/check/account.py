"""Checks of the account: who asks, its region, the release there, its quotas and its service-linked roles."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from fruits.emr.aws import AwsError, client, errors_of_aws, telling
from fruits.emr.check.finding import Finding, Outcome, Subject, is_denied, is_missing, unanswered
from fruits.emr.price import of_cluster, of_serverless
from fruits.emr.settings import EmrSettings
from lakehouse.storage import aws, aws_errors

_RENEWED_BY_HAND = ("env", "shared-credentials-file", "config-file", "explicit", "login")
"""botocore's names of what it cannot renew by itself."""
_PHOTOGRAPHS = 22_700  # of the run whose length is estimated where nobody has counted: the project's own data set
_STANDARD = "acdhimrtz"
"""The letters of the instance families that share the quotas of "Standard" instances."""


class LinkedRole(NamedTuple):
    """A role that a service makes for itself, on its first use in an account."""

    name: str
    service: str

    @property
    def path(self) -> str:
        """What comes after `role/` in its ARN."""
        return f"aws-service-role/{self.service}/{self.name}"


class _Quota(NamedTuple):
    what: str
    service: str
    code: str
    name: str


# Codes as Service Quotas lists them.
_ON_DEMAND = _Quota("quota of on-demand vCPUs", "ec2", "L-1216C47A", "Running On-Demand Standard instances")
_SPOT = _Quota("quota of Spot vCPUs", "ec2", "L-34B43A08", "All Standard Spot Instance Requests")
_SERVERLESS = _Quota(
    "quota of EMR Serverless", "emr-serverless", "L-D05C8A75", "Max concurrent vCPUs per account"
)  # fmt: skip


def credentials(subject: Subject) -> Iterator[Finding]:
    """Who asks, and whether that lasts for a run."""
    what = "credentials"
    try:
        with telling("AWS does not say whose they are"):
            arn = str(client("sts", subject.emr.region).get_caller_identity()["Arn"])
    except AwsError as error:
        yield Finding(what, Outcome.FAILURE, str(error))
        return
    if arn.endswith(":root"):
        advice = "Make a user or a role for this, and no access key for the root user."
        yield Finding(what, Outcome.WARNING, f"{arn}, the account's root user.", advice)
    found = aws.session().get_credentials()
    until = getattr(found, "_expiry_time", None)  # of which botocore tells nobody by another name
    if not isinstance(until, datetime):
        yield Finding(what, Outcome.OK, f"{arn}; they have no known end.")
        return
    by_hand = getattr(found, "method", "") in _RENEWED_BY_HAND
    hours = _hours(subject)
    said = f"{arn}, until {until:%Y-%m-%d %H:%M} UTC"
    if by_hand and until < datetime.now(UTC) + timedelta(hours=hours):
        advice = "Sign in again before the run: when they end, nobody here can follow the run or end the cluster."
        yield Finding(what, Outcome.WARNING, f"{said}; a run takes about {hours * 60:.0f} minutes.", advice)
    else:
        yield Finding(what, Outcome.OK, f"{said}{'' if by_hand else ', and are then renewed'}.")


def region(subject: Subject) -> Iterator[Finding]:
    """Whether the region has what is used, and is open to the account."""
    name = subject.emr.region
    session = aws.session()
    wanted = {"emr-serverless": "EMR Serverless"} if subject.serverless else {"emr": "EMR"}
    for service, title in wanted.items():
        if name not in session.get_available_regions(service):
            known = ", ".join(one for one in session.get_available_regions(service) if one.startswith("eu-"))
            said = f"boto3 knows no {title} in {name}."
            yield Finding("region", Outcome.WARNING, said, f"It knows it in {known}: choose one with `--region`.")
    (found,) = client("ec2", name).describe_regions(RegionNames=[name], AllRegions=True)["Regions"]
    if found.get("OptInStatus") == "not-opted-in":
        advice = "Turn it on (Account, AWS Regions, in AWS's console), or choose another with `--region`."
        yield Finding("region", Outcome.FAILURE, f"{name} is not turned on in this account.", advice)
    else:
        yield Finding("region", Outcome.OK, f"{name}, which the account may use.")


def release(subject: Subject) -> Iterator[Finding]:
    """Whether EMR has the release there."""
    from botocore.exceptions import ClientError

    emr = subject.emr
    try:
        found = client("emr", emr.region).describe_release_label(ReleaseLabel=emr.release)
    except ClientError as error:
        if is_denied(error) or aws_errors.status_of(error) >= 500:
            raise
        # No failure: what EMR tells of releases by this name nobody has seen yet.
        advice = "Choose another `--region`, or another `release` in the settings of `fruits emr`."
        yield Finding(
            "release", Outcome.WARNING, f"EMR in {emr.region} does not tell of {emr.release}: {error}.", advice
        )
        return
    applications = {one["Name"]: one["Version"] for one in found.get("Applications", ())}
    yield Finding("release", Outcome.OK, f"{emr.release} with Spark {applications.get('Spark', '(version not told)')}.")


def quotas(subject: Subject) -> Iterator[Finding]:
    """Whether the account may run so many processors, beside those that run already."""
    emr = subject.emr
    if subject.serverless:
        yield _quota(emr, _SERVERLESS, emr.serverless_vcpus, 0, "Lower `serverless_vcpus`")
        return
    running = _running(emr)
    vcpus = _vcpus(emr, {emr.primary, emr.core, emr.task_type, *(name for name, _ in running)})
    used: Counter[str] = Counter()
    for name, bought in running:
        used[bought] += vcpus[name]
    wanted = _standard([(emr.primary, 1), (emr.core, emr.core_nodes)], vcpus)
    found = _quota(emr, _ON_DEMAND, wanted, used["on-demand"], "Use fewer or smaller nodes")
    if found.outcome == Outcome.OK and emr.max_core_nodes and emr.is_scaled:
        scaled = _standard([(emr.primary, 1), (emr.core, emr.max_core_nodes)], vcpus)
        more = _quota(emr, _ON_DEMAND, scaled, used["on-demand"], "Lower `--max-core-nodes`")
        # The cluster starts, and then does not grow as far as it may.
        found = replace(more, outcome=Outcome.WARNING) if more.outcome == Outcome.FAILURE else more
    yield found
    if emr.task_nodes:
        wanted = _standard([(emr.task_type, emr.task_nodes)], vcpus)
        yield _quota(emr, _SPOT, wanted, used["spot"], "Lower `--task-nodes`")


def linked_roles(subject: Subject) -> Iterator[Finding]:
    """Whether the roles are there that services make for themselves."""
    from botocore.exceptions import ClientError

    iam = client("iam", subject.emr.region)
    for role in needed_roles(subject):
        try:
            iam.get_role(RoleName=role.name)
        except ClientError as error:
            if not is_missing(error):
                yield unanswered(role.name, error)
                continue
            advice = (
                f"It is made on first use, if the credentials may iam:CreateServiceLinkedRole (see below); else an "
                f"administrator makes it: aws iam create-service-linked-role --aws-service-name {role.service}"
            )
            yield Finding(role.name, Outcome.WARNING, "the account does not have this service-linked role yet.", advice)
        else:
            yield Finding(role.name, Outcome.OK, "the service-linked role is there.")


def needed_roles(subject: Subject) -> list[LinkedRole]:
    """The service-linked roles that a run needs."""
    if subject.serverless:
        return [LinkedRole("AWSServiceRoleForAmazonEMRServerless", "ops.emr-serverless.amazonaws.com")]
    cleanup = LinkedRole("AWSServiceRoleForEMRCleanup", "elasticmapreduce.amazonaws.com")
    spot = LinkedRole("AWSServiceRoleForEC2Spot", "spot.amazonaws.com")
    return [cleanup, spot] if subject.emr.uses_spot else [cleanup]


def _hours(subject: Subject) -> float:
    estimate = of_serverless if subject.serverless else of_cluster
    return estimate(subject.emr, _PHOTOGRAPHS).hours or 1.0


def _quota(emr: EmrSettings, quota: _Quota, wanted: int, used: int, otherwise: str) -> Finding:
    try:
        value, whose = _value(emr, quota)
    except errors_of_aws() as error:
        return unanswered(quota.what, error)
    said = f"{wanted} wanted, {used} in use, of {value:g}{whose} ({quota.name})."
    if wanted + used > value:
        advice = f"{otherwise}, or ask for more: Service Quotas, {quota.service}, {quota.code}."
        return Finding(quota.what, Outcome.FAILURE, said, advice)
    return Finding(quota.what, Outcome.OK, said)


def _value(emr: EmrSettings, quota: _Quota) -> tuple[float, str]:
    """The account's value, or AWS's default where it has none of its own."""
    from botocore.exceptions import ClientError

    quotas = client("service-quotas", emr.region)
    asked = {"ServiceCode": quota.service, "QuotaCode": quota.code}
    try:
        return quotas.get_service_quota(**asked)["Quota"]["Value"], ""
    except ClientError as error:
        if not is_missing(error):
            raise
    return quotas.get_aws_default_service_quota(**asked)["Quota"]["Value"], ", AWS's default"


def _vcpus(emr: EmrSettings, types: set[str]) -> dict[str, int]:
    found = client("ec2", emr.region).describe_instance_types(InstanceTypes=sorted(types))["InstanceTypes"]
    return {one["InstanceType"]: int(one["VCpuInfo"]["DefaultVCpus"]) for one in found}


def _standard(nodes: list[tuple[str, int]], vcpus: Mapping[str, int]) -> int:
    return sum(vcpus[name] * count for name, count in nodes if _is_standard(name))


def _is_standard(name: str) -> bool:
    return name[0] in _STANDARD and not name.startswith(("inf", "trn", "dl", "hpc"))


def _running(emr: EmrSettings) -> list[tuple[str, str]]:
    """The standard instances that run now: the type of each, and how it was bought."""
    pages = client("ec2", emr.region).get_paginator("describe_instances")
    states = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    instances: list[dict[str, Any]] = [
        one for page in pages.paginate(Filters=states) for group in page["Reservations"] for one in group["Instances"]
    ]
    found = [(str(one["InstanceType"]), str(one.get("InstanceLifecycle", "on-demand"))) for one in instances]
    return [one for one in found if _is_standard(one[0])]
