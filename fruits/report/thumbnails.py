"""Small pictures of photographs, in the page itself."""

import base64
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pyarrow as pa
from duckdb import DuckDBPyConnection, DuckDBPyRelation
from PIL import Image

from bronze.photograph import decode
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
    connection.register("wanted", pa.table({"path": pa.array(_affordable(connection, paths, most), pa.string())}))
    rows = connection.sql("SELECT path, content FROM bronze.images SEMI JOIN wanted USING (path)")
    found: dict[str, str] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow's codecs leave the interpreter to others
        contents = _contents(rows)
        while some := list(islice(contents, _AT_ONCE)):
            found |= dict(pool.map(lambda row: (row[0], thumbnail(decode(row[1]))), some))
            done(len(found))
    return found


def _affordable(connection: DuckDBPyConnection, paths: Sequence[str], most: int) -> list[str]:
    connection.register("asked", pa.table({"path": pa.array(paths, pa.string())}))
    lengths = dict(connection.execute("SELECT path, length FROM bronze.images SEMI JOIN asked USING (path)").fetchall())
    kept, total = [], 0
    for path in paths:
        total += lengths.get(path, 0)
        if total > most:
            break
        kept.append(path)
    return kept


def _contents(rows: DuckDBPyRelation) -> Iterator[tuple[str, bytes]]:
    for batch in rows.to_arrow_reader(_AT_ONCE):
        yield from zip(batch.column("path").to_pylist(), batch.column("content").to_pylist(), strict=True)
