"""Checks of the machines' place: types offered in the zones, a way out of the subnets, the package index."""

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from fruits.emr.aws import client
from fruits.emr.check.finding import Finding, Outcome, Subject
from fruits.emr.code import platform_options
from fruits.emr.settings import EmrSettings

_PATIENCE = 60
_TAG = {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"}


def offered(subject: Subject) -> Iterator[Finding]:
    """Whether the zones of the subnets have the instance types."""
    if subject.serverless:
        return
    emr, ec2 = subject.emr, client("ec2", subject.emr.region)
    types = sorted({emr.primary, emr.core, *emr.more_types, *([emr.task_type] if emr.uses_spot else [])})
    subnets = _subnets(emr)
    zones: Iterable[str | None] = (
        {str(one["AvailabilityZone"]) for one in ec2.describe_subnets(SubnetIds=subnets)["Subnets"]}
        if subnets
        else [None]
    )
    for zone in sorted(zones, key=str):
        filters = [{"Name": "instance-type", "Values": types}]
        if zone:
            filters.append({"Name": "location", "Values": [zone]})
        kind = "availability-zone" if zone else "region"
        pages = ec2.get_paginator("describe_instance_type_offerings").paginate(LocationType=kind, Filters=filters)
        found = {one["InstanceType"] for page in pages for one in page["InstanceTypeOfferings"]}
        lacking = [one for one in types if one not in found]
        what, where = "instance types", zone or emr.region
        if not lacking:
            yield Finding(what, Outcome.OK, f"{', '.join(types)} are offered in {where}.")
        else:
            advice = "Choose others (`--primary`, `--core`), or a subnet in another zone."
            outcome = Outcome.WARNING if emr.fleets else Outcome.FAILURE
            yield Finding(what, outcome, f"{', '.join(lacking)}: not offered in {where}.", advice)


def way_out(subject: Subject) -> Iterator[Finding]:
    """Whether a subnet's routes lead out, as the bootstrap action's package index needs, and it has EMR's tag."""
    emr = subject.emr
    if subject.serverless:
        return
    ec2 = client("ec2", emr.region)
    for one in ec2.describe_subnets(SubnetIds=_subnets(emr))["Subnets"]:
        what = f"subnet {one['SubnetId']}"
        if _TAG not in one.get("Tags", ()):
            advice = f"aws ec2 create-tags --resources {one['SubnetId']} --tags Key={_TAG['Key']},Value={_TAG['Value']}"
            yield Finding(what, Outcome.FAILURE, "lacks the tag without which EMR starts nothing there.", advice)
        target = _route_out(_routes(ec2, one))
        private = emr.service_access_security_group is not None
        if target is None:
            advice = "Give it a NAT gateway, or choose a public subnet: packages are installed on every node."
            yield Finding(what, Outcome.FAILURE, "has no route out, so no node reaches a package index.", advice)
        elif target.startswith("igw-") == private:
            advice = (
                "Set the template's parameter SubnetIsPrivate: true for a NAT gateway, false for an internet gateway."
            )
            said = f"leads out by {target}, and the stack takes it for a {'private' if private else 'public'} one."
            yield Finding(what, Outcome.WARNING, said, advice)
        elif target.startswith("igw-") and not one.get("MapPublicIpOnLaunch"):
            advice = "Turn on its auto-assign of public addresses: without one a node's way out ends at the gateway."
            yield Finding(what, Outcome.FAILURE, f"leads out by {target}, and gives no public address.", advice)
        else:
            yield Finding(what, Outcome.OK, f"leads out by {target}.")


def index(subject: Subject) -> Iterator[Finding]:
    """Whether a package index answers with what is locked, hashes included: asked by uv, from here, fetching nothing.

    For EMR Serverless that is where the packages come from; the nodes of a cluster ask it themselves.
    """
    lock = files("lakehouse.bootstrap").joinpath("requirements-emr.lock").read_text()
    with tempfile.TemporaryDirectory() as work:
        requirement = Path(work) / "one.lock"
        requirement.write_text(_first_pin(lock))
        architecture = subject.emr.serverless_architecture if subject.serverless else "x86_64"
        command = [
            *(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--dry-run", "--python", sys.executable),
            *("--target", str(Path(work) / "target"), "--no-deps", "--only-binary", ":all:", "--require-hashes"),
            *(*platform_options(architecture), "--refresh", "-r", str(requirement)),
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            yield Finding("package index", Outcome.WARNING, f"no answer in {_PATIENCE} seconds.", "Check the network.")
            return
    if done.returncode == 0:
        whose = "" if subject.serverless else "; the nodes reach it by their own subnet (above)"
        yield Finding("package index", Outcome.OK, f"answers here with what is locked{whose}.")
    else:
        outcome = Outcome.FAILURE if subject.serverless else Outcome.WARNING
        advice = "Check the network, and UV_INDEX_URL or UV_DEFAULT_INDEX where you use an index of your own."
        yield Finding("package index", outcome, f"uv said: {' '.join(done.stderr.split())[-300:]}", advice)


def _subnets(emr: EmrSettings) -> list[str]:
    if emr.fleets and emr.subnets:
        return emr.subnets
    return [emr.subnet] if emr.subnet else []


def _routes(ec2: Any, subnet: dict[str, Any]) -> list[dict[str, Any]]:
    """The routes of a subnet's table, or of its VPC's main one where it has none of its own."""
    own = {"Name": "association.subnet-id", "Values": [subnet["SubnetId"]]}
    main = [
        {"Name": "vpc-id", "Values": [subnet["VpcId"]]},
        {"Name": "association.main", "Values": ["true"]},
    ]
    tables = (
        ec2.describe_route_tables(Filters=[own])["RouteTables"]
        or ec2.describe_route_tables(Filters=main)["RouteTables"]
    )
    return [route for table in tables for route in table["Routes"]]


def _route_out(routes: Iterable[dict[str, Any]]) -> str | None:
    """The gateway, network interface or connection that everything else goes to."""
    targets = ("NatGatewayId", "GatewayId", "TransitGatewayId", "InstanceId", "NetworkInterfaceId")
    for route in routes:
        if route.get("DestinationCidrBlock") == "0.0.0.0/0" and route.get("State", "active") == "active":
            return next((str(route[key]) for key in targets if route.get(key)), None)
    return None


def _first_pin(lock: str) -> str:
    """The first requirement of a lock, with its hashes."""
    lines = [line for line in lock.splitlines() if line and not line.lstrip().startswith("#")]
    taken = [lines[0]]
    for line in lines[1:]:
        if not taken[-1].endswith("\\"):
            break
        taken.append(line)
    return "\n".join(taken) + "\n"
