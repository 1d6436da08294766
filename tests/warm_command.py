"""The command in a process of its own that need not import anything: forked from one that did that and nothing else.

A run imports MLflow, scikit-learn and its engine, which takes longer than a run of a dozen photographs. Where a test is
about what a killed run leaves, and starts dozens, this is the same command without that. `python -m fruits` itself is
started by the tests of the command. Here the setting `encoder` may be `stub` besides, which is `tests.stub`.
"""

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests import stub

PRELOADED = [
    "fruits.cli",
    "lakehouse.models.mlflow_records",
    "lakehouse.engine.local.engine",
    "gold.report",
    "skops.io",
    # And what these import only when they are used, which takes longer than all that a small run does.
    "duckdb",
    "git",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "plotly.io",
    "tests.stub",
]
_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(PRELOADED)


def run_command(arguments: Sequence[str], variables: Mapping[str, str], log: Path, timeout: float = 300) -> int:
    """Run `fruits` with these arguments and variables besides this process's; what it prints goes to a file.

    Returns:
        Its exit status; minus the signal's number where one ended it.
    """
    process = _forking.Process(target=_command, args=(list(arguments), {**os.environ, **variables}, log))
    process.start()
    process.join(timeout)
    status = process.exitcode
    if status is None:
        process.kill()
        process.join()
        raise TimeoutError(f"fruits {' '.join(arguments)} ran for more than {timeout} s:\n{log.read_text()[-3000:]}")
    return status


def _command(arguments: list[str], environment: dict[str, str], log: Path) -> None:
    # The server has the variables of when it was started.
    os.environ.clear()
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = ["fruits", *arguments]
    from fruits.cli import main
    from silver.encoders import ENCODERS

    ENCODERS[stub.NAME] = stub.__name__
    main()
