"""JPEG 2000: what its code stream's header says (ISO/IEC 15444-1)."""

import struct
from typing import NamedTuple

from bronze.boxes import boxes, is_cut
from bronze.header import Header, TooManyPartsError
from bronze.structure import MOST_PARTS

_SIZ, _COD, _COC, _SOT, _SOD = 0xFF51, 0xFF52, 0xFF53, 0xFF90, 0xFF93
_END = b"\xff\xd9"
_COLOURS = {12, 16, 17, 18}  # CMYK, sRGB, grey, sYCC
_SMALLEST = 5  # 32: OpenJPEG takes 5 kB of memory a block and 48 kB a precinct, whatever their size
_MOST_TILES = 10_000  # of 10 kB of memory each, whatever their size; a picture of 100 megapixels has 1,526 of 256 × 256
_MOST_PACKETS = 1 << 25  # of two bytes each
_MOST_LEVELS = 32  # by the standard
_FEW_PRECINCTS = 256  # may be of any size


class _Size(NamedTuple):
    """What is unpacked: pixels of the picture or of a tile, tiles, a tile's sides, channels, and why it is not read."""

    pixels: int
    tiles: int
    wide: int
    high: int
    channels: int
    unread: str | None


def read_header(content: bytes) -> Header:
    """The size of picture or tile, whichever is larger; see `reader_of`."""
    start, problem, profile, cut = 0, None, None, False
    if not content.startswith(b"\xff\x4f"):
        start, problem, profile = _read_boxes(content)
        cut = is_cut(content)
    pixels, unread, missing = _read_stream(content, start)
    return Header(pixels, problem or unread, cut or missing or content.rfind(_END) < start, profile)


def _read_boxes(content: bytes) -> tuple[int, str | None, bytes | None]:
    """Where the code stream starts, why its colours are not read, and its profile."""
    problem = profile = None
    for box in boxes(content, 0, len(content)):
        if box.kind == b"jp2c":
            return box.start, problem, profile
        if box.kind == b"jp2h":
            for inner in boxes(content, box.start, min(box.end, len(content))):
                if inner.kind == b"colr" and content[inner.start] == 1:
                    (colours,) = struct.unpack_from(">I", content, inner.start + 3)
                    problem = None if colours in _COLOURS else f"its colours are of kind {colours}"
                elif inner.kind == b"colr" and content[inner.start] == 2:
                    profile = content[inner.start + 3 : inner.end]
    raise struct.error("there is no code stream")


def _read_stream(content: bytes, start: int) -> tuple[int, str | None, bool]:
    """Of the main header and those of all parts of tiles: pixels, why it is not read, and whether tiles are missing."""
    size, unread, at = None, None, start + 2
    seen = set[int]()
    end = None  # of the part whose header is read
    for _ in range(MOST_PARTS):
        if content[at : at + 2] == _END:
            break
        if end is not None and at + 4 > len(content):
            return *_described(size, unread), True
        marker, length = struct.unpack_from(">HH", content, at)
        if marker == _SIZ:
            size = _read_size(content, at + 4)
        elif marker == _SOT:
            tile, part = struct.unpack_from(">HI", content, at + 4)
            seen.add(tile)
            end = at + part if part else len(content)
        elif marker == _SOD:
            if end is None or end <= at:
                raise struct.error("a part of a tile ends before it begins")
            at = end
            continue
        elif marker in (_COD, _COC) and size is not None:
            unread = unread or _too_fine(content, at + 4, size, of_all=marker == _COD)
        at += 2 + length
    else:
        raise TooManyPartsError
    pixels, unread = _described(size, unread)
    return pixels, unread, size is not None and len(seen) < size.tiles


def _described(size: _Size | None, unread: str | None) -> tuple[int, str | None]:
    if size is None:
        raise struct.error("its size is missing")
    return size.pixels, size.unread or unread


def _read_size(content: bytes, at: int) -> _Size:
    _, x1, y1, x0, y0, width, height, left, top, count = struct.unpack_from(">H8IH", content, at)
    kinds = content[at + 36 : at + 36 + 3 * min(count, 5)]
    pixels = max(0, x1 - x0) * max(0, y1 - y0)
    across, down = (
        -(-max(0, end - begin) // side) if side else 0 for end, begin, side in ((x1, left, width), (y1, top, height))
    )
    if across * down > _MOST_TILES:
        raise TooManyPartsError
    unread = None
    if count > 4:
        unread = f"it has {count} channels"
    elif any(kind & 0x80 or kind > 15 for kind in kinds[::3]):
        unread = "its channels have signs, or more than 16 bits"
    wide, high = min(width, x1), min(height, y1)
    return _Size(max(pixels, wide * high), across * down, wide, high, count, unread)


def _too_fine(content: bytes, at: int, size: _Size, *, of_all: bool) -> str | None:
    """Why the coding of tiles, or of one channel of theirs, takes more memory than pixels do; None where it does not.

    Blocks may be smaller than _SMALLEST, precincts too and many of them, or packets more than _MOST_PACKETS.
    """
    layers = 1
    if of_all:
        style, _, layers, _ = struct.unpack_from(">BBHB", content, at)
        at += 5
    else:
        at += 1 if size.channels < 257 else 2
        style = content[at]
        at += 1
    levels, wide, high = struct.unpack_from(">BBB", content, at)
    if min(wide, high) + 2 < _SMALLEST:
        return "it is cut into tiny blocks"
    most = 1
    for level in range(min(levels, _MOST_LEVELS) + 1):
        precinct = content[at + 5 + level] if style & 1 else 0xFF
        of_level = 1 << (levels - level)
        across = -(-size.wide // (of_level << (precinct & 15)))
        down = -(-size.high // (of_level << (precinct >> 4)))
        if across * down > _FEW_PRECINCTS and min(precinct & 15, precinct >> 4) < _SMALLEST + 2:
            return "it is cut into tiny blocks"
        most = max(most, across * down)
    packets = layers * (levels + 1) * size.channels * most
    return "it has more packets than a picture" if packets > _MOST_PACKETS else None
