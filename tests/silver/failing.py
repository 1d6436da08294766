"""Encoders that fail: the stub's features, and a process that is killed, or an error, at some photographs."""

import hashlib
import os
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from silver.encoders.base import Encoder, Predict
from tests.stub import stub_features


@dataclass(frozen=True)
class Failing:
    """Loads the stub encoder, which notes each photograph that it is given, and then may fail.

    Attributes:
        folder: where photographs are noted, in a file of the process that computes them.
        kills: the photographs, by their SHA-256, that kill their process; None: each.
        kills_once: the photograph that kills the first process that comes by.
        raises: the photographs that an error is raised at; None: each.
    """

    folder: Path
    kills: frozenset[str] | None = frozenset()
    kills_once: str = ""
    raises: frozenset[str] | None = frozenset()

    def __call__(self) -> Predict:
        """Load it."""
        return self._computed

    @property
    def encoder(self) -> Encoder:
        """An encoder with a version of its own: processes keep one by its version."""
        self.folder.mkdir()
        return Encoder(f"stub-{self.folder}", 8, self)

    @property
    def calls(self) -> Counter[str]:
        """How often each photograph was given to it."""
        return Counter(line for file in self.folder.glob("*.calls") for line in file.read_text().split())

    @property
    def processes(self) -> set[int]:
        """The processes that it was called in."""
        return {int(file.stem) for file in self.folder.glob("*.calls")}

    def _computed(self, contents: Sequence[memoryview]) -> NDArray[np.float32]:
        return np.stack([self._of_one(content) for content in contents])

    def _of_one(self, content: memoryview) -> NDArray[np.float32]:
        name = sha256(content)
        with (self.folder / f"{os.getpid()}.calls").open("a") as lines:
            lines.write(f"{name}\n")
        flag = self.folder / "died"
        if self.kills is None or name in self.kills or (name == self.kills_once and not flag.exists()):
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.raises is None or name in self.raises:
            raise ValueError("the features are\nnot to be had")
        return stub_features(content)


def sha256(content: bytes | memoryview) -> str:
    """What a photograph is known by."""
    return hashlib.sha256(content).hexdigest()
