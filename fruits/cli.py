"""The command `fruits`: options in, exit status out.

0: done; 1: the work failed; 2: the call or the settings are wrong.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fruits.console import ERR, OUT, Format, print_json, print_summary, print_table
from fruits.emr.command import app as emr
from lakehouse.errors import LakehouseError, SettingsError
from lakehouse.settings import DEFAULT_FILE, Settings, load_settings

if TYPE_CHECKING:
    from fruits.answers import SqlFormat

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(emr, name="emr")

Config = Annotated[Path | None, typer.Option("--config", help=f"Settings file.  [default: {DEFAULT_FILE}]")]
LakeUri = Annotated[str | None, typer.Option("--lake", help="Folder of the lakehouse.")]
Images = Annotated[str | None, typer.Option("--images", help="Folder with the photographs.")]
Refit = Annotated[str | None, typer.Option("--refit", help="When to fit the models anew: auto, always or never.")]
EngineOption = Annotated[
    str | None, typer.Option("--engine", help="Where rows are computed: auto, local (no Java) or spark.")
]
Shape = Annotated[Format, typer.Option("--format", help="How the result is printed on stdout.")]


@app.callback()
def fruits() -> None:
    """A medallion lakehouse for photographs: bronze, silver, gold."""


def _settings(config: Path | None, **options: object) -> Settings:
    settings = load_settings(config, **options)
    if settings.region:
        # Where all four that go to S3 look: boto3, delta-rs, MLflow and Hadoop, and what they start.
        os.environ["AWS_REGION"] = os.environ["AWS_DEFAULT_REGION"] = settings.region
    return settings


def _run(settings: Settings, shape: Format, *layers: str) -> None:
    from fruits.run import run_layers

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
    settings = _settings(config, images=images, lake=lake, refit=refit, engine=engine)
    _run(settings, shape, "bronze", "silver", "gold")


@app.command()
def bronze(
    images: Images = None,
    lake: LakeUri = None,
    engine: EngineOption = None,
    config: Config = None,
    shape: Shape = Format.table,
) -> None:
    """Ingest new, replaced and moved photographs."""
    _run(_settings(config, images=images, lake=lake, engine=engine), shape, "bronze")


@app.command()
def silver(
    lake: LakeUri = None,
    refit: Refit = None,
    engine: EngineOption = None,
    config: Config = None,
    shape: Shape = Format.table,
) -> None:
    """Compute the features that are missing, and scale them."""
    _run(_settings(config, lake=lake, refit=refit, engine=engine), shape, "silver")


@app.command()
def gold(
    lake: LakeUri = None,
    refit: Refit = None,
    engine: EngineOption = None,
    config: Config = None,
    shape: Shape = Format.table,
) -> None:
    """Project what is new onto the principal components."""
    _run(_settings(config, lake=lake, refit=refit, engine=engine), shape, "gold")


@app.command()
def models(
    compared: Annotated[
        tuple[int, int] | None, typer.Option("--compare", metavar="A B", help="Two versions, side by side.")
    ] = None,
    lake: LakeUri = None,
    config: Config = None,
    shape: Shape = Format.table,
) -> None:
    """List the versions of the models: components, explained variance, images, champion; or compare two of them."""
    settings = _settings(config, lake=lake)
    if compared is not None:
        from fruits.compare import compare, show_comparison

        found = compare(settings, *compared)
        (print_json if shape == Format.json else show_comparison)(found)
        return
    from fruits.models import list_models

    rows = list_models(settings)
    if shape == Format.json:
        print_json(rows)
    else:
        shown = ("version", "k", "explained", "images", "scaler", "fitted at", "reason", "")
        keys = ("pca_version", "components", "explained_variance", "images", "scaler_version", "fitted_at", "reason")
        marks = [" ".join(mark for mark in ("champion", "pinned") if row[mark]) for row in rows]
        print_table(shown, [[*(row[key] for key in keys), mark] for row, mark in zip(rows, marks, strict=True)])


@app.command()
def rollback(
    version: Annotated[
        int | None, typer.Argument(help="The PCA version to go back to; `fruits models` lists them.")
    ] = None,
    unpin: Annotated[
        bool, typer.Option("--unpin", help="Let the next run decide again which version is best.")
    ] = False,
    lake: LakeUri = None,
    engine: EngineOption = None,
    config: Config = None,
    shape: Shape = Format.table,
) -> None:
    """Make an older PCA champion, reproject every image, and stay with it until --unpin or --refit always."""
    from fruits import rollback as rolling

    if (version is None) != unpin:
        raise SettingsError("Name either the version to go back to or --unpin.")
    settings = _settings(config, lake=lake, engine=engine)
    summary = {"released": rolling.unpin(settings)} if version is None else rolling.roll_back(settings, version)
    if shape == Format.json:
        print_json(summary)
    else:
        print_summary({"rollback": summary})


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
        str | None, typer.Option("--format", help="table, csv, json, or parquet with --output.  [default: table]")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", help="File for the answer, instead of stdout.")] = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="The version of each table that is named, or a moment (ISO 8601, UTC)."),
    ] = None,
) -> None:
    """Ask the tables `bronze.images` … `gold.models` a question in DuckDB's SQL."""
    from fruits.ask import ask
    from lakehouse.delta import Lake

    ask(Lake(_settings(config, lake=lake).lake), query, shape, output, as_of)


def _sql_format(name: str) -> "SqlFormat":
    from fruits.answers import SqlFormat

    if name not in list(SqlFormat):
        raise SettingsError(f"--format is {name!r}; it is one of {', '.join(SqlFormat)}.")
    return SqlFormat(name)


@app.command()
def quarantine(
    reason: Annotated[str | None, typer.Option(help="Only what is held back for this reason.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="List every file, not the newest 50.")] = False,
    lake: LakeUri = None,
    config: Config = None,
    shape: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
) -> None:
    """List what could not be read, by reason, and what to do about it."""
    from fruits.quarantine import show_quarantine
    from lakehouse.delta import Lake

    settings = _settings(config, lake=lake)
    show_quarantine(Lake(settings.lake), reason, _sql_format(shape), everything=everything)


@app.command()
def report(
    output: Annotated[str, typer.Option("--output", help="The file that is written.")] = "report.html",
    lake: LakeUri = None,
    config: Config = None,
) -> None:
    """Write what is in the lake, and what its components show, as one HTML file that needs no network."""
    from fruits.report import write_report

    print(write_report(_settings(config, lake=lake), output))


@app.command()
def forget(
    paths: Annotated[list[str], typer.Argument(help="Paths of photographs, whether or not the files are still there.")],
    lake: LakeUri = None,
    engine: EngineOption = None,
    config: Config = None,
    shape: Shape = Format.table,
) -> None:
    """Erase photographs from every layer, history and models' artifacts included."""
    from fruits.forget import forget as erase
    from fruits.forget import told

    done = erase(_settings(config, lake=lake, engine=engine), paths)
    if shape == Format.json:
        print_json(vars(done))
    else:
        OUT.print(told(done), soft_wrap=True)


@app.command()
def ui(
    lake: LakeUri = None,
    config: Config = None,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 5000,
) -> None:
    """Open MLflow's own UI on this lake's tracking store."""
    from fruits.ui import serve_ui

    raise typer.Exit(serve_ui(_settings(config, lake=lake), port))


@app.command()
def identify(
    photos: Annotated[list[str], typer.Argument(help="Photographs: paths, or s3:// URIs.")],
    lake: LakeUri = None,
    config: Config = None,
    shape: Shape = Format.table,
) -> None:
    """Say what photographs are of, how sure that is, and which ones in the lake are nearest."""
    from fruits.identify import identify as ask
    from fruits.identify import print_found

    found = list(ask(_settings(config, lake=lake), photos))
    if shape == Format.json:
        print_json(found)
    else:
        print_found(found)
    raise typer.Exit(1 if any("error" in one for one in found) else 0)


@app.command(name="app")
def app_command(
    host: Annotated[str, typer.Option(help="Where to listen; any but the loopback lets others in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port there; 0: any that is free.")] = 8000,
    lake: LakeUri = None,
    config: Config = None,
) -> None:
    """Serve a page to photograph a fruit, or drop a picture of one, and see what it is."""
    from fruits.app.serve import serve_app

    serve_app(_settings(config, lake=lake), host, port)


@app.command()
def doctor(
    images: Images = None,
    lake: LakeUri = None,
    engine: EngineOption = None,
    config: Config = None,
    shape: Shape = Format.table,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended without photographs.")] = False,
) -> None:
    """Say what is missing or inconsistent, and what to do."""
    from fruits import health
    from fruits.doctor import examine

    settings = _settings(config, images=images, lake=lake, engine=engine)
    for sentence in health.repair(settings) if repair else []:
        ERR.print(sentence)
    findings = examine(settings)
    if shape == Format.json:
        print_json([vars(finding) for finding in findings])
    else:
        rows = [(one.name, "ok" if one.ok else "mend", f"{one.found} {one.advice}") for one in findings]
        print_table(["", "", "found"], rows)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


@app.command()
def setup(lake: LakeUri = None, engine: EngineOption = None, config: Config = None) -> None:
    """Convert the model, once, so that runs begin at once; with --engine spark fetch its jars, too.

    For a lake on S3 (--lake s3://…) the jars are more.
    """
    from lakehouse.engine import chosen_engine
    from silver.mobilenet import convert_ahead

    settings = _settings(config, lake=lake, engine=engine)
    if chosen_engine(settings) == "spark":
        from lakehouse.engine.spark import jars

        jars.need_java()
        ERR.print(f"{len(jars.jars(settings.jars))} jars for Spark are ready.")
    if not convert_ahead(settings.weights):
        ERR.print("MobileNetV2's weights are not here yet: the first run fetches and converts them.")


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where photographs are drawn, and the lake is made.")] = Path("demo"),
    images: Images = None,
    lake: LakeUri = None,
    engine: EngineOption = None,
    config: Config = None,
) -> None:
    """Run the whole lakehouse once, on drawn photographs unless some are named, and show what is in it."""
    from fruits.demo import run_demo

    run_demo(_settings(config, images=images, lake=lake or str(folder / "lake"), engine=engine), folder)


def main() -> None:
    """The console command's entry point."""
    try:
        app()
    except SettingsError as error:
        _fail(error, 2)
    except LakehouseError as error:
        _fail(error, 1)


def _fail(error: LakehouseError, status: int) -> None:
    ERR.print(f"Error: {error}", style="red", soft_wrap=True)
    sys.exit(status)
