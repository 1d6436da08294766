"""An object of a store of obstore's as a Python file, read in any order."""

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EIO
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError

from lakehouse.storage import aws

if TYPE_CHECKING:
    from obstore import Bytes
    from obstore.store import ObjectStore


class ObjectReader(io.RawIOBase):
    """An object's bytes; each `read` is one request for just these, so that Parquet's reader decides how many.

    Raises:
        OSError: the object is not there, or cannot be read.
    """

    def __init__(self, store: "ObjectStore", key: str) -> None:
        self._store, self._key, self._at = store, key, 0
        with _as_os_error(key):
            self._length = aws.asking_quickly(lambda: obstore.head(store, key)["size"])

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a byte; see `io.IOBase.seek`."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        self._at = max(0, start + offset)
        return self._at

    def read(self, size: int | None = -1) -> "bytes | Bytes":
        """At most `size` bytes, by default all to the end; as a buffer, which spares a copy."""
        rest = max(0, self._length - self._at)
        length = rest if size is None or size < 0 else min(size, rest)
        if not length:
            return b""
        with _as_os_error(self._key):
            content = aws.asking_quickly(
                lambda: obstore.get_range(self._store, self._key, start=self._at, length=length)
            )
        self._at += length
        return content


@contextmanager
def _as_os_error(key: str) -> Iterator[None]:
    """Errors as a file's are: what obstore says for people, and how the server calls it; no dump of its own state."""
    try:
        yield
    except (BaseError, FileNotFoundError, PermissionError) as error:
        text = str(error)
        said = re.split(r": <|\n", text, maxsplit=1)[0]
        raise OSError(EIO, " ".join([said, *re.findall("<Code>(.*?)</Code>", text)[:1]]), key) from error
