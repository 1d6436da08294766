"""`fruits emr plan`: the AWS requests and the estimated cost. Calls no AWS API."""

from textwrap import indent
from typing import NotRequired, TypedDict, final

from fruits.catalog import Layer
from fruits.console import OUT, print_table
from fruits.emr.price import Estimate, of_cluster, of_serverless
from fruits.emr.request import Request, run_job_flow, steps
from fruits.emr.sent import on_cluster
from fruits.emr.serverless_request import create_application, start_job_run
from fruits.emr.settings import EmrSettings
from fruits.settings import Settings


class Estimated(TypedDict):
    """What a run takes, in hours and USD; numbers are None where a type has no price."""

    photographs: int
    hours: float | None
    price: float | None
    hourly_price: float | None
    prices_as_of: str
    prices_region: str
    settings: NotRequired[str]


@final
class ClusterPlan(Estimated):
    """The requests that make a cluster and its steps, and the estimate."""

    run_job_flow: Request
    steps: list[Request]


@final
class ServerlessPlan(Estimated):
    """The requests that make an application and run its jobs, and the estimate."""

    create_application: Request
    job_runs: list[Request]


def plan(
    emr: EmrSettings, photographs: int, *, serverless: bool, settings: Settings | None = None
) -> ClusterPlan | ServerlessPlan:
    """The requests as boto3 takes them, and the estimate.

    Args:
        emr: settings; what the stack would fill in stands as `<output of stack>`.
        photographs: how many are new.
        serverless: on EMR Serverless instead of a cluster.
        settings: of the run, where it is planned for photographs and a lake that there are.

    Returns:
        run_job_flow and steps (or create_application and job_runs), hours, price (USD for the run), hourly_price,
        photographs, prices_as_of and prices_region; numbers are None where a type has no price. And settings, where
        they are given: the file that the run would send.

    Raises:
        SettingsError: what the cluster must reach lies in a folder of this machine.
    """
    sent = None if settings is None else on_cluster(settings, emr)
    emr = emr.placeholders()
    code = f"s3://{emr.bucket}/code/<digest>"
    if serverless:
        environment = f"s3://{emr.bucket}/code/environments/<digest>-{emr.serverless_architecture}.tar.gz"
        jobs = [start_job_run(emr, "<application>", code, environment, layer) for layer in Layer]
        estimate = _estimated(of_serverless(emr, photographs), photographs, sent)
        return {"create_application": create_application(emr), "job_runs": jobs, **estimate}
    estimate = _estimated(of_cluster(emr, photographs), photographs, sent)
    made = run_job_flow(emr, code, standing=False)
    return {"run_job_flow": made, "steps": steps("TERMINATE_CLUSTER"), **estimate}


def print_plan(emr: EmrSettings, found: ClusterPlan | ServerlessPlan) -> None:
    """Print a plan for people."""
    if "run_job_flow" in found:
        _print_cluster(emr, found["run_job_flow"])
        commands = [" ".join(step["HadoopJarStep"]["Args"]) for step in found["steps"]]
    else:
        limit = found["create_application"]["maximumCapacity"]
        OUT.print(f"EMR Serverless ({emr.release}, {emr.region}): at most {limit['cpu']}, {limit['memory']}")
        commands = [
            " ".join(
                [job["jobDriver"]["sparkSubmit"]["entryPoint"], *job["jobDriver"]["sparkSubmit"]["entryPointArguments"]]
            )
            for job in found["job_runs"]
        ]
    OUT.print("Steps:")
    for command in commands:
        OUT.print(f"  {command}", soft_wrap=True)
    if "settings" in found:
        OUT.print("Settings, sent with the code:")
        OUT.print(indent(found["settings"], "  ").rstrip(), soft_wrap=True)
    OUT.print(_format_found(found), soft_wrap=True)


def _print_cluster(emr: EmrSettings, request: Request) -> None:
    OUT.print(f"A cluster of EMR ({emr.release}, {emr.region}), which ends when its steps are done:")
    print_table(("nodes", "count", "type", "market"), _nodes(request["Instances"]))
    network = request["Instances"]
    rows = [
        ("subnet", network.get("Ec2SubnetId") or " or ".join(network["Ec2SubnetIds"])),
        ("roles", f"{request['ServiceRole']}, {request['JobFlowRole']}"),
        ("security", request["SecurityConfiguration"]),
        ("bootstrap", request["BootstrapActions"][0]["ScriptBootstrapAction"]["Path"]),
        ("logs", request["LogUri"]),
        *[
            (one["Classification"], ", ".join(f"{k}={v}" for k, v in _properties(one).items()))
            for one in request["Configurations"]
        ],
    ]
    if "ManagedScalingPolicy" in request:
        limits = request["ManagedScalingPolicy"]["ComputeLimits"]
        rows.append(("scaling", f"{limits['MinimumCapacityUnits']} to {limits['MaximumCapacityUnits']} nodes"))
    for name, value in rows:
        OUT.print(f"  {name:<15} {value}", soft_wrap=True)


def _nodes(instances: Request) -> list[tuple[str, int, str, str]]:
    """A row for each group or fleet: its name, how many nodes, of which types, on which market."""
    if "InstanceGroups" in instances:
        return [
            (group["Name"], group["InstanceCount"], group["InstanceType"], group["Market"])
            for group in instances["InstanceGroups"]
        ]
    return [
        (
            fleet["Name"],
            fleet["TargetOnDemandCapacity"] + fleet["TargetSpotCapacity"],
            " or ".join(one["InstanceType"] for one in fleet["InstanceTypeConfigs"]),
            "SPOT" if fleet["TargetSpotCapacity"] else "ON_DEMAND",
        )
        for fleet in instances["InstanceFleets"]
    ]


def _properties(configuration: Request) -> dict[str, str]:
    """A classification's own properties, and those of the ones within it."""
    found: dict[str, str] = dict(configuration["Properties"])
    for within in configuration.get("Configurations", ()):
        found |= _properties(within)
    return found


def _estimated(estimate: Estimate, photographs: int, settings: str | None) -> Estimated:
    found: Estimated = {
        "photographs": photographs,
        "hours": estimate.hours,
        "price": estimate.price,
        "hourly_price": estimate.hourly,
        "prices_as_of": estimate.as_of,
        "prices_region": estimate.region,
    }
    return found if settings is None else {**found, "settings": settings}


def _format_found(found: Estimated) -> str:
    if found["hours"] is None or found["price"] is None:
        return "What it costs is not known: an instance type has no price in the table (`fruits emr prices --refresh`)."
    return (
        f"For {found['photographs']:,} new photographs about {60 * found['hours']:.0f} minutes at "
        f"{found['hourly_price']:.2f} USD an hour: {found['price']:.2f} USD. An estimate, by the prices of "
        f"{found['prices_as_of']} in {found['prices_region']}, without the lake's storage and traffic."
    )
