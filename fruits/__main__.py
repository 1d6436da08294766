"""The console command, `python -m fruits`, and what `spark-submit` runs."""

import atexit
import os
import sys

from fruits.surroundings import be_at_home


def main() -> None:
    """Run the command; until it is imported, Ctrl-C ends it without a word."""
    if not atexit._ncallbacks():  # else somebody else wants to see the end, like a profiler that started us
        atexit.register(_leave)  # before all others, so that it comes after them
    be_at_home()
    try:
        from fruits.cli import main as command

        command()
    except SystemExit as end:
        _status.append(end.code or 0)
        raise
    except KeyboardInterrupt:
        sys.exit(130)


_status: list[int | str] = []


def _leave() -> None:
    """End the process here where it ends by a status: to take apart all that was imported would take a second more."""
    if _status and isinstance(_status[0], int):
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # as it is where it was closed before the command began, by cron or a daemon
                stream.flush()
        os._exit(_status[0])


if __name__ == "__main__":
    main()
