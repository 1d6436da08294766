"""Commands that answer from the tables, and change nothing."""

from pathlib import Path
from typing import Annotated

import typer

from fruits.cli.options import Config, EngineOption, Images, LakeUri, Refit, Shape, settings_of
from fruits.console import OUT, Format, SqlFormat, bars, print_json

app = typer.Typer()


@app.command()
def sql(
    query: Annotated[
        str | None,
        typer.Argument(
            help='For example "SELECT label, count(*) FROM gold.projections GROUP BY 1". Without one: what stdin '
            "holds, or a prompt."
        ),
    ] = None,
    lake: LakeUri = None,
    config: Config = None,
    shape: Annotated[
        str | None,
        typer.Option("--format", help="table, csv, json, or parquet with --output.", show_default="table"),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", help="File for the answer, instead of stdout.")] = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="A table version, or a time (ISO 8601, UTC)."),
    ] = None,
) -> None:
    """Query the tables `bronze.images` … `gold.models`, and `runs`, in DuckDB's SQL."""
    from fruits.query.ask import ask
    from lakehouse.tables.delta import Lake

    ask(Lake(settings_of(config, lake=lake).lake), query, shape, output, as_of)


@app.command("config")
def show_config(
    images: Images = None,
    lake: LakeUri = None,
    refit: Refit = None,
    engine: EngineOption = None,
    config: Config = None,
    shape: Shape = Format.table,
) -> None:
    """Show every setting, and where it comes from: the shipped file, yours, a variable or an option."""
    from fruits.query.config import show_settings

    show_settings(config, {"images": images, "lake": lake, "refit": refit, "engine": engine}, shape)


@app.command()
def history(
    everything: Annotated[bool, typer.Option("--all", help="List every run, not the newest 20.")] = False,
    lake: LakeUri = None,
    config: Config = None,
    shape: Shape = Format.table,
) -> None:
    """List the runs of commands that wrote to the lake: when, by whom, how long, what they did, how they ended."""
    from fruits.query.history import show_history
    from lakehouse.tables.delta import Lake

    show_history(Lake(settings_of(config, lake=lake).lake), shape, everything=everything)


@app.command()
def quarantine(
    reason: Annotated[str | None, typer.Option(help="Only files with this reason.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="List every file, not the newest 50.")] = False,
    lake: LakeUri = None,
    config: Config = None,
    shape: Annotated[SqlFormat, typer.Option("--format", help="Output format.")] = SqlFormat.table,
) -> None:
    """List the files in quarantine by reason, with what to do about each."""
    from fruits.query.quarantine import show_quarantine
    from lakehouse.tables.delta import Lake

    settings = settings_of(config, lake=lake)
    show_quarantine(Lake(settings.lake), reason, shape, everything=everything)


@app.command()
def report(
    output: Annotated[str, typer.Option("--output", help="The file to write.")] = "report.html",
    lake: LakeUri = None,
    config: Config = None,
) -> None:
    """Write a self-contained HTML report: what the lake holds, and what its components mean."""
    from fruits.report import write_report

    OUT.print(write_report(settings_of(config, lake=lake), output), soft_wrap=True)


@app.command()
def identify(
    photos: Annotated[list[str], typer.Argument(help="Photographs: paths, or s3:// URIs.")],
    lake: LakeUri = None,
    config: Config = None,
    shape: Shape = Format.table,
) -> None:
    """Identify photographs: label, confidence, and the nearest photographs in the lake."""
    from fruits.identify.photographs import identify as ask
    from fruits.identify.photographs import print_found

    with bars("identify"):
        found = list(ask(settings_of(config, lake=lake), photos))
    if shape == Format.json:
        print_json(found)
    else:
        print_found(found)
    raise typer.Exit(1 if any("error" in one for one in found) else 0)


@app.command(name="app")
def app_command(
    host: Annotated[
        str, typer.Option(help="Address to listen on; other than 127.0.0.1, other machines can connect.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free one.")] = 8000,
    lake: LakeUri = None,
    config: Config = None,
) -> None:
    """Serve a web page that identifies a photographed or uploaded fruit."""
    from fruits.app.serve import serve_app

    serve_app(settings_of(config, lake=lake), host, port)
