"""A command behind a real terminal."""

import os
import pty
import subprocess
import time
from collections.abc import Mapping, Sequence
from select import select
from typing import Self


class Terminal:
    """A process whose streams are a terminal; ends with the block."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] = os.environ, stdout: int | None = None):
        """Start it; `stdout` is another stream than the terminal's."""
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs if stdout is None else stdout,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # which makes it the one that Ctrl-C is of
            env={**environment, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
        )
        os.close(theirs)
        self._shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._ours, keys.encode())

    def expect(self, text: str) -> None:
        """Wait until a text is shown after the one that was waited for before."""
        limit = time.monotonic() + 60
        while text not in self._shown:
            ready, _, _ = select([self._ours], [], [], max(0.0, limit - time.monotonic()))
            assert ready, f"{text!r} is not shown: {self._shown!r}"
            try:
                self._shown += os.read(self._ours, 4096).decode(errors="replace")
            except OSError as error:  # the process has ended
                raise AssertionError(f"{text!r} was not shown: {self._shown!r}") from error
        self._shown = self._shown.partition(text)[2]
