"""`fruits watch`: `fruits run` again and again, one run at a time, until somebody says stop.

Each run is a process of its own: whatever it reserves, leaks or dies of is gone with it, and the next one reads the
settings anew. This process holds nothing but the time of the next run.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

BUSY = 75
"""The exit status that a run is asked for where another one holds the lake; `sysexits.h` calls it EX_TEMPFAIL."""
FIRST_PAUSE = 30.0
"""Seconds until a run that has failed is tried again; twice as long after each one more, up to the interval."""
_ENDINGS = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


def pause_after(failures: int, interval: float) -> float:
    """Seconds between the end of a run and the next one's start.

    Args:
        failures: how many runs in a row, that one included, have not done their work.
        interval: seconds between runs that have.
    """
    return min(interval, FIRST_PAUSE * 2.0 ** min(failures - 1, 30)) if failures else interval


@dataclass
class Watch:
    """Run a command again and again; see `watch_lake`.

    Attributes:
        command: the run's command line.
        interval: seconds between the end of a run and the start of the next one.
        say: told a line about each run that has not done its work.
        ended_by: the signal that ends it, once there was one.
    """

    command: Sequence[str]
    interval: float
    say: Callable[[str], None]
    ended_by: int | None = None
    _running: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    def run(self) -> int:
        """Go on until a signal comes, or the first run says that the call is wrong; returns the exit status."""
        failures, first = 0, True
        with self._signals():
            while self.ended_by is None:
                status = self._run_once()
                if self.ended_by is not None:
                    break
                if first and status == 2:
                    return 2  # no later run would be better off; the run has said what is wrong
                first = False
                failures = failures + 1 if status else 0
                pause = pause_after(failures, self.interval)
                if status:
                    self.say(f"{_ended(status)} The next one is tried in {_length(pause)}.")
                self._wait(pause)
        return 130 if self.ended_by == signal.SIGINT else 0

    def _run_once(self) -> int:
        """Start a run and wait for its end; returns its exit status, minus a signal's number where one has ended it."""
        # In a session of its own: Ctrl-C reaches this process, which hands it on once, and not both at the same time.
        self._running = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, start_new_session=True)
        if self.ended_by is not None:  # which came before there was somebody to hand it on to
            self._running.send_signal(signal.SIGINT)
        status = self._running.wait()
        self._running = None
        return status

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while self.ended_by is None and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 1.0))  # a signal only leaves a note: it is read each second

    def _end(self, number: int, _: FrameType | None) -> None:
        """Note the signal, and interrupt the run: it ends as after Ctrl-C, with nothing half committed."""
        self.ended_by = number
        if self._running is not None:
            self._running.send_signal(signal.SIGINT)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        before = {one: signal.signal(one, self._end) for one in _ENDINGS}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)


def watch_lake(options: Sequence[str], interval: float, say: Callable[[str], None]) -> int:
    """Run `fruits run` with these options until a signal ends it; returns the exit status.

    SIGTERM and SIGHUP end it with 0, as who stops a service has asked for; Ctrl-C with 130, as it ends every command.
    A run that goes on is interrupted, and waited for.
    """
    # As this process finds its packages, and not by what lies in the working folder.
    code = f"import sys; sys.path[:] = {sys.path!r}; sys.argv[0] = 'fruits'; from fruits.__main__ import main; main()"
    command = [sys.executable, "-P", "-c", code, "run", "--busy-status", str(BUSY), *options]
    return Watch(command, interval, say).run()


def _ended(status: int) -> str:
    """How a run has ended, in a sentence; the run itself has said why."""
    if status == BUSY:
        return "Another run holds the lake."
    if status < 0:
        return f"The run was ended by {signal.Signals(-status).name}."
    return f"The run failed (status {status})."


def _length(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
