"""Silence for what C libraries write to the terminal themselves."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_ONE = Lock()  # two at once would take each other's silence for the terminal


@contextmanager
def without_stderr() -> Iterator[None]:
    """Have nobody in this process write to standard error meanwhile; one thread at a time."""
    with _ONE:
        kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(null)
