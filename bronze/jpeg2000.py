"""JPEG 2000: what its code stream's header says (ISO/IEC 15444-1)."""

import struct

from bronze.boxes import boxes, is_cut
from bronze.header import Header, TooManyPartsError
from bronze.structure import MOST_PARTS

_SIZ, _COD, _SOT = 0xFF51, 0xFF52, 0xFF90
_END = b"\xff\xd9"
_COLOURS = {12, 16, 17, 18}  # CMYK, sRGB, grey, sYCC
_SMALLEST = 5  # 32: OpenJPEG takes 5 kB of memory a block and 48 kB a precinct, whatever their size


def read_header(content: bytes) -> Header:
    """The size of picture or tile, whichever is larger; see `reader_of`."""
    start, problem, profile, cut = 0, None, None, False
    if not content.startswith(b"\xff\x4f"):
        start, problem, profile = _read_boxes(content)
        cut = is_cut(content)
    pixels, unread = _read_stream(content, start)
    return Header(pixels, problem or unread, cut or content.rfind(_END) < start, profile)


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


def _read_stream(content: bytes, start: int) -> tuple[int, str | None]:
    at, pixels, unread = start + 2, 0, None
    for _ in range(MOST_PARTS):
        marker, length = struct.unpack_from(">HH", content, at)
        if marker == _SOT:
            return pixels, unread
        if marker == _SIZ:
            pixels, unread = _read_size(content, at + 6)
        elif marker == _COD and _is_fine(content, at + 4):
            unread = "it is cut into tiny blocks"
        at += 2 + length
    raise TooManyPartsError


def _read_size(content: bytes, at: int) -> tuple[int, str | None]:
    x1, y1, x0, y0, width, height, _, _, count = struct.unpack_from(">8IH", content, at)
    kinds = content[at + 34 : at + 34 + 3 * min(count, 5)]
    pixels = max(0, x1 - x0) * max(0, y1 - y0)
    if width * height and pixels // (width * height) > MOST_PARTS:
        raise TooManyPartsError
    if count > 4:
        return pixels, f"it has {count} channels"
    if any(kind & 0x80 or kind > 15 for kind in kinds[::3]):
        return pixels, "its channels have signs, or more than 16 bits"
    return max(pixels, min(width, x1) * min(height, y1)), None


def _is_fine(content: bytes, at: int) -> bool:
    """Whether blocks or precincts of all resolutions but the lowest are smaller than _SMALLEST."""
    style, _, _, _, levels, wide, high = struct.unpack_from(">BBHBBBB", content, at)
    precincts = content[at + 10 : at + 11 + levels] if style & 1 else b""
    small = [min(size & 15, size >> 4) < _SMALLEST + 2 for size in precincts[-1:]]
    return min(wide, high) + 2 < _SMALLEST or any(small)
