"""Small pictures of photographs, in the page itself."""

import base64
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
from duckdb import DuckDBPyConnection
from PIL import Image

from bronze.photograph import decode
from fruits.query.contents import read_contents
from fruits.thumbnail import shrink

PIXELS = 64
"""The longer side: 0.6 kB as WebP."""

BYTES = 512 << 20
"""Content that is read and decoded at the most: 4,000 pictures of 128 kB, or 170 of a camera's."""

_AT_ONCE = 64


def thumbnail(image: Image.Image, side: int = PIXELS) -> str:
    """A picture as the base64 of a small WebP."""
    return base64.b64encode(shrink(image, side, quality=60)).decode()


def read_thumbnails(
    connection: DuckDBPyConnection, paths: Sequence[str], done: Callable[[int], None], most: int = BYTES
) -> dict[str, str]:
    """Thumbnails of photographs in `bronze.images` by path; of the first of them where their content is beyond `most`.

    Content is read of these rows alone, a few at a time.
    """
    wanted = _affordable(connection, paths, most)
    holders: dict[str, list[str]] = {}
    for path, sha256 in wanted.items():
        holders.setdefault(sha256, []).append(path)
    found: dict[str, str] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow's codecs leave the interpreter to others
        for some in read_contents(connection, [*holders], _AT_ONCE):
            for sha256, made in pool.map(lambda row: (row[0], thumbnail(decode(row[1]))), some):
                found |= dict.fromkeys(holders[sha256], made)
            done(len(found))
    return found


def _affordable(connection: DuckDBPyConnection, paths: Sequence[str], most: int) -> dict[str, str]:
    """By path the SHA-256 of its content, of the first paths whose contents have at most so many bytes."""
    connection.register("asked", pa.table({"path": pa.array(paths, pa.string())}))
    query = "SELECT path, sha256, length FROM bronze.images SEMI JOIN asked USING (path)"
    held = {path: (sha256, length) for path, sha256, length in connection.execute(query).fetchall()}
    kept: dict[str, str] = {}
    total = 0
    for path in paths:
        sha256, length = held.get(path, ("", 0))
        total += length
        if total > most:
            break
        if sha256:
            kept[path] = sha256
    return kept
