"""Corners of formats that other decoders see otherwise: each as the standard, and a browser, has it."""

import struct
import zlib

import numpy as np
import pytest

from bronze.judgement import Limits, Problem
from bronze.photograph import decode, inspect
from fruits.settings import load_settings
from tests.bronze.corpus import UPRIGHT, chunk, encoded, noise, png, with_byte
from tests.bronze.test_formats import EXACT, assert_shows, tiff

LIMITS = Limits(load_settings().formats, 1 << 27, 100_000_000)
XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>"""

OPTIONS: dict[str, dict[str, object]] = {
    "AVIF": EXACT["AVIF"],
    "WEBP": {"lossless": True},
    "JPEG": {"quality": 100, "subsampling": 0},
}


def reason(content: bytes) -> str | None:
    """Why content is refused; None where it is taken."""
    verdict = inspect(content, LIMITS)
    return verdict.reason if isinstance(verdict, Problem) else None


@pytest.mark.parametrize("encoding", ["PNG", "AVIF", "WEBP", "JPEG"])
def test_orientation_in_xmp_turns_nothing(encoding: str) -> None:
    """EXIF data and boxes do; browsers follow no other."""
    if encoding == "PNG":
        plain = encoded(UPRIGHT, "PNG")
        at = plain.index(b"IDAT") - 4
        content = plain[:at] + chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + XMP) + plain[at:]
    else:
        content = encoded(UPRIGHT, encoding, **OPTIONS[encoding], xmp=XMP)
    assert b"Orientation" in content
    assert_shows(content, UPRIGHT)


def test_one_grey_of_sixteen_bits_may_be_transparent() -> None:
    """Exactly that, and not its neighbours that look the same; likewise a colour."""
    lines = b"".join(b"\0" + struct.pack(">4H", 0, 255, 256, 65535) for _ in range(2))
    grey = png(4, 2, 16, 0, lines, chunk(b"tRNS", struct.pack(">H", 255)))
    np.testing.assert_array_equal(np.asarray(decode(grey))[0, :, 0], [0, 255, 1, 255])
    red, green = (0xFF11, 0x2233, 0x0000), (0, 0xFFFF, 0)
    lines = b"".join(b"\0" + struct.pack(">6H", *red, *green) for _ in range(2))
    colours = png(2, 2, 16, 2, lines, chunk(b"tRNS", struct.pack(">3H", *red)))
    np.testing.assert_array_equal(np.asarray(decode(colours))[0], [[255, 255, 255], [0, 255, 0]])


def palette_png(*palettes: bytes) -> bytes:
    """A PNG of two pixels with these palettes."""
    return png(2, 1, 8, 3, b"\0\0\1", b"".join(chunk(b"PLTE", palette) for palette in palettes))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (palette_png(bytes(6)), None),
        (palette_png(), "corrupt"),
        (palette_png(b""), "corrupt"),
        (palette_png(bytes(7)), "corrupt"),
        (palette_png(bytes(6), bytes(6)), "corrupt"),
    ],
    ids=["one", "none", "empty", "uneven", "two"],
)
def test_png_has_one_palette(content: bytes, expected: str | None) -> None:
    """Where its pixels need one."""
    assert reason(content) == expected


@pytest.mark.parametrize("at", [26, 27, 28])
def test_png_of_another_compression_filter_or_interlacing_is_corrupt(at: int) -> None:
    """There are none."""
    content = bytearray(with_byte(encoded(noise(8, 8), "PNG"), at, 128))
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    assert reason(bytes(content)) == "corrupt"


def test_tiff_whose_later_directories_are_damaged_is_taken() -> None:
    """Its first picture is whole."""
    content = tiff(bytes(range(12)), t258=(8, 8, 8), t262=(2,), t277=(3,), t34665=(1 << 20,))
    assert reason(content) is None
    assert decode(content).getpixel((0, 0)) == (0, 1, 2)


def test_damaged_directory_hides_no_bomb() -> None:
    """Of two that follow the first picture, the second has values that would be held over and over."""
    size, at = 500_000, 1_000
    bomb = struct.pack("<H", 6000) + struct.pack("<HHII", 700, 1, size, 8) * 6000 + bytes(4)
    whole = tiff(bytes(range(12)), t258=(8, 8, 8), t262=(2,), t277=(3,), t34665=(at,))
    (entries,) = struct.unpack_from("<H", whole, 20)
    end = 22 + 12 * entries
    hidden = whole[:end] + struct.pack("<I", 1 << 24) + whole[end + 4 :]
    assert reason(hidden.ljust(at, b"\0") + bomb + bytes(size)) == "corrupt"


def test_webp_in_tiff_is_a_kind_that_is_not_read() -> None:
    """Pillow's own builds do not unpack it."""
    assert reason(tiff(bytes(12), t258=(8, 8, 8), t262=(2,), t277=(3,), t259=(50001,))) == "unsupported_kind"
