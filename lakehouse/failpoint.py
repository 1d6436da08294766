"""Named points at which a test can kill a run, to prove that nothing is lost there.

The environment variable FRUITS_FAILPOINT names one; elsewhere it is not set, and reaching a point does nothing. Where a
run comes by a point several times, `point@2` is the second time. Which points there are the code itself says, wherever
it calls `crash_point`; `tests/points.py` reads them there.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable

VARIABLE = "FRUITS_FAILPOINT"


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


passed: Counter[str] = Counter()
"""How often this process has come by the point that is named."""
die: Callable[[], None] = _kill
"""What happens at the point; a test that lives in the same process puts an exception here."""


def crash_point(point: str) -> None:
    """Die here, if the environment names this point; each call has a point of its own, written out in the call."""
    named = os.environ.get(VARIABLE)
    if named is None:
        return
    wanted, _, times = named.partition("@")
    if wanted == point:
        passed[named] += 1
        if passed[named] >= int(times or 1):
            die()
