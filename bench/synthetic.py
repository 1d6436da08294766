"""Photographs and features that cost next to nothing: for lakes whose size is what is measured, not inference.

A photograph is a valid PNG of 20 × 20 pixels (1.3 kB), different from every other. Its features are a seeded function
of its bytes: a point near the centre of its label's, in a space of 160 dimensions that is embedded in 1,280, so that
scaler, PCA and identification have as much to do as with those of MobileNetV2.
"""

import struct
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from silver.encoders.base import Encoder, Predict

DIMENSION, LABELS = 1280, 200
_RANK, _SIDE = 160, 20
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
_FIRST_PIXEL = len(_SIGNATURE) + 25 + 8 + 2 + 5 + 1  # behind IHDR, and the heads of IDAT, zlib, its block and the row


def photograph(number: int) -> bytes:
    """The PNG of this number; the label's number is in its first pixel, and pixels are not compressed."""
    pixels = np.random.default_rng(number).integers(0, 256, (_SIDE, 1 + 3 * _SIDE), np.uint8)
    pixels[:, 0] = 0  # no filter
    pixels[0, 1], pixels[0, 2] = label_of(number) % 256, label_of(number) // 256
    data = zlib.compress(pixels.tobytes(), 0)
    return _SIGNATURE + _chunk(b"IHDR", _HEADER) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def label_of(number: int) -> int:
    """The number of a photograph's label."""
    return number % LABELS


def path_of(folder: Path, number: int) -> Path:
    """Where a photograph of this number lies: one in four is in `Test`."""
    split = "Test" if number // LABELS % 4 == 3 else "Training"
    return folder / split / f"label {label_of(number):03}" / f"{number:07}.png"


def write_photographs(folder: Path, numbers: range) -> list[Path]:
    """Write the photographs of these numbers; returns their paths."""
    paths = [path_of(folder, number) for number in numbers]
    for parent in {path.parent for path in paths}:
        parent.mkdir(parents=True, exist_ok=True)
    for number, path in zip(numbers, paths, strict=True):
        path.write_bytes(photograph(number))
    return paths


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# ---- the encoder ----------------------------------------------------------------------------------------------------


def load() -> Predict:
    """See `Encoder.load`."""
    embedding, centres = _embedding(), _centres()

    def predict(contents: Sequence[memoryview]) -> NDArray[np.float32]:
        points = np.stack([_point(content) for content in contents])
        labels = [content[_FIRST_PIXEL] + 256 * content[_FIRST_PIXEL + 1] for content in contents]
        return ((points + centres[labels]) @ embedding).astype(np.float32)

    return predict


def prepare(weights: str | None, folder: str) -> Encoder:  # noqa: ARG001 - it has neither
    """See `EncoderModule.prepare`."""
    return Encoder("synthetic-r1", DIMENSION, load)


def reopen(feature_version: str, folder: str) -> Predict:  # noqa: ARG001 - there is one version, and no file
    """See `EncoderModule.reopen`."""
    return load()


def convert_ahead(weights: str | None) -> bool:  # noqa: ARG001 - it has none
    """See `EncoderModule.convert_ahead`."""
    return True


def weights_uri(weights: str | None) -> str | None:  # noqa: ARG001 - it has none
    """See `EncoderModule.weights_uri`."""
    return None


def weights_file(weights: str | None) -> Path | None:  # noqa: ARG001 - it has none
    """See `EncoderModule.weights_file`."""
    return None


def _point(content: memoryview) -> NDArray[np.float32]:
    return np.random.default_rng(zlib.crc32(content)).standard_normal(_RANK, np.float32) * _deviations()


@cache
def _deviations() -> NDArray[np.float32]:
    return (np.arange(1, _RANK + 1) ** -0.5).astype(np.float32)


@cache
def _embedding() -> NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((_RANK, DIMENSION), np.float32)


@cache
def _centres() -> NDArray[np.float32]:
    return np.random.default_rng(2).standard_normal((2**16, _RANK), np.float32) * 2 * _deviations()


def main() -> None:
    """`fruits`, with this encoder among its own."""
    from fruits.__main__ import main as fruits
    from silver.encoders import ENCODERS

    ENCODERS["synthetic"] = "bench.synthetic"
    fruits()


if __name__ == "__main__":
    main()
