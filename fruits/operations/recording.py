"""Record a command that writes in the table `runs`, however it ends."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bronze.tables import IMAGES
from fruits.catalog import TABLES, Layer
from fruits.query.costs import WRITTEN, Written, measure_written
from lakehouse.engine import chosen_engine
from lakehouse.errors import LeaseLostError
from lakehouse.memory import peak_memory
from lakehouse.runs.record import FAILURES, end_killed_runs, end_run, start_run
from lakehouse.runs.table import COUNTS, SECONDS, Status
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.history import newest_versions
from lakehouse.workspace import Workspace

_BY = dict.fromkeys(COUNTS, Layer.BRONZE) | {
    "featurized": Layer.SILVER,
    "scaled": Layer.SILVER,
    "projected": Layer.GOLD,
}
"""The layer whose summary has a count."""


@contextmanager
def recorded(workspace: Workspace, command: str, holding: str) -> Iterator[None]:
    """Record what the block does as a run, under the lease whose id is `holding`.

    What fails while the row is written fails no run that has done its work: it is told in a line.

    Raises:
        StorageError: the lake cannot be written to; the block was not begun.
    """
    lake, begun = workspace.lake, time.perf_counter()
    started = start_run(lake, holding, command, chosen_engine(workspace.settings), TABLES)
    with _told(workspace, "Runs that were killed before this one"):
        end_killed_runs(lake, holding)

    def end(status: Status, error: BaseException | None = None) -> None:
        if not isinstance(error, LeaseLostError):  # else nothing more is to be written, as the user is told
            with _told(workspace, "This run"):
                before = json.loads(started.versions_before)
                figures = _figures(workspace, time.perf_counter() - begun, before)
                end_run(lake, started, status, {**figures, **_error(error)})

    try:
        yield
    except KeyboardInterrupt:
        end(Status.INTERRUPTED)
        raise
    except BaseException as error:
        end(Status.FAILED, error)
        raise
    end(Status.DONE)


@contextmanager
def _told(workspace: Workspace, what: str) -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        workspace.progress.log(
            f"{what} could not be written to the table `runs`, which `fruits history` shows: {error}"
        )


def _figures(workspace: Workspace, seconds: float, before: dict[str, int]) -> dict[str, object]:
    summary, versions = workspace.summary, newest_versions(workspace.lake, TABLES)
    written = _written(workspace.lake, before, versions)
    return {
        "seconds": seconds,
        **{f"{name}_seconds": workspace.seconds.get(name) for name in SECONDS},
        "photographs": _held(workspace.lake) if IMAGES.name in versions else 0,
        **{name: summary.get(layer, {}).get(name) for name, layer in _BY.items()},
        "driver_peak_bytes": peak_memory(),
        "worker_peak_bytes": workspace.worker_peak,
        "versions_after": json.dumps(versions),
        "summary": json.dumps({**summary, **({WRITTEN: written} if written else {})}),
    }


def _written(lake: Lake, before: dict[str, int], after: dict[str, int]) -> dict[str, Written]:
    """What the run wrote; nothing where a log cannot be read, as that may be what it failed of."""
    try:
        return measure_written(lake, TABLES, before, after)
    except (*FAILURES, ValueError):
        return {}


def _held(lake: Lake) -> int | None:
    """The photographs in the lake; None where the table cannot be read, as that may be what the run failed of."""
    try:
        return delta.count(lake, IMAGES)
    except FAILURES:
        return None


def _error(error: BaseException | None) -> dict[str, str]:
    return {} if error is None else {"error_class": type(error).__name__, "error": str(error)}
