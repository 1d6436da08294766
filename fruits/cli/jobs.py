"""Commands that take photographs through the layers."""

from pathlib import Path
from typing import Annotated

import typer

from fruits.catalog import Layer
from fruits.cli.options import Config, EngineOption, Images, LakeUri, Refit, Shape, settings_of
from fruits.console import ERR, Format, bars, log, print_json, print_summary
from fruits.settings import Settings
from lakehouse.errors import LeaseHeldError

app = typer.Typer()


def _run(settings: Settings, shape: Format, *layers: Layer, busy_status: int | None = None) -> None:
    from fruits.operations.run import run_layers

    try:
        summary = run_layers(settings, layers)
    except LeaseHeldError as error:
        if busy_status is None:
            raise
        ERR.print(str(error), soft_wrap=True)
        raise typer.Exit(busy_status) from error
    if shape == Format.json:
        print_json(summary)
    else:
        print_summary(summary)


@app.command()
def run(
    images: Images = None,
    lake: LakeUri = None,
    refit: Refit = None,
    engine: EngineOption = None,
    config: Config = None,
    shape: Shape = Format.table,
    busy_status: Annotated[
        int | None,
        typer.Option(min=3, max=125, help="Exit status where another run holds the lake, for schedulers (else 1)."),
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(help="CloudWatch log group for the run's figures, in the embedded metric format.")
    ] = None,
) -> None:
    """Ingest new photographs, compute their features and project them: bronze, silver and gold in one run."""
    settings = settings_of(config, images=images, lake=lake, refit=refit, engine=engine)
    if metrics is None:
        _run(settings, shape, *Layer, busy_status=busy_status)
        return
    from fruits.operations.metrics import figures_sent

    with figures_sent(settings.lake, metrics, log):
        _run(settings, shape, *Layer, busy_status=busy_status)


@app.command()
def watch(
    every: Annotated[
        str, typer.Option("--every", help="How long to wait between a run and the next: 30s, 15m, 1h, 1d.")
    ] = "15m",
    images: Images = None,
    lake: LakeUri = None,
    engine: EngineOption = None,
    config: Config = None,
    shape: Shape = Format.table,
) -> None:
    """Do what `fruits run` does again and again, until Ctrl-C or SIGTERM; a run that fails is tried again, sooner."""
    from fruits.intervals import interval_seconds
    from fruits.operations.watch import watch_lake

    interval = interval_seconds(every, "--every")
    settings_of(config, images=images, lake=lake, engine=engine)  # says what is wrong before anything is started
    given = {"images": images, "lake": lake, "engine": engine, "config": config, "format": str(shape)}
    options = [word for name, one in given.items() if one is not None for word in (f"--{name}", str(one))]
    raise typer.Exit(watch_lake(options, interval, log))


@app.command()
def bronze(
    images: Images = None,
    lake: LakeUri = None,
    engine: EngineOption = None,
    config: Config = None,
    shape: Shape = Format.table,
) -> None:
    """Ingest new, replaced and moved photographs."""
    _run(settings_of(config, images=images, lake=lake, engine=engine), shape, Layer.BRONZE)


@app.command()
def silver(
    lake: LakeUri = None,
    refit: Refit = None,
    engine: EngineOption = None,
    config: Config = None,
    shape: Shape = Format.table,
) -> None:
    """Compute missing features, and scale all features alike."""
    _run(settings_of(config, lake=lake, refit=refit, engine=engine), shape, Layer.SILVER)


@app.command()
def gold(
    lake: LakeUri = None,
    refit: Refit = None,
    engine: EngineOption = None,
    config: Config = None,
    shape: Shape = Format.table,
) -> None:
    """Project new rows onto the principal components; fit these first where needed."""
    _run(settings_of(config, lake=lake, refit=refit, engine=engine), shape, Layer.GOLD)


@app.command()
def setup(lake: LakeUri = None, engine: EngineOption = None, config: Config = None) -> None:
    """Download and convert the model ahead of the first run; with --engine spark, fetch Spark's jars too.

    A lake on S3 (--lake s3://…) needs more jars.
    """
    from lakehouse.engine import chosen_engine
    from silver.encoders import encoder_module

    settings = settings_of(config, lake=lake, engine=engine)
    with bars("setup"):
        if chosen_engine(settings) == "spark":
            from lakehouse.engine.spark import jars
            from lakehouse.engine.spark.java import need_java

            need_java()
            ERR.print(f"{len(jars.jars(settings.jars))} jars for Spark are ready.")
        converted = encoder_module(settings.encoder).convert_ahead(settings.weights)
    if not converted:
        ERR.print(f"The weights of {settings.encoder} are not here yet: the first run fetches and converts them.")


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Folder for the generated photographs and the lake.")] = Path("demo"),
    images: Images = None,
    lake: LakeUri = None,
    engine: EngineOption = None,
    config: Config = None,
) -> None:
    """Run the whole pipeline once, on generated photographs unless --images names some, and summarise the lake."""
    from fruits.demo.run import run_demo

    run_demo(settings_of(config, images=images, lake=lake or str(folder / "lake"), engine=engine), folder)
