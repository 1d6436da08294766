"""The process that reads photographs for the app: decoders and the network, where a hostile file can do least.

It has so much memory and no more, its input and output lead nowhere, and it ends when the connection does.
"""

import json
import os
import resource
import traceback
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bronze.judgement import Limits, Problem
from bronze.photograph import inspect_and_decode
from fruits.thumbnail import shrink
from lakehouse.errors import LakehouseError
from silver.encoders import module_of
from silver.encoders.base import Predict

MEMORY = 1792 << 20
"""Bytes that one photograph may take: for a WebP of 50 megapixels with transparency 1.25 GiB were too little."""

PREVIEW = 640
"""The longer side of the picture of a photograph that a browser may not be able to draw."""

_DRAWN_BY_BROWSERS = {"JPEG", "PNG", "GIF", "BMP", "WEBP"}


def main(descriptor: int, formats: list[str], max_bytes: int, max_pixels: int, models: str) -> None:
    """Read what is received until the other end of the connection is closed.

    A question is a feature version, then a photograph's bytes where it says that they follow, else it is to make
    ready; an answer is what was found, then so many parts as it says: features and preview.
    """
    with suppress(OSError):  # it is closed while an answer is sent: there is nobody to tell
        _work(Connection(descriptor), _Reader(Limits(formats, max_bytes, max_pixels), models))
    os._exit(0)


class _Reader:
    def __init__(self, limits: Limits, models: str) -> None:
        self._limits, self._models = limits, models
        self._version = ""
        self._predict: Predict

    def make_ready(self, feature_version: str) -> None:
        if feature_version != self._version:
            resource.setrlimit(resource.RLIMIT_AS, _unlimited())
            self._predict = module_of(feature_version).reopen(feature_version, self._models)
            self._version = feature_version
            self._predict([_bitmap(Image.new("RGB", (8, 8)))])  # what it imports and sets aside, it has now
            _limit_memory(MEMORY)

    def read(self, content: bytes) -> tuple[dict[str, object], NDArray[np.float32], bytes] | Problem:
        found = inspect_and_decode(content, self._limits)
        if isinstance(found, Problem):
            return found
        photograph, image = found
        preview = b"" if photograph.format in _DRAWN_BY_BROWSERS else shrink(image, PREVIEW, quality=80)
        # As a plain bitmap: no hostile file is decoded twice, and encoders take bytes.
        bitmap = _bitmap(image)
        del found, image  # 4 bytes a pixel
        return {"format": photograph.format}, self._predict([bitmap]), preview


def _bitmap(image: Image.Image) -> memoryview:
    made = BytesIO()
    image.save(made, "BMP")
    return made.getbuffer()


def _work(connection: Connection, reader: _Reader) -> None:
    received: SimpleQueue[bytes] = SimpleQueue()
    Thread(target=_receive, args=(connection, received.put), daemon=True).start()
    while True:
        question = json.loads(received.get())
        content = received.get() if question["photograph"] else None
        try:
            reader.make_ready(question["feature_version"])
            found = None if content is None else reader.read(content)
        except LakehouseError as error:
            _send(connection, {"error": str(error)})
        except MemoryError:
            _send(connection, {"reason": "unreadable", "detail": "There was not enough memory to decode it."})
        except Exception:  # noqa: BLE001 - told to the other side, which raises it
            _send(connection, {"failed": traceback.format_exc()})
        else:
            match found:
                case None:
                    _send(connection, {})
                case Problem(reason, detail):
                    _send(connection, {"reason": reason, "detail": detail})
                case (told, features, preview):
                    _send(connection, told, np.ascontiguousarray(features, np.float32).tobytes(), preview)


def _send(connection: Connection, told: dict[str, object], *parts: bytes) -> None:
    connection.send_bytes(json.dumps({**told, "parts": len(parts)}).encode())
    for part in parts:
        connection.send_bytes(part)


def _receive(connection: Connection, put: Callable[[bytes], None]) -> None:
    # In a thread of its own, so that the end of the other side is the end of this one, in mid-photograph too.
    while True:
        try:
            put(connection.recv_bytes())
        except (EOFError, OSError):
            os._exit(0)


def _limit_memory(more: int) -> None:
    """Have this process get so many bytes beyond those that it has; where the machine does not tell, all it can."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except FileNotFoundError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = pages * resource.getpagesize() + more
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _unlimited() -> tuple[int, int]:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    return hard, hard
