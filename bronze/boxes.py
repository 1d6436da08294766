"""The boxes that HEIF, AVIF and JPEG 2000 files are made of (ISO/IEC 14496-12): a length, four letters, the rest."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from bronze.header import DAMAGED, TooManyPartsError
from bronze.structure import MOST_PARTS


class Box(NamedTuple):
    """A box: its four letters, and where its payload begins and should end."""

    kind: bytes
    start: int
    end: int


def boxes(content: bytes, start: int, end: int) -> Iterator[Box]:
    """The boxes between two places; the last may claim to end later. A `struct.error` where one is damaged."""
    for _ in range(MOST_PARTS):
        if end - start < 8:
            return
        length, kind = struct.unpack_from(">I4s", content, start)
        header = 8
        if length == 1:
            (length,), header = struct.unpack_from(">Q", content, start + 8), 16
        stop = end if length == 0 else start + length
        if stop < start + header:
            raise struct.error("a box is shorter than its header")
        yield Box(kind, start + header, stop)
        start = stop
    raise TooManyPartsError


def is_cut(content: bytes) -> bool:
    """Whether a file ends before its last box does, or has none."""
    try:
        ends = [box.end for box in boxes(content, 0, len(content))]
    except DAMAGED:
        return False
    return not ends or ends[-1] > len(content)
