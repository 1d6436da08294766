"""TIFF: what its directories say (TIFF 6.0, BigTIFF), and which of its many kinds are read."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from bronze.header import DAMAGED, Header, TooManyPartsError
from bronze.structure import MOST_PARTS

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLOURS = 254, 256, 257, 258, 259, 262
_STRIPS, _SAMPLES, _STRIP_BYTES, _PLANAR, _EXTRA, _FORMAT = 273, 277, 279, 284, 338, 339
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES, _SUBSAMPLING = 322, 323, 324, 325, 530
_EXIF, _GPS, _INTEROPERABILITY, _CFA_PATTERN, _DNG = 34665, 34853, 40965, 33422, 50706
_BELOW = (_EXIF, _GPS, _INTEROPERABILITY)
_RAW, _JPEG = 1, 7
_COMPRESSIONS = {_RAW, 2, 3, 4, 5, _JPEG, 8, 32773, 32946, 34925, 50000}
_GREY, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = (0, 1), 2, 3, 5, 6, 8
_KINDS = {  # by colours: channels, and bits that a channel may have
    0: (1, (1, 2, 4, 8, 16)), 1: (1, (1, 2, 4, 8, 16)), _RGB: (3, (8, 16)), _PALETTE: (1, (1, 2, 4, 8)),
    _CMYK: (4, (8, 16)), _YCBCR: (3, (8,)), _LAB: (3, (8,)),
}  # fmt: skip


class Directory:
    """A directory of tags."""

    def __init__(self, content: bytes, order: str, tags: dict[int, tuple[int, int, int]]) -> None:
        """By tag: type, count, and where the values begin."""
        self._content, self._order, self._tags = content, order, tags

    def __contains__(self, tag: int) -> bool:
        return tag in self._tags

    def numbers(self, tag: int, *default: int) -> tuple[int, ...]:
        """The values of a tag; the default where it is missing or holds no whole numbers."""
        kind, count, at = self._tags.get(tag, (0, 0, 0))
        if kind not in _NUMBERS or not count:
            return default
        return struct.unpack_from(f"{self._order}{count}{_NUMBERS[kind]}", self._content, at)

    def number(self, tag: int, default: int) -> int:
        """The first value of a tag."""
        return self.numbers(tag, default)[0]


def read_header(content: bytes) -> Header:
    """The size of picture or tile, whichever is larger, and whether the first picture is one that is read.

    See `reader_of`.
    """
    directories = list(read_directories(content))
    if not directories:
        raise struct.error("there is no directory")
    first = directories[0]
    width, height = first.number(_WIDTH, 0), first.number(_HEIGHT, 0)
    pixels = max(width * height, first.number(_TILE_WIDTH, 0) * first.number(_TILE_HEIGHT, 0))
    starts = first.numbers(_TILES) or first.numbers(_STRIPS)
    lengths = first.numbers(_TILE_BYTES) or first.numbers(_STRIP_BYTES)
    if len(starts) > MOST_PARTS:
        raise TooManyPartsError
    end = max((start + length for start, length in zip(starts, lengths, strict=False)), default=0)
    unread = "it is a big-endian BigTIFF" if content.startswith(b"MM\0+") else _unread(first)
    return Header(pixels, unread, end > len(content))


def is_sound(content: bytes) -> bool:
    """Whether EXIF data, which is a TIFF without pixels, can be handed to a parser that keeps each value it names."""
    try:
        for _ in read_directories(content.removeprefix(b"Exif\0\0")):
            pass
    except TooManyPartsError:
        return False
    except DAMAGED:
        return True  # a parser stops there, too
    return True


def read_directories(content: bytes) -> Iterator[Directory]:
    """Each directory, those of EXIF data among them; but the first, those that are damaged are left out.

    Raises:
        TooManyPartsError: they have more tags than MOST_PARTS, or values beyond twice the file, which a parser that
            keeps them all would have to hold.
        struct.error: the file ends in the first one; or another of DAMAGED.
    """
    form = _Form.of(content)
    (start,) = struct.unpack_from(f"{form.order}{form.place}", content, 8 if form.inline == 8 else 4)
    waiting, seen, left = [start], set[int](), [MOST_PARTS, 2 * len(content)]
    while waiting:
        start = waiting.pop(0)
        if not start or start in seen:
            continue
        seen.add(start)
        try:
            found, at = _read_directory(content, start, form, left)
            following = (
                struct.unpack_from(f"{form.order}{form.place}", content, at) if len(content) >= at + form.inline else ()
            )
            waiting += [*following, *(found.number(tag, 0) for tag in _BELOW)]
        except DAMAGED:
            if len(seen) == 1:
                raise
            continue
        yield found


class _Form(NamedTuple):
    """How numbers stand in a file: byte order, codes of a count, an entry and a place, and bytes of a value inline."""

    order: str
    head: str
    entry: str
    place: str
    inline: int

    @classmethod
    def of(cls, content: bytes) -> "_Form":
        order = "<" if content[:1] == b"I" else ">"
        big = struct.unpack_from(f"{order}H", content, 2)[0] == 43
        return cls(order, "Q", "HHQ", "Q", 8) if big else cls(order, "H", "HHI", "I", 4)


def _read_directory(content: bytes, start: int, form: _Form, left: list[int]) -> tuple[Directory, int]:
    """A directory and where it ends; `left` are parts and bytes that there may still be, and are counted down."""
    step = struct.calcsize(f"{form.order}{form.entry}") + form.inline
    (count,) = struct.unpack_from(f"{form.order}{form.head}", content, start)
    at = start + struct.calcsize(form.head)
    left[0] -= count + 1
    if left[0] < 0:
        raise TooManyPartsError
    tags = dict[int, tuple[int, int, int]]()
    for _ in range(count):
        tag, kind, number = struct.unpack_from(f"{form.order}{form.entry}", content, at)
        length, place = _SIZES.get(kind, 1) * number, at + step - form.inline
        if length > form.inline:
            (place,) = struct.unpack_from(f"{form.order}{form.place}", content, place)
            left[1] -= min(length, max(0, len(content) - place))
            if left[1] < 0:
                raise TooManyPartsError
        tags[tag] = kind, number, place
        at += step
    return Directory(content, form.order, tags), at


def _unread(first: Directory) -> str | None:
    """Why a picture is of no kind that is read, None where it is."""
    colours, compression = first.number(_COLOURS, 0), first.number(_COMPRESSION, _RAW)
    planar, samples = first.number(_PLANAR, 1), first.number(_SAMPLES, 1)
    if first.number(_SUBFILE, 0) & 1 or _DNG in first or _CFA_PATTERN in first:
        return "it is a camera's raw file, or its first picture is a preview of another"
    if compression not in _COMPRESSIONS:
        return f"it is compressed in way {compression}"
    if colours not in _KINDS:
        return f"its colours are of kind {colours}"
    if {*first.numbers(_FORMAT, 1)} != {1}:
        return "its values have signs or are no whole numbers, and do not say which is black and which white"
    channels, allowed = _KINDS[colours]
    bits = {*first.numbers(_BITS, 1)}
    if len(bits) != 1 or not bits <= {*allowed}:
        return f"its channels have {' and '.join(str(one) for one in sorted(bits))} bits"
    if samples < channels or samples > channels + 3:
        return f"it has {samples} channels"
    if planar == 2 and bits != {8} and samples > 1:
        return "its colours lie one after the other, of more than 8 bits"
    if colours == _YCBCR and compression != _JPEG and first.numbers(_SUBSAMPLING, 2, 2) != (1, 1):
        return "its colours have fewer points than its brightness"
    return None
