"""The command `fruits`: options in, exit status out.

0: done; 1: the work failed; 2: the call or the settings are wrong; 130: interrupted.
"""

import sys
from typing import Annotated

import typer

from fruits.cli import care, emr, jobs, questions, versions
from fruits.console import ERR
from lakehouse.errors import LakehouseError, SettingsError

_BEGIN = (
    "Begin with `fruits demo`, which shows everything on a few photographs; then `fruits run --images FOLDER` on your "
    "own, and `fruits ui` to compare the models that it has fitted."
)

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, epilog=_BEGIN)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # it takes a thirtieth of a second, which a run without news has not

        typer.echo(f"fruits {version('fruits-lakehouse')}")
        raise typer.Exit


@app.callback()
def fruits(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version, and end.")
    ] = False,
) -> None:
    """A medallion lakehouse for photographs: bronze, silver, gold."""


for group in (jobs, versions, questions, care):
    app.add_typer(group.app)
app.add_typer(emr.app, name="emr")


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
