"""A value computed in a background thread."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Background(Generic[T]):
    """A value that is made while other work goes on; its error, if any, is raised to whoever asks for it."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether there is a value, or an error."""
        return not self._thread.is_alive()

    def wait(self) -> None:
        """Wait until there is a value, or an error, and raise nothing."""
        self._thread.join()

    def get(self) -> T:
        """Wait for the value."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._value

    def _run(self) -> None:
        try:
            self._value = self._make()
        except BaseException as error:  # noqa: BLE001 - handed to the asker, who raises it
            self._error = error
