"""AVIF: what its boxes and its streams say. libavif asks neither of them how large they are, below 268 megapixels."""

import struct
from collections.abc import Iterator
from dataclasses import replace

from bronze.av1 import Work, work_of
from bronze.boxes import Box, boxes
from bronze.header import Header, TooManyPartsError
from bronze.heif import MOST_WORK, header_of

_TRACK = (b"mdia", b"minf", b"stbl")


def read_header(content: bytes) -> Header:
    """As of HEIF, with the size that the streams have rather than the boxes claim; see `reader_of`.

    Of a film's frames the first is unpacked. One with more pixels than its share, or hidden frames before it that have,
    costs what they have.
    """
    meta = _inside(content, Box(b"", 0, len(content)), b"meta")
    streams = {} if meta is None else dict(_streams_of_items(content, meta))
    films = [*_streams_of_tracks(content)]
    header = header_of(content, {item: work.all for item, work in streams.items()})
    largest = [work.largest for work in (*streams.values(), *films)]
    return replace(header, pixels=max([header.pixels, *largest, *(work.all // MOST_WORK for work in films)]))


def _streams_of_items(content: bytes, meta: Box) -> Iterator[tuple[int, Work]]:
    inside = {box.kind: box for box in boxes(content, meta.start + 4, min(meta.end, len(content)))}
    if b"iloc" not in inside or b"iinf" not in inside:
        return
    coded = {*_coded_items(content, inside[b"iinf"])}
    base = inside[b"idat"].start if b"idat" in inside else 0
    left = 2 * len(content)  # bytes: parts that overlap would be read over and over
    for item, parts in _places(content, inside[b"iloc"], base):
        left -= sum(min(length, max(0, len(content) - start)) for start, length in parts)
        if left < 0:
            raise TooManyPartsError
        if item in coded:
            yield item, work_of(b"".join(content[start : start + length] for start, length in parts))


def _coded_items(content: bytes, iinf: Box) -> Iterator[int]:
    """The items that are streams of AV1."""
    start = iinf.start + (8 if content[iinf.start] else 6)
    for box in boxes(content, start, min(iinf.end, len(content))):
        version = content[box.start]
        if box.kind == b"infe" and version >= 2:
            item, _, kind = struct.unpack_from(">HH4s" if version == 2 else ">IH4s", content, box.start + 4)
            if kind == b"av01":
                yield item


def _places(content: bytes, iloc: Box, base: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """By item where its parts begin, and their lengths; `base` is where those begin that lie in the boxes."""
    version = content[iloc.start]
    sizes, more = content[iloc.start + 4], content[iloc.start + 5]
    offset_size, length_size, base_size, index_size = sizes >> 4, sizes & 15, more >> 4, more & 15
    at = iloc.start + 6

    def number(size: int) -> int:
        nonlocal at
        if at + size > len(content):
            raise struct.error("the places of items end early")
        at += size
        return int.from_bytes(content[at - size : at])

    for _ in range(number(4 if version == 2 else 2)):
        item = number(4 if version == 2 else 2)
        way = number(2) & 15 if version else 0
        number(2)
        origin, parts = number(base_size) + (base if way == 1 else 0), []
        for _ in range(number(2)):
            if version:
                number(index_size)
            start, length = origin + number(offset_size), number(length_size)
            parts.append((start, length or len(content)))
        yield item, parts


def _streams_of_tracks(content: bytes) -> Iterator[Work]:
    """The first sample of each track."""
    film = _inside(content, Box(b"", 0, len(content)), b"moov")
    for track in () if film is None else boxes(content, film.start, min(film.end, len(content))):
        table = track if track.kind == b"trak" else None
        for kind in _TRACK:
            table = table and _inside(content, table, kind)
        if table is not None:
            yield _first_sample(content, table)


def _first_sample(content: bytes, table: Box) -> Work:
    inside = {box.kind: box.start for box in boxes(content, table.start, min(table.end, len(content)))}
    if b"stsz" not in inside or not inside.keys() & {b"stco", b"co64"}:
        return Work(0, 0)
    same, count = struct.unpack_from(">II", content, inside[b"stsz"] + 4)
    if not count:
        return Work(0, 0)
    length = same or struct.unpack_from(">I", content, inside[b"stsz"] + 12)[0]
    form, place = (">I", inside[b"stco"]) if b"stco" in inside else (">Q", inside[b"co64"])
    (start,) = struct.unpack_from(form, content, place + 8)
    return work_of(content[start : start + length])


def _inside(content: bytes, box: Box, kind: bytes) -> Box | None:
    return next((one for one in boxes(content, box.start, min(box.end, len(content))) if one.kind == kind), None)
