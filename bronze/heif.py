"""HEIF (HEIC) and AVIF: what their boxes say (ISO/IEC 23008-12), and HEIF's decoder."""

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from PIL import Image

from bronze.boxes import Box, boxes, is_cut
from bronze.header import Header, TooManyPartsError

_DEEPEST = 8  # items made of items made of items
MOST_WORK = 4
"""Times the limit: tiles reach over a picture's edge, and transparency is a picture of its own."""

_SDR = {
    1,
    2,
    6,
    13,
    14,
    15,
}  # transfer characteristics (ITU-T H.273) that a plain screen shows as they are, near enough
_TRANSFERS = {8: "linear", 16: "PQ", 18: "HLG"}


class _Items(NamedTuple):
    primary: int
    properties: list[Box]
    of: dict[int, list[int]]
    made_of: dict[int, list[int]]


def read_header(content: bytes) -> Header:
    """The largest size that any item of the file claims, or a share of what its tiles claim together; see `reader_of`.

    libheif holds what it unpacks against the sizes that are read here.
    """
    return header_of(content, {})


def header_of(content: bytes, streams: Mapping[int, int]) -> Header:
    """The same where it is known by item how many pixels its stream has, whatever the file claims."""
    top = list(boxes(content, 0, len(content)))
    cut = is_cut(content)
    meta = next((box for box in top if box.kind == b"meta"), None)
    if meta is None:
        return Header(0, cut=cut)  # a film: its decoder has limits of its own
    items = _read_items(content, meta)
    sizes = {place: _size(content, box) for place, box in enumerate(items.properties) if box.kind == b"ispe"}
    work = _work(items.primary, items, sizes, streams, _DEEPEST)
    pixels = max([*sizes.values(), work // MOST_WORK])
    transfer = _transfer(content, items)
    unread = None
    if transfer is not None and transfer not in _SDR:
        unread = f"its brightness is coded for HDR screens ({_TRANSFERS.get(transfer, transfer)})"
    return Header(pixels, unread, cut)


def open_heif(content: bytes) -> Image.Image:
    """The primary picture, decoded, upright, of 8 bits: libheif applies turns and cuts itself.

    Imported here: it takes 0.2 s, which only who has such photographs pays.
    """
    import pillow_heif

    options = pillow_heif.options
    options.DECODE_THREADS = 1  # each core has a process of its own
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    return pillow_heif.open_heif(content).to_pillow()


def _read_items(content: bytes, meta: Box) -> _Items:
    primary, properties, of, made_of = 0, list[Box](), dict[int, list[int]](), dict[int, list[int]]()
    for box in boxes(content, meta.start + 4, min(meta.end, len(content))):
        match box.kind:
            case b"pitm":
                (primary,) = struct.unpack_from(">I" if content[box.start] else ">H", content, box.start + 4)
            case b"iref":
                made_of = dict(_references(content, box))
            case b"iprp":
                for inner in boxes(content, box.start, min(box.end, len(content))):
                    if inner.kind == b"ipco":
                        properties = list(boxes(content, inner.start, min(inner.end, len(content))))
                    elif inner.kind == b"ipma":
                        of |= dict(_associations(content, inner))
    return _Items(primary, properties, of, made_of)


def _references(content: bytes, iref: Box) -> Iterator[tuple[int, list[int]]]:
    """By item the items that it is made of: tiles, layers."""
    number = "I" if content[iref.start] else "H"
    for box in boxes(content, iref.start + 4, min(iref.end, len(content))):
        if box.kind == b"dimg":
            item, count = struct.unpack_from(f">{number}H", content, box.start)
            at = box.start + struct.calcsize(f">{number}H")
            yield item, list(struct.unpack_from(f">{count}{number}", content, at))


def _associations(content: bytes, ipma: Box) -> Iterator[tuple[int, list[int]]]:
    """By item the places of its properties."""
    version, flags = content[ipma.start], content[ipma.start + 3]
    (entries,) = struct.unpack_from(">I", content, ipma.start + 4)
    at = ipma.start + 8
    wide = flags & 1
    for _ in range(entries):
        item, count = struct.unpack_from(">IB" if version else ">HB", content, at)
        at += 5 if version else 3
        places = struct.unpack_from(f">{count}{'H' if wide else 'B'}", content, at)
        at += count * (2 if wide else 1)
        yield item, [(place & (0x7FFF if wide else 0x7F)) - 1 for place in places]


def _size(content: bytes, ispe: Box) -> int:
    width, height = struct.unpack_from(">II", content, ispe.start + 4)
    return int(width * height)


def _work(item: int, items: _Items, sizes: dict[int, int], streams: Mapping[int, int], depth: int) -> int:
    """Pixels that are unpacked for an item, those of what it is made of among them."""
    if not depth:
        raise TooManyPartsError
    parts = items.made_of.get(item)
    if parts is None:
        return max([streams.get(item, 0), *(sizes.get(place, 0) for place in items.of.get(item, ()))])
    each = {part: _work(part, items, sizes, streams, depth - 1) for part in set(parts)}
    return sum(each[part] for part in parts)


def _transfer(content: bytes, items: _Items) -> int | None:
    for place in items.of.get(items.primary, ()):
        if 0 <= place < len(items.properties):
            box = items.properties[place]
            if box.kind == b"colr" and content[box.start : box.start + 4] == b"nclx":
                return int(struct.unpack_from(">H", content, box.start + 6)[0])
    return None
