"""Commands about the versions of the models."""

from typing import Annotated

import typer

from fruits.cli.options import Config, EngineOption, LakeUri, Shape, settings_of
from fruits.console import Format, bars, print_json, print_summary, print_table
from lakehouse.errors import SettingsError

app = typer.Typer()


@app.command()
def models(
    compared: Annotated[
        tuple[int, int] | None, typer.Option("--compare", metavar="A B", help="Two versions, side by side.")
    ] = None,
    lake: LakeUri = None,
    config: Config = None,
    shape: Shape = Format.table,
) -> None:
    """List model versions: components, explained variance, images, champion; as JSON all that is known; or compare."""
    settings = settings_of(config, lake=lake)
    if compared is not None:
        from fruits.query.compare import compare, show_comparison

        with bars("compare"):
            found = compare(settings, *compared)
        (print_json if shape == Format.json else show_comparison)(found)
        return
    from fruits.query.models import describe_models, list_models

    if shape == Format.json:
        print_json(describe_models(settings))
    else:
        rows = list_models(settings)
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
        bool, typer.Option("--unpin", help="Release the pinned version; the next run chooses again.")
    ] = False,
    lake: LakeUri = None,
    engine: EngineOption = None,
    config: Config = None,
    shape: Shape = Format.table,
) -> None:
    """Make an older PCA the champion, project every image again, and keep it until --unpin or --refit always."""
    from fruits.operations import rollback as rolling

    if (version is None) != unpin:
        raise SettingsError("Name either the version to go back to or --unpin.")
    settings = settings_of(config, lake=lake, engine=engine)
    summary = {"released": rolling.unpin(settings)} if version is None else rolling.roll_back(settings, version)
    if shape == Format.json:
        print_json(summary)
    else:
        print_summary({"rollback": summary})


@app.command()
def ui(
    lake: LakeUri = None,
    config: Config = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 5000,
) -> None:
    """Open the MLflow UI on this lake's tracking store."""
    from fruits.operations.ui import serve_ui

    raise typer.Exit(serve_ui(settings_of(config, lake=lake), port))
