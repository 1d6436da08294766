"""A run's figures for CloudWatch: an event of a log group in its embedded metric format, which becomes metrics there.

The event is put into the log group by itself, and not printed: what EMR makes of a job's output is its own affair, and
an event must be one JSON object and nothing else for CloudWatch to see it.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import Any

from fruits.query.history import list_runs
from lakehouse.errors import LakehouseError
from lakehouse.lease.base import own_user
from lakehouse.runs.record import FAILURES
from lakehouse.runs.table import Status
from lakehouse.storage import aws
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import Row

NAMESPACE = "fruits"
UNITS = {
    "Runs": "Count",
    "Failed": "Count",
    "Seconds": "Seconds",
    "Photographs": "Count",
    "Ingested": "Count",
    "Quarantined": "Count",
}
"""The metrics and their units. Of a run that did not come to it, one is left out."""


def embedded(run: Row, stack: str, milliseconds: int) -> dict[str, Any]:
    """A run of the table `runs` as an event in the embedded metric format.

    Args:
        run: the row.
        stack: the value of the metrics' one dimension, `Stack`.
        milliseconds: the event's time, since 1970.
    """
    known = {
        "Runs": 1,
        "Failed": int(run["status"] == Status.FAILED),
        **{name: run.get(name.lower()) for name in ("Seconds", "Photographs", "Ingested", "Quarantined")},
    }
    values = {name: value for name, value in known.items() if value is not None}
    told = {"Namespace": NAMESPACE, "Dimensions": [["Stack"]]}
    metrics = [{"Name": name, "Unit": UNITS[name]} for name in values]
    return {
        "_aws": {"Timestamp": milliseconds, "CloudWatchMetrics": [{**told, "Metrics": metrics}]},
        "Stack": stack,
        "run": run["id"],
        "status": run["status"],
        **values,
    }


@contextmanager
def figures_sent(lake_uri: str, group: str, say: Callable[[str], None]) -> Iterator[None]:
    """When the block is over, send the figures of the run that it was, however it ended.

    A run that was refused, as the lake was held, has none. What fails in sending fails no run: it is told in a line.

    Args:
        lake_uri: the lake.
        group: a log group, whose name's last part is the value of the dimension `Stack`.
        say: told that the figures could not be sent.
    """
    begun = time.time()
    try:
        yield
    finally:
        try:
            run = _own_run(Lake(lake_uri), begun)
            if run is not None:
                _send(group, run)
        except (LakehouseError, *FAILURES) as error:
            say(f"The run's figures could not be sent to the log group {group}: {error}")


def _own_run(lake: Lake, since: float) -> Row | None:
    """The newest run of this process, if it began since; its time is the lake's, without a zone."""
    here = (own_user(), socket.gethostname(), os.getpid())
    for run in list_runs(lake):
        if (run["user"], run["machine"], run["process"]) == here and run["status"] != Status.RUNNING:
            return run if run["started_at"].replace(tzinfo=UTC).timestamp() + 1 >= since else None
    return None


def _send(group: str, run: Row) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    now = int(time.time() * 1000)
    event = json.dumps(embedded(run, group.rpartition("/")[2], now))
    stream = f"runs/{run['id']}"
    logs: Any = aws.session()
    try:
        client = logs.client("logs")
        client.create_log_stream(logGroupName=group, logStreamName=stream)
        client.put_log_events(
            logGroupName=group, logStreamName=stream, logEvents=[{"timestamp": now, "message": event}]
        )
    except (BotoCoreError, ClientError) as error:
        raise LakehouseError(str(error)) from error
