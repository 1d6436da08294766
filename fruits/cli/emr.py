"""`fruits emr plan | check | prices | run | up | status | down | schedule | unschedule`."""

from pathlib import Path
from typing import Annotated

import typer

from fruits.cli.options import Config, Shape
from fruits.console import ERR, OUT, Format, print_json, print_table
from fruits.intervals import interval_seconds, known_zone
from fruits.settings import load_settings
from lakehouse.errors import LakehouseError, SettingsError

app = typer.Typer(no_args_is_help=True, help="Run the same jobs on Amazon EMR.")

Images = Annotated[str | None, typer.Option("--images", help="s3:// URI of the photographs.")]
LakeUri = Annotated[str | None, typer.Option("--lake", help="s3:// URI of the lakehouse.")]
EmrConfig = Annotated[Path | None, typer.Option("--emr-config", help="Settings file of the cluster.")]
Region = Annotated[str | None, typer.Option(help="AWS region.")]
OutsideEu = Annotated[str | None, typer.Option(help="The same region again, where it is outside the European Union.")]
Stack = Annotated[str | None, typer.Option(help="CloudFormation stack of the infrastructure.")]
Primary = Annotated[str | None, typer.Option(help="Instance type of the primary node.")]
Core = Annotated[str | None, typer.Option(help="Instance type of the core nodes.")]
CoreNodes = Annotated[int | None, typer.Option(help="Number of core nodes.")]
MaxCoreNodes = Annotated[int | None, typer.Option(help="Managed scaling, up to so many core nodes.")]
TaskNodes = Annotated[int | None, typer.Option(help="Number of Spot task nodes.")]
Fleets = Annotated[bool | None, typer.Option("--fleets", help="Instance fleets, in whichever subnet has room.")]
Glue = Annotated[bool | None, typer.Option("--glue", help="Enter the tables in AWS Glue's catalog.")]
Serverless = Annotated[bool, typer.Option("--serverless", help="On EMR Serverless instead of a cluster.")]


@app.command()
def plan(
    photographs: Annotated[int, typer.Option(min=0, help="How many photographs are new.")] = 22_700,
    images: Images = None,
    lake: LakeUri = None,
    serverless: Serverless = False,
    region: Region = None,
    outside_eu: OutsideEu = None,
    stack: Stack = None,
    primary: Primary = None,
    core: Core = None,
    core_nodes: CoreNodes = None,
    max_core_nodes: MaxCoreNodes = None,
    task_nodes: TaskNodes = None,
    fleets: Fleets = None,
    glue: Glue = None,
    config: Config = None,
    emr_config: EmrConfig = None,
    shape: Shape = Format.table,
) -> None:
    """Print the AWS requests and the estimated cost; calls no AWS API.

    With --images, --lake or --config also the settings that the run would send, refused where it would refuse them.
    """
    from fruits.emr import plan as planning
    from fruits.emr.settings import load_emr_settings

    emr = load_emr_settings(
        emr_config, region=region, outside_eu=outside_eu, stack=stack, primary=primary, core=core,
        core_nodes=core_nodes, max_core_nodes=max_core_nodes, task_nodes=task_nodes,
        fleets=fleets, glue=glue,
    )  # fmt: skip
    named = any(one is not None for one in (images, lake, config))
    settings = load_settings(config, images=images, lake=lake) if named else None
    found = planning.plan(emr, photographs, serverless=serverless, settings=settings)
    if shape == Format.json:
        print_json(found)
    else:
        planning.print_plan(emr, found)


@app.command()
def check(
    images: Images = None,
    lake: LakeUri = None,
    serverless: Serverless = False,
    region: Region = None,
    outside_eu: OutsideEu = None,
    stack: Stack = None,
    primary: Primary = None,
    core: Core = None,
    core_nodes: CoreNodes = None,
    max_core_nodes: MaxCoreNodes = None,
    task_nodes: TaskNodes = None,
    fleets: Fleets = None,
    glue: Glue = None,
    config: Config = None,
    emr_config: EmrConfig = None,
    shape: Shape = Format.table,
) -> None:
    """Look at what a run needs, before it costs: credentials, region, quotas, roles, permissions, places, packages.

    Makes and changes nothing. With --images and --lake also what is there. Exit status 1 if a run would fail.
    """
    from fruits.emr.check import Outcome
    from fruits.emr.check import check as checked
    from fruits.emr.settings import load_emr_settings

    emr = load_emr_settings(
        emr_config, region=region, outside_eu=outside_eu, stack=stack, primary=primary, core=core,
        core_nodes=core_nodes, max_core_nodes=max_core_nodes, task_nodes=task_nodes,
        fleets=fleets, glue=glue,
    )  # fmt: skip
    named = any(one is not None for one in (images, lake, config))
    settings = load_settings(config, images=images, lake=lake) if named else None
    findings = checked(emr, settings, serverless=serverless)
    if shape == Format.json:
        print_json([vars(one) for one in findings])
    else:
        for one in findings:
            OUT.print(f"{one.outcome:<12} {one.what}: {one.said}", soft_wrap=True)
            if one.advice:
                OUT.print(f"{'':<12} → {one.advice}", soft_wrap=True)
    raise typer.Exit(1 if any(one.outcome == Outcome.FAILURE for one in findings) else 0)


@app.command()
def run(
    images: Images = None,
    lake: LakeUri = None,
    cluster: Annotated[str | None, typer.Option(help="A standing cluster (`fruits emr up`) to run on.")] = None,
    serverless: Serverless = False,
    region: Region = None,
    outside_eu: OutsideEu = None,
    stack: Stack = None,
    primary: Primary = None,
    core: Core = None,
    core_nodes: CoreNodes = None,
    max_core_nodes: MaxCoreNodes = None,
    task_nodes: TaskNodes = None,
    fleets: Fleets = None,
    glue: Glue = None,
    config: Config = None,
    emr_config: EmrConfig = None,
) -> None:
    """Run all layers on a temporary cluster, which is terminated in every case."""
    from fruits.emr import run as running
    from fruits.emr.settings import load_emr_settings

    emr = load_emr_settings(
        emr_config, region=region, outside_eu=outside_eu, stack=stack, primary=primary, core=core,
        core_nodes=core_nodes, max_core_nodes=max_core_nodes, task_nodes=task_nodes,
        fleets=fleets, glue=glue,
    )  # fmt: skip
    if cluster is not None:
        running.run_standing(emr, cluster)
    elif serverless:
        running.run_serverless(emr, load_settings(config, images=images, lake=lake))
    else:
        running.run_transient(emr, load_settings(config, images=images, lake=lake))


@app.command()
def prices(
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask AWS's price list, and keep its prices.")] = False,
    region: Region = None,
    outside_eu: OutsideEu = None,
    primary: Primary = None,
    core: Core = None,
    emr_config: EmrConfig = None,
    shape: Shape = Format.table,
) -> None:
    """Show the prices that estimates are made with, their source and their date.

    With --refresh of AWS's price list (pricing:GetProducts) for the region, the table's types and the settings'.
    """
    from fruits.emr.price_list import fetch_prices
    from fruits.emr.price_table import keep_prices, load_prices
    from fruits.emr.settings import load_emr_settings

    emr = load_emr_settings(emr_config, region=region, outside_eu=outside_eu, primary=primary, core=core)
    found = load_prices(emr.region)
    if refresh:
        types = {*found.instances, emr.primary, emr.core, emr.task_type, *emr.more_types}
        found = fetch_prices(emr.region, types)
        ERR.print(f"Kept in {keep_prices(found)}.", soft_wrap=True)
    if shape == Format.json:
        print_json(found.model_dump(mode="json"))
        return
    OUT.print(f"{found.currency} in {found.region} on {found.as_of}: {found.source}.", soft_wrap=True)
    rows = [(name, one.vcpus, one.cores, one.gb, one.ec2, one.emr) for name, one in found.instances.items()]
    print_table(("type", "vCPUs", "cores", "GiB", "EC2 an hour", "EMR an hour"), rows)
    workers = [(name, one.vcpu, one.gb) for name, one in found.serverless.items()]
    print_table(("EMR Serverless", "vCPU an hour", "GB an hour"), workers)
    OUT.print(
        f"A public address: {found.ipv4:g} an hour. A GB of a node's disk: {found.disk_gb_month:g} a month. Spot: "
        f"assumed to cost {found.spot_share:.0%} of EC2's price.",
        soft_wrap=True,
    )


@app.command()
def up(
    images: Images = None,
    lake: LakeUri = None,
    idle_minutes: Annotated[int | None, typer.Option(help="Ends after so many minutes without a step.")] = None,
    region: Region = None,
    outside_eu: OutsideEu = None,
    stack: Stack = None,
    core_nodes: CoreNodes = None,
    fleets: Fleets = None,
    glue: Glue = None,
    notebooks: Annotated[bool | None, typer.Option("--notebooks", help="Ready for EMR Studio's notebooks.")] = None,
    config: Config = None,
    emr_config: EmrConfig = None,
) -> None:
    """Start a standing cluster, and print its id."""
    from fruits.emr.run import bring_up
    from fruits.emr.settings import load_emr_settings

    emr = load_emr_settings(
        emr_config, region=region, outside_eu=outside_eu, stack=stack, idle_minutes=idle_minutes,
        core_nodes=core_nodes, fleets=fleets, glue=glue, notebooks=notebooks,
    )  # fmt: skip
    OUT.print(bring_up(emr, load_settings(config, images=images, lake=lake)))


@app.command()
def status(
    region: Region = None,
    outside_eu: OutsideEu = None,
    stack: Stack = None,
    emr_config: EmrConfig = None,
    shape: Shape = Format.table,
) -> None:
    """List this stack's clusters, each with its cost so far, and applications of EMR Serverless."""
    from fruits.emr.running import costs
    from fruits.emr.settings import load_emr_settings

    emr = load_emr_settings(emr_config, region=region, outside_eu=outside_eu, stack=stack)
    rows = [{**vars(one), "price": price} for one, price in costs(emr)]
    if shape == Format.json:
        print_json(rows)
    elif not rows:
        OUT.print(f"Nothing of the stack {emr.stack} runs in {emr.region}.")
    else:
        shown = [(one["cluster"], one["state"], one["hours"], one["price"], "; ".join(one["steps"])) for one in rows]
        print_table(("cluster", "state", "hours", "about USD", "steps"), shown)


@app.command()
def down(
    clusters: Annotated[
        list[str] | None, typer.Argument(help="Clusters or applications to end; all of this stack's if none.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    region: Region = None,
    outside_eu: OutsideEu = None,
    stack: Stack = None,
    emr_config: EmrConfig = None,
) -> None:
    """Terminate the named clusters, or all of this stack's in the region, and its applications of EMR Serverless."""
    from fruits.emr.running import end, running
    from fruits.emr.settings import load_emr_settings

    emr = load_emr_settings(emr_config, region=region, outside_eu=outside_eu, stack=stack)
    named = clusters or []
    if not named:
        found = running(emr)
        if not found:
            OUT.print(f"Nothing of the stack {emr.stack} runs in {emr.region}.")
            return
        named = [one.cluster for one in found]
        for one in found:
            ERR.print(f"{one.cluster}: {one.state.lower()}. {'; '.join(one.steps)}", soft_wrap=True)
        if not yes and not _confirmed(f"End {', '.join(named)}?"):
            raise LakehouseError("Nothing was ended. `--yes` ends them without asking.")
    for name in named:
        end(emr, name)


@app.command()
def schedule(
    expression: Annotated[
        str | None, typer.Argument(help='When: "rate(1 day)", or "cron(30 4 * * ? *)" for 04:30 each day.')
    ] = None,
    on_arrival: Annotated[bool, typer.Option("--on-arrival", help="When photographs arrive in the bucket.")] = False,
    gather: Annotated[str, typer.Option(help="With --on-arrival: at most one run in so long, as 15m or 1h.")] = "15m",
    timezone: Annotated[str, typer.Option(help="Time zone of a cron expression, as Europe/Paris.")] = "UTC",
    show: Annotated[bool, typer.Option("--show", help="Show the schedules, the next runs and the last one.")] = False,
    images: Images = None,
    lake: LakeUri = None,
    region: Region = None,
    outside_eu: OutsideEu = None,
    stack: Stack = None,
    glue: Glue = None,
    config: Config = None,
    emr_config: EmrConfig = None,
    shape: Shape = Format.table,
) -> None:
    """Have runs start by themselves on EMR Serverless; the stack needs the parameter Schedules=true."""
    from fruits.emr import schedule as scheduling
    from fruits.emr.settings import load_emr_settings
    from fruits.emr.shown import print_schedules

    emr = load_emr_settings(emr_config, region=region, outside_eu=outside_eu, stack=stack, glue=glue)
    if expression is None and not on_arrival:
        if not show:
            raise SettingsError('Say when: `fruits emr schedule "rate(1 day)"`, --on-arrival, or --show what there is.')
        print_schedules(emr, scheduling.look(emr), shape)
        return
    if show:
        raise SettingsError("--show changes nothing: leave the schedule and --on-arrival out.")
    settings = load_settings(config, images=images, lake=lake)
    minutes = int(interval_seconds(gather, "--gather") // 60) if on_arrival else None
    for sentence in scheduling.schedule(emr, settings, expression, minutes, known_zone(timezone)):
        OUT.print(sentence, soft_wrap=True)


@app.command()
def unschedule(
    region: Region = None,
    outside_eu: OutsideEu = None,
    stack: Stack = None,
    emr_config: EmrConfig = None,
) -> None:
    """Have no run start by itself any more; one that goes on is not ended."""
    from fruits.emr.schedule import unschedule as remove
    from fruits.emr.settings import load_emr_settings

    emr = load_emr_settings(emr_config, region=region, outside_eu=outside_eu, stack=stack)
    removed = remove(emr)
    OUT.print(f"Removed: {', '.join(removed)}." if removed else f"The stack {emr.stack} has no schedule.")


def _confirmed(question: str) -> bool:
    """Whether the user says yes; who cannot be asked has not."""
    try:
        return typer.confirm(question, default=False, err=True)
    except typer.Abort:
        return False
