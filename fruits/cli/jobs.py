"""Commands that take photographs through the layers."""

from pathlib import Path
from typing import Annotated

import typer

from fruits.catalog import Layer
from fruits.cli.options import Config, EngineOption, Images, LakeUri, Refit, Shape, settings_of
from fruits.console import ERR, Format, print_json, print_summary
from fruits.settings import Settings

app = typer.Typer()


def _run(settings: Settings, shape: Format, *layers: Layer) -> None:
    from fruits.operations.run import run_layers

    summary = run_layers(settings, layers)
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
) -> None:
    """Take everything that is new through all layers."""
    settings = settings_of(config, images=images, lake=lake, refit=refit, engine=engine)
    _run(settings, shape, *Layer)


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
    """Compute the features that are missing, and scale them."""
    _run(settings_of(config, lake=lake, refit=refit, engine=engine), shape, Layer.SILVER)


@app.command()
def gold(
    lake: LakeUri = None,
    refit: Refit = None,
    engine: EngineOption = None,
    config: Config = None,
    shape: Shape = Format.table,
) -> None:
    """Project what is new onto the principal components."""
    _run(settings_of(config, lake=lake, refit=refit, engine=engine), shape, Layer.GOLD)


@app.command()
def setup(lake: LakeUri = None, engine: EngineOption = None, config: Config = None) -> None:
    """Convert the model, once, so that runs begin at once; with --engine spark fetch its jars, too.

    For a lake on S3 (--lake s3://…) the jars are more.
    """
    from lakehouse.engine import chosen_engine
    from silver.encoders import encoder_module

    settings = settings_of(config, lake=lake, engine=engine)
    if chosen_engine(settings) == "spark":
        from lakehouse.engine.spark import jars

        jars.need_java()
        ERR.print(f"{len(jars.jars(settings.jars))} jars for Spark are ready.")
    if not encoder_module(settings.encoder).convert_ahead(settings.weights):
        ERR.print(f"The weights of {settings.encoder} are not here yet: the first run fetches and converts them.")


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where photographs are drawn, and the lake is made.")] = Path("demo"),
    images: Images = None,
    lake: LakeUri = None,
    engine: EngineOption = None,
    config: Config = None,
) -> None:
    """Run the whole lakehouse once, on drawn photographs unless some are named, and show what is in it."""
    from fruits.demo.run import run_demo

    run_demo(settings_of(config, images=images, lake=lake or str(folder / "lake"), engine=engine), folder)
