"""A new object on S3 as a Python file, written from its start to its end, of any length.

Each request can be sent again with other credentials, where those that it was signed with have expired: an object of
up to `PART_BYTES` is one PUT, a longer one an upload of parts, of which a few are sent at the same time.
"""

import io
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from lakehouse.errors import LakehouseError
from lakehouse.storage.boto import Answer

if TYPE_CHECKING:
    from typing_extensions import Buffer

PART_BYTES = 10 << 20
"""Bytes of a part; S3 takes 10,000 parts, the last of any length and the others of at least 5 MiB."""
_PARALLEL = 4
"""Parts that are sent at the same time, and held in memory for it."""


class ObjectWriter(io.RawIOBase):
    """A new object, which is there when the file is closed; memory: `PART_BYTES` for each of up to six parts.

    Raises:
        StorageError: the object cannot be written; an upload that had begun is aborted.
    """

    def __init__(self, send: Callable[..., Answer]) -> None:
        """Write an object.

        Args:
            send: sends an operation of S3's about this object, by name and boto3's arguments, and returns the answer.
        """
        self._send, self._written = send, 0
        self._buffer = bytearray()
        self._upload: _Upload | None = None

    def writable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Bytes written so far."""
        return self._written

    def write(self, content: "Buffer") -> int:
        """Write some bytes; returns how many."""
        view = memoryview(content).cast("B")
        self._buffer += view
        self._written += view.nbytes
        while len(self._buffer) > PART_BYTES:
            self._upload = self._upload or _Upload(self._send)
            with memoryview(self._buffer) as buffered:
                part = bytes(buffered[:PART_BYTES])
            del self._buffer[:PART_BYTES]
            self._upload.add(part)
        return view.nbytes

    def close(self) -> None:
        """Make the object; a second time does nothing."""
        if self.closed:
            return
        super().close()
        rest = bytes(self._buffer)
        self._buffer.clear()
        if self._upload is None:
            self._send("put_object", Body=rest)
        else:
            self._upload.add(rest)
            self._upload.complete()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Make the object, or after an error none: a part of what was to be written is no object."""
        if error is not None and not self.closed:
            super().close()
            if self._upload is not None:
                self._upload.abort()
        super().__exit__(kind, error, trace)


class _Upload:
    """An upload of parts; the first that fails ends it."""

    def __init__(self, send: Callable[..., Answer]) -> None:
        self._send = send
        self._id = send("create_multipart_upload")["UploadId"]
        self._pool = ThreadPoolExecutor(_PARALLEL)
        self._sent: list[dict[str, object]] = []
        self._waiting: deque[Future[dict[str, object]]] = deque()
        self._failure: BaseException | None = None

    def add(self, part: bytes) -> None:
        """Send the next part; waits for the oldest where enough are on their way."""
        if self._failure is not None:
            raise self._failure
        number = len(self._sent) + len(self._waiting) + 1
        self._waiting.append(self._pool.submit(self._put, number, part))
        while len(self._waiting) > _PARALLEL:
            self._await_oldest()

    def complete(self) -> None:
        """Make the object of all parts."""
        while self._waiting:
            self._await_oldest()
        self._pool.shutdown()
        self._send("complete_multipart_upload", UploadId=self._id, MultipartUpload={"Parts": self._sent})

    def abort(self) -> None:
        """Leave nothing of the parts."""
        self._pool.shutdown(cancel_futures=True)
        with suppress(LakehouseError):  # what hindered a part hinders this, too
            self._send("abort_multipart_upload", UploadId=self._id)

    def _await_oldest(self) -> None:
        try:
            self._sent.append(self._waiting.popleft().result())
        except BaseException as error:
            self._failure = error
            self.abort()
            raise

    def _put(self, number: int, part: bytes) -> dict[str, object]:
        answer = self._send("upload_part", UploadId=self._id, PartNumber=number, Body=part)
        return {"PartNumber": number, "ETag": answer["ETag"]}
