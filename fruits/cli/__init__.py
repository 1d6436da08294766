"""The command `fruits`: options in, exit status out.

0: done; 1: the work failed; 2: the call or the settings are wrong; 130: interrupted.
"""

import sys

import typer

from fruits.cli import care, emr, jobs, questions, versions
from fruits.console import ERR
from lakehouse.errors import LakehouseError, SettingsError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def fruits() -> None:
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
