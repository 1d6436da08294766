"""Seconds by stage, as the programs that are compared print them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stages:
    """Seconds of named stages, and of all that passed since this was made."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add what passes in the block to the stage."""
        begun = time.perf_counter()
        yield
        self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - begun

    def seconds(self) -> dict[str, float]:
        """The seconds of each stage in the order of their first use, and `total`."""
        found = {**self._seconds, "total": time.perf_counter() - self._begun}
        return {name: round(value, 2) for name, value in found.items()}
