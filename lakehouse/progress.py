"""Progress reporting: the interface that jobs call, and one that shows nothing."""

from collections.abc import Callable
from typing import Protocol


class Progress(Protocol):
    """Shows stages of work."""

    def stage(self, name: str, total: int) -> Callable[[int], None]:
        """Show a stage of `total` images; the returned function is told how many are done so far.

        Begun again under the same name and total before its end, it is the same stage.
        """

    def log(self, message: str) -> None:
        """Show one line that should be read."""


class NullProgress:
    """Shows nothing."""

    def stage(self, name: str, total: int) -> Callable[[int], None]:  # noqa: ARG002 - the protocol's
        """Begin nothing."""
        return lambda done: None  # noqa: ARG005 - the protocol's

    def log(self, message: str) -> None:
        """Say nothing."""
