"""An encoder of eight dimensions that takes no time: a function of a photograph's pixels alone.

Also a module of an encoder, for the setting `encoder`: what a run does with its 8 features takes a third of what it
takes with the 1,280 of MobileNetV2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bronze.photograph import decode
from silver.encoders.base import Encoder, Predict


def load_stub() -> Predict:
    """Load the stub encoder: mean and deviation of each channel, width and height."""
    return predict_stub


def predict_stub(contents: Sequence[memoryview]) -> NDArray[np.float32]:
    """Compute what the stub encoder computes."""
    return np.stack([stub_features(content) for content in contents])


def stub_features(content: memoryview) -> NDArray[np.float32]:
    """The stub's features of one photograph."""
    pixels = np.asarray(decode(content), dtype=np.float32)
    size = np.array(pixels.shape[:2], dtype=np.float32)
    return np.concatenate([pixels.mean(axis=(0, 1)), pixels.std(axis=(0, 1)), size]).astype(np.float32)


NAME = "stub"
STUB = Encoder(f"{NAME}-r1", 8, load_stub)


def prepare(weights: str | None, folder: str) -> Encoder:
    """See `EncoderModule.prepare`."""
    return STUB


def reopen(feature_version: str, folder: str) -> Predict:
    """See `EncoderModule.reopen`."""
    return load_stub()


def convert_ahead(weights: str | None) -> bool:
    """See `EncoderModule.convert_ahead`."""
    return True


def weights_uri(weights: str | None) -> str | None:
    """See `EncoderModule.weights_uri`."""
    return None


def weights_file(weights: str | None) -> Path | None:
    """See `EncoderModule.weights_file`."""
    return None


@dataclass(frozen=True)
class LoadCounted:
    """Loads the stub encoder, which then notes each photograph that it computes as a line of a file."""

    log: Path

    def __call__(self) -> Predict:
        """Load it."""

        def counted(contents: Sequence[memoryview]) -> NDArray[np.float32]:
            with self.log.open("a") as lines:
                lines.write("1\n" * len(contents))
            return predict_stub(contents)

        return counted


class CountingEncoder:
    """The stub encoder, counting the photographs that were really computed, whatever process did it."""

    def __init__(self, log: Path, feature_version: str) -> None:
        log.touch()
        self._log = log
        self.encoder = Encoder(feature_version, 8, LoadCounted(log))

    @property
    def calls(self) -> int:
        """How many photographs were computed so far."""
        return len(self._log.read_text().splitlines())
