"""Named points at which a test can kill a run, to prove that nothing is lost there.

The environment variable FRUITS_FAILPOINT names one; elsewhere it is not set, and reaching a point does nothing.
"""

import os
import signal
from collections.abc import Callable

VARIABLE = "FRUITS_FAILPOINT"
POINTS = (
    "run.lease-held",
    "bronze.found",
    "bronze.images-written",
    "bronze.quarantine-written",
    "bronze.removed",
    "bronze.batch-numbered",
    "silver.found",
    "silver.features-computed",
    "silver.features-copied",
    "silver.features-written",
    "silver.moments-written",
    "silver.scaler-registered",
    "silver.scaled-written",
    "silver.champion-moved",
    "registry.logged",
    "registry.registered",
    "gold.fitted",
    "gold.registered",
    "gold.projections-written",
    "gold.explained-variance-written",
    "gold.models-written",
    "gold.accuracy-logged",
    "gold.calibrations-written",
    "gold.champion-moved",
    "forget.rows-deleted",
    "forget.moments-updated",
    "forget.files-erased",
)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


die: Callable[[], None] = _kill
"""What happens at the point; a test that lives in the same process puts an exception here."""


def crash_point(point: str) -> None:
    """Die here, if the environment names this point."""
    assert point in POINTS, point
    if os.environ.get(VARIABLE) == point:
        die()
