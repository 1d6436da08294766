"""Limits on uploads: size, duration, and number at once."""

import asyncio
from asyncio import Semaphore
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from weakref import WeakValueDictionary

from starlette.exceptions import HTTPException
from starlette.requests import Request

from fruits.settings import Settings

MOST_BYTES = 32 << 20
"""A camera's photograph of 50 megapixels has some 20 MB."""

MOST_PIXELS = 50_000_000
"""Of such a camera; decoded it has 150 MB. (What the lake itself takes may be larger: nobody sends it at will.)"""

SECONDS = 60
"""Time for an upload: 32 MiB at 4.5 megabit a second."""

STALLED_SECONDS = 8.0
"""Time without a byte, or at less than PACE, after which an upload is ended: its place is others'."""

PACE = 8 << 10
"""Bytes a second, on average, below which an upload is taken for one that is meant to last."""

UPLOADS = 8
"""Photographs in memory at once; one of them is being looked at."""

UPLOADS_EACH = 4
"""Of one address at once: nobody takes all places."""

WAITING_SECONDS = 5.0
"""Time that an upload waits for a place, unread."""

_LATER = "Too many ask at the same time. Try again in a moment."
_SOON = {"Retry-After": "2"}


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
            raise HTTPException(503, _LATER, _SOON)
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1


class Places:
    """Places for uploads, UPLOADS in all and UPLOADS_EACH for one address; who finds none waits a little, unread."""

    def __init__(self) -> None:
        """Have all places free."""
        self._all = Semaphore(UPLOADS)
        self._of: WeakValueDictionary[str, Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def take(self, address: str) -> AsyncIterator[None]:
        """Have a place while the block runs; first come, first served.

        Raises:
            HTTPException: 503, where none was free within WAITING_SECONDS.
        """
        own = self._of.setdefault(address, Semaphore(UPLOADS_EACH))
        async with AsyncExitStack() as taken:
            try:
                async with asyncio.timeout(WAITING_SECONDS):
                    await taken.enter_async_context(own)
                    await taken.enter_async_context(self._all)
            except TimeoutError:
                raise HTTPException(503, _LATER, _SOON) from None
            yield


async def read_upload(request: Request, most: int) -> bytes:
    """The body of a request, in memory alone, never more than `most` bytes of it.

    Raises:
        HTTPException: 413, where it is larger, from its announced length or as soon as it is; 408, where it takes
            longer than SECONDS, or comes at less than PACE for STALLED_SECONDS.
    """
    content = bytearray()
    too_large = HTTPException(413, f"The file is too large: at most {most >> 20} MB are taken.")
    if int(request.headers.get("content-length", 0)) > most:
        raise too_large
    try:
        async with asyncio.timeout(None) as time:
            begun = asyncio.get_running_loop().time()
            time.reschedule(begun + min(SECONDS, STALLED_SECONDS))
            async for part in request.stream():
                content += part
                if len(content) > most:
                    raise too_large
                time.reschedule(begun + min(SECONDS, STALLED_SECONDS + len(content) / PACE))
    except TimeoutError:
        raise HTTPException(408, "The photograph did not arrive in time. Try again, or send a smaller one.") from None
    return bytes(content)
