"""Structure checks on an image file that Pillow leaves out: signature, chunks, end marker.

Each walk takes time in proportion to the content, whatever that holds.
"""

import re
from collections.abc import Iterator
from itertools import islice

Content = bytes | memoryview

MOST_PARTS = 100_000
"""Parts of a file that is meant well: a PNG of 100 MiB has some 12,800. Pillow keeps a note of each."""

MOST_SCANS = 100
"""Scans of a progressive JPEG: encoders make 10, optimisers up to 64. Each takes time by the picture's pixels."""

_MAGIC = {"JPEG": b"\xff\xd8\xff", "PNG": b"\x89PNG\r\n\x1a\n"}
_SIGNATURES = {
    name: re.compile(pattern, re.DOTALL)
    for name, pattern in {
        **{name: re.escape(magic) for name, magic in _MAGIC.items()},
        "GIF": rb"GIF8[79]a",
        "BMP": rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0",
        "WEBP": rb"RIFF.{4}WEBP",
        "TIFF": rb"II[*+]\0|MM\0[*+]",
        # What mif1 and msf1 hold is told by the brands that follow.
        "AVIF": rb".{4}ftyp(avi[fs]|m[is]f1.{4}(.{4}){0,9}?avi[fs])",
        "HEIF": rb".{4}ftyp(hei[cxms]|hev[cxms]|mif[12]|msf1)",
        "JPEG2000": rb"\0\0\0\x0cjP {2}\r\n\x87\n|\xff\x4f\xff\x51",
        # Never taken; named all the same, because whoever reads that can convert them.
        "JPEG XL": rb"\0\0\0\x0cJXL |\xff\x0a",
        "camera raw": rb".{4}ftypcrx |FUJIFILMCCD-RAW|IIU\0|IIR[OS]",
        "ICO": rb"\0\0\x01\0[^\0]\0",
        "PSD": rb"8BPS",
    }.items()
}
_WITH_PALETTE = 3  # a PNG's type of colours
_HEADER = 1 << 16  # bytes in which the chunk stands that makes a PNG an animated one
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
# A marker that begins a segment: not a stuffed byte, a restart or a filler.
_MARKER = re.compile(rb"\xff([^\x00\x01\xff\xd0-\xd7])", re.DOTALL)
_SCAN, _END, _ADOBE = 0xDA, 0xD9, 0xEE
_METADATA = {*range(0xE0, 0xF0), 0xFE}
_ADOBE_LENGTH = 14


def format_of(content: Content) -> str | None:
    """The format that the first bytes are the signature of, as Pillow names it where it is one of Pillow's.

    Of JPEG and PNG less than the signature is enough: a file cut that short is one of them that has been cut.
    """
    for name, signature in _SIGNATURES.items():
        if signature.match(content):
            return name
    return next((name for name, magic in _MAGIC.items() if magic.startswith(content)), None)


def ends_early(content: bytes, name: str) -> bool:
    """Whether the end of a JPEG, PNG or WebP is missing, which Pillow does not always ask for."""
    match name:
        case "JPEG":
            return all(marker != _END for marker, _, _ in _segments(content))
        case "PNG":
            return not 0 <= content.rfind(b"IEND") <= len(content) - 8  # with the four bytes of its checksum
        case "WEBP":
            return len(content) < 8 + int.from_bytes(content[4:8], "little")
        case _:
            return False


def first_picture(content: Content, name: str) -> Content:
    """An animated PNG up to where its second picture begins, as a PNG of its own; anything else as it is.

    Later pictures may be damaged or missing where the first is whole.
    """
    if name != "PNG" or b"acTL" not in bytes(content[:_HEADER]):
        return content
    content, seen = bytes(content), False
    for at in islice(_chunks(content), MOST_PARTS):
        kind = content[at + 4 : at + 8]
        seen = seen or kind == b"IDAT"
        if seen and kind in (b"fcTL", b"fdAT"):
            return content[:at] + _PNG_END
    return content


def has_too_many_parts(content: bytes, name: str) -> bool:
    """Whether a JPEG's header or a PNG has more parts than MOST_PARTS, of which Pillow would remember each.

    Or a JPEG more scans than MOST_SCANS, each of which is a walk over the whole picture: 32 MB of them take hours.
    """
    if name == "JPEG" and content.count(b"\xff\xda") > MOST_SCANS:
        scans = (marker for marker, _, _ in _segments(content) if marker == _SCAN)
        if len([*islice(scans, MOST_SCANS + 1)]) > MOST_SCANS:
            return True
    parts = {"JPEG": _header, "PNG": _chunks}.get(name)
    return parts is not None and sum(1 for _ in islice(parts(content), MOST_PARTS + 1)) > MOST_PARTS


def is_sound_png(content: bytes) -> bool:
    """Whether a PNG's header and palette are of the standard, which every decoder but Pillow's asks.

    Its ways of compression and filtering are the only ones that there are; it has one palette at most, of 1 to 256
    colours where its pixels need one.
    """
    compression, filtering, interlaced = content[26:29]
    palettes = []
    for at in islice(_chunks(content), MOST_PARTS):
        kind = content[at + 4 : at + 8]
        if kind == b"IDAT":
            break
        if kind == b"PLTE":
            palettes.append(int.from_bytes(content[at : at + 4], "big"))
    if (compression, filtering) != (0, 0) or interlaced > 1 or len(palettes) > 1:
        return False
    return content[25] != _WITH_PALETTE or any(0 < length <= 768 and length % 3 == 0 for length in palettes)


def without_metadata(content: Content) -> bytes:
    """A JPEG without what describes it, and with all that its pixels depend on."""
    content = bytes(content)
    kept, at = [content[:2]], 2
    for marker, start, end in _header(content):
        told = marker == _ADOBE and end - start >= 2 + _ADOBE_LENGTH  # which colours the four planes are
        if told or marker not in _METADATA:
            kept.append(content[at:end])
        at = end
    return b"".join([*kept, content[at:]])


def _header(content: bytes) -> Iterator[tuple[int, int, int]]:
    """The segments of a JPEG before its first scan."""
    for segment in _segments(content):
        if segment[0] in (_SCAN, _END):
            return
        yield segment


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """The segments of a JPEG up to the end marker: marker, start, end. What comes after it may hold any bytes."""
    at = 2
    while found := _MARKER.search(content, at):
        start, at = found.start(), found.end()
        marker = content[at - 1]
        if marker != _END:
            at += int.from_bytes(content[at : at + 2], "big")
        yield marker, start, at
        if marker == _END:
            return


def _chunks(content: bytes) -> Iterator[int]:
    """Where each chunk of a PNG begins."""
    at = 8
    while at < len(content):
        yield at
        at += 12 + int.from_bytes(content[at : at + 4], "big")
