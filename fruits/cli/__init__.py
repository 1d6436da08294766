"""The command `fruits`: options in, exit status out.

0: done; 1: the work failed; 2: the call or the settings are wrong; 130: interrupted.
"""

import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

from fruits.cli import care, emr, jobs, questions, versions
from fruits.console import ERR, drop_stdout, name_stdout
from lakehouse.errors import LakehouseError, SettingsError, StorageError
from lakehouse.failures import refusal
from lakehouse.printable import printable

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
    name_stdout()
    try:
        try:
            app()
        finally:
            if sys.stdout is not None:  # as it is where it was closed before the command began
                sys.stdout.flush()  # or a full disk would be noticed when nobody can say so any more
    except SettingsError as error:
        _fail(error, 2)
    except LakehouseError as error:
        _fail(error, 1)
    except BrokenPipeError:  # who reads it has seen enough, as `head` has
        drop_stdout()
        sys.exit(1)
    except BaseException as error:  # a panic in delta-rs is none of Python's exceptions
        refused = refusal(error)
        if refused is None:
            raise
        drop_stdout()
        _fail(StorageError(refused), 1)


def _fail(error: LakehouseError, status: int) -> None:
    try:
        ERR.print(f"Error: {error}", style="red", soft_wrap=True)
    except (OSError, ImportError):  # Rich reads files of its own, where no more may be opened
        with suppress(OSError):  # there is nowhere to say it: the status does
            os.write(2, f"Error: {printable(str(error))}\n".encode())
    sys.exit(status)
