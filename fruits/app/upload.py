"""Limits on uploads: size, duration, and number at once."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.exceptions import HTTPException
from starlette.requests import Request

from fruits.settings import Settings

MOST_BYTES = 32 << 20
"""A camera's photograph of 50 megapixels has some 20 MB."""

MOST_PIXELS = 50_000_000
"""Of such a camera; decoded it has 150 MB. (What the lake itself takes may be larger: nobody sends it at will.)"""

SECONDS = 60
"""Time for an upload: 32 MiB at 4.5 megabit a second."""


def within_memory(settings: Settings) -> Settings:
    """The settings under which uploads are read: those of the lake, or less."""
    most = {
        "max_bytes": min(MOST_BYTES, settings.max_bytes),
        "max_pixels": min(MOST_PIXELS, settings.max_pixels),
    }
    return settings.model_copy(update=most)


class Gate:
    """Lets so many in at once; whoever comes then is asked to come again, and holds no memory meanwhile."""

    def __init__(self, most: int) -> None:
        """Let `most` in at once."""
        self._most, self._inside = most, 0

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Be inside while the block runs; to be entered by the event loop's thread alone.

        Raises:
            HTTPException: 503, where all places are taken.
        """
        if self._inside >= self._most:
            raise HTTPException(503, "Too many ask at the same time. Try again in a moment.", {"Retry-After": "2"})
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1


async def read_upload(request: Request, most: int) -> bytes:
    """The body of a request, in memory alone, never more than `most` bytes of it.

    Raises:
        HTTPException: 413, where it is larger, from its announced length or as soon as it is; 408, where it takes
            longer than SECONDS.
    """
    content = bytearray()
    too_large = HTTPException(413, f"The file is too large: at most {most >> 20} MB are taken.")
    if int(request.headers.get("content-length", 0)) > most:
        raise too_large
    try:
        async with asyncio.timeout(SECONDS):
            async for part in request.stream():
                content += part
                if len(content) > most:
                    raise too_large
    except TimeoutError:
        raise HTTPException(408, f"The photograph did not arrive within {SECONDS} seconds.") from None
    return bytes(content)
