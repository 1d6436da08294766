"""Read photographs in a process of its own, within its memory and a time; a process that exceeds them is replaced."""

import json
import socket
import subprocess
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bronze.judgement import Limits, Problem
from bronze.reasons import Reason
from fruits.identify.identifier import NotAPhotographError
from lakehouse.errors import LakehouseError

SECONDS = 30.0
"""Time to read a photograph: one of 50 megapixels takes three, and five times that on a machine that is busy."""

_START_SECONDS = 60.0
_PATIENCE = 5.0  # seconds for a process to end by itself
_TRIES = 2  # the first death may be anybody's fault


class Read(NamedTuple):
    """What was read of a photograph: features, shape (1, d), float32; preview: a WebP, empty where it needs none."""

    features: NDArray[np.float32]
    preview: bytes


class Reader:
    """What reads photographs; for one thread at a time."""

    def __init__(self, limits: Limits, models: str) -> None:
        """Start the process: for photographs within these limits, by a model in the folder of this URI."""
        self._limits, self._models = limits, models
        self._process = _Process(limits, models)

    def make_ready(self, feature_version: str) -> None:
        """Wait until photographs can be read into features of a version.

        Raises:
            LakehouseError: they cannot be; as what `EncoderModule.reopen` raises says.
        """
        question = {"feature_version": feature_version, "photograph": False}
        try:
            self._process.ask(question, None, _START_SECONDS)
        except (EOFError, OSError) as error:
            raise LakehouseError(f"The process that reads photographs has ended ({self._replace()}).") from error

    def read(self, feature_version: str, content: bytes) -> Read:
        """Read a photograph, within SECONDS and the memory that the process has.

        Raises:
            NotAPhotographError: the bytes are no photograph that can be used.
        """
        question = {"feature_version": feature_version, "photograph": True}
        for _ in range(_TRIES):
            try:
                told, parts = self._process.ask(question, content, SECONDS)
            except TimeoutError:
                self._replace()
                break
            except (EOFError, OSError):
                self._replace()
                continue
            if "reason" in told:
                raise NotAPhotographError(Problem(Reason(told["reason"]), told["detail"]))
            features, preview = parts
            return Read(np.frombuffer(features, np.float32).reshape(1, -1), preview)
        raise NotAPhotographError(Problem(Reason.KILLS_THE_READER, "What reads it ended, or took too long."))

    def close(self) -> None:
        """End the process."""
        self._process.end()

    def _replace(self) -> str:
        status = self._process.end(at_once=True)
        self._process = _Process(self._limits, self._models)
        return status


class _Process:
    def __init__(self, limits: Limits, models: str) -> None:
        ours, theirs = socket.socketpair()
        given = (theirs.fileno(), [*limits.formats], limits.max_bytes, limits.max_pixels, models)
        code = f"import sys; sys.path[:] = {sys.path!r}; from fruits.app.reading import main; main(*{given!r})"
        # A group of its own, so that Ctrl-C at a terminal reaches the server alone; and no terminal, which what
        # decoders write of a file's content would reach.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        theirs.close()
        self._connection = Connection(ours.detach())

    def ask(self, question: dict[str, object], content: bytes | None, seconds: float) -> tuple[Any, list[bytes]]:
        """What it says, and the parts after that; EOFError or OSError where it has died, TimeoutError if it is slow."""
        end = time.monotonic() + seconds
        self._connection.send_bytes(json.dumps(question).encode())
        if content is not None:
            self._connection.send_bytes(content)
        if not self._connection.poll(end - time.monotonic()):
            raise TimeoutError
        told = json.loads(self._connection.recv_bytes())
        if "error" in told:
            raise LakehouseError(told["error"])
        if "failed" in told:
            raise RuntimeError(told["failed"])
        return told, [self._connection.recv_bytes() for _ in range(told.get("parts", 0))]

    def end(self, *, at_once: bool = False) -> str:
        with suppress(OSError):
            self._connection.close()
        try:
            if at_once:
                self._process.kill()
            status = self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        return f"signal {-status}" if status < 0 else f"exit status {status}"
