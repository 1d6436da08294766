"""`fruits maintain`: all the upkeep that there is to do, or what it would be."""

from collections.abc import Sequence

from fruits.console import OUT, format_bytes, print_table
from fruits.operations.upkeep import TableState, Upkept, maintain
from fruits.operations.writing import exclusive_workspace
from fruits.settings import Settings


def maintain_lake(settings: Settings) -> Upkept:
    """Do all upkeep of a lake, as its one writer.

    Raises:
        LeaseHeldError: another process writes to the lake; nothing was changed.
        DamagedTableError: a table cannot be read; what was done for others stays.
    """
    with exclusive_workspace(settings, "maintain") as workspace:
        done = maintain(workspace)
        workspace.summary["upkeep"] = vars(done)
        return done


def format_upkept(done: Upkept) -> str:
    """What was done, for people."""
    gone = f"Removed {done.contents:,} contents that no photograph has. " if done.contents else ""
    return (
        f"{gone}Merged {done.merged:,} files into {done.merged_into:,}, removed {done.removed:,} old files "
        f"({format_bytes(done.removed_bytes)}), summed up the logs of {done.logs:,} tables."
    )


def print_states(states: Sequence[TableState]) -> None:
    """Print a table, a line a table of the lake that is not well looked after, or else one sentence."""
    columns = ("table", "files", "median", "bytes", "dead files", "dead bytes", "commits", "`fruits maintain` would")
    rows = [
        (
            one.table,
            f"{one.files:,}",
            format_bytes(one.median_bytes),
            format_bytes(one.bytes),
            f"{one.dead_files:,}",
            format_bytes(one.dead_bytes),
            f"{one.commits:,}",
            one.advice,
        )
        for one in states
    ]
    if rows:
        print_table(columns, rows)
    else:
        OUT.print("There are no tables yet; `fruits run` makes them.")
