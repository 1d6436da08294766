"""A workspace under the lake's lease: one writer at a time, stopped when the lease is lost, and recorded."""

from collections.abc import Iterator
from contextlib import contextmanager

from fruits.catalog import ALL_TABLES, MIGRATIONS
from fruits.console import bars
from fruits.operations.recording import recorded
from fruits.settings import Settings
from lakehouse.engine.port import CancelledError
from lakehouse.failpoint import crash_point
from lakehouse.failures import refusals
from lakehouse.lease import open_lease
from lakehouse.migration import open_for_writing
from lakehouse.workspace import Workspace


@contextmanager
def exclusive_workspace(settings: Settings, command: str) -> Iterator[Workspace]:
    """Hold the lake's lease while the block runs, its tables brought to this release, and record it as a run.

    Raises:
        LeaseHeldError: another process writes to the lake; nothing was changed.
        ForeignTableError: a table is of a newer release, or of a stranger; nothing was changed.
        DamagedTableError: the log of a table cannot be read; nothing was changed.
        LeaseLostError: from a commit in the block, after the lease was lost.
    """
    with leased_workspace(settings, command) as workspace:
        for sentence in open_for_writing(workspace, ALL_TABLES, MIGRATIONS):
            workspace.progress.log(sentence)
        yield workspace


@contextmanager
def leased_workspace(settings: Settings, command: str) -> Iterator[Workspace]:
    """Hold the lake's lease while the block runs, whatever its tables are, and record it as a run of this command.

    Raises:
        LeaseHeldError: another process writes to the lake; nothing was changed.
        LeaseLostError: from a commit in the block, after the lease was lost.
    """
    with bars(command) as progress:
        lease = open_lease(settings.lake, on_lost=lambda _: workspace.cancel())
        workspace = Workspace(settings, progress, lease.check)
        with lease:
            crash_point("run.lease-held")
            with recorded(workspace, command, lease.holding):
                try:
                    with refusals(f"`fruits {command}` on {settings.lake} stopped"):
                        yield workspace
                except CancelledError:
                    lease.check()  # what was cancelled because the lease is lost is told as that
                    raise
                finally:
                    workspace.close()
