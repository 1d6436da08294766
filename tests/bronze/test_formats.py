"""HEIC, AVIF, TIFF and JPEG 2000, and colour profiles: each drawn here, whole and broken."""

import io
import struct
import subprocess
import sys

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from bronze.judgement import Limits, Photograph, Problem
from bronze.photograph import decode, inspect
from fruits.settings import load_settings
from tests.bronze.corpus import TURNS, UPRIGHT, chunk, encoded, noise, turned

LIMITS = Limits([*load_settings().formats, "JPEG2000"], 1 << 27, 100_000_000)
EXACT: dict[str, dict[str, object]] = {
    "HEIF": {"quality": -1, "chroma": 444},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
}


def drawn(image: Image.Image, encoding: str, **options: object) -> bytes:
    """A picture as a file of one of the four formats, its colours hardly changed."""
    if encoding != "HEIF":
        return encoded(image, encoding, **EXACT.get(encoding, {}), **options)
    content = io.BytesIO()
    pillow_heif.from_pillow(image).save(content, **EXACT["HEIF"], **options)
    return content.getvalue()


def reason(content: bytes) -> str | None:
    """Why content is refused; None where it is taken."""
    verdict = inspect(content, LIMITS)
    return verdict.reason if isinstance(verdict, Problem) else None


def assert_shows(content: bytes, expected: np.ndarray, tolerance: int = 3) -> None:
    """It is taken, and its pixels are these."""
    assert reason(content) is None
    np.testing.assert_allclose(np.asarray(decode(content), dtype=int), expected, atol=tolerance)


@pytest.mark.parametrize("encoding", ["HEIF", "AVIF", "TIFF", "JPEG2000"])
def test_colours_are_those_that_were_drawn(encoding: str) -> None:
    """And the format is told by content."""
    content = drawn(Image.fromarray(UPRIGHT), encoding)
    assert inspect(content, LIMITS) == Photograph(encoding, 24, 16)
    assert_shows(content, UPRIGHT)


@pytest.mark.parametrize("encoding", ["HEIF", "AVIF", "TIFF", "JPEG2000"])
def test_cut_file_is_never_taken(encoding: str) -> None:
    """Wherever it was cut; nearly always it is known to be truncated."""
    content = drawn(Image.fromarray(noise(24, 16)), encoding)
    reasons = [reason(content[:end]) for end in range(1, len(content), 7)]
    assert {*reasons} <= {"truncated", "corrupt", "not_an_image"}
    assert reasons.count("truncated") > 0.9 * len(reasons)


@pytest.mark.parametrize("encoding", ["HEIF", "AVIF", "TIFF"])
def test_transparency_is_laid_on_white(encoding: str) -> None:
    """As in the formats that were there before."""
    image = Image.fromarray(UPRIGHT)
    image.putalpha(0)
    assert_shows(drawn(image, encoding), np.full_like(UPRIGHT, 255))


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}], ids=["raw", "lzw"])
def test_tiff_is_turned_once(orientation: int, options: dict[str, object]) -> None:
    """Pillow turns TIFF by itself; width and height are told as stored."""
    content = turned(UPRIGHT, orientation, "TIFF", **options)
    height, width = TURNS[orientation](UPRIGHT).shape[:2]
    assert inspect(content, LIMITS) == Photograph("TIFF", width, height)
    assert_shows(content, UPRIGHT, 0)


@pytest.mark.parametrize("orientation", TURNS)
def test_avif_is_turned_once(orientation: int) -> None:
    """By the boxes that say so."""
    assert_shows(turned(UPRIGHT, orientation, "AVIF", **EXACT["AVIF"]), UPRIGHT)


@pytest.mark.parametrize("encoding", ["HEIF", "AVIF"])
def test_size_in_the_boxes_is_held_against_the_limit(encoding: str) -> None:
    """A bomb is refused before a decoder is asked."""
    size = struct.pack(">II", 64, 64)
    content = drawn(Image.fromarray(noise(64, 64)), encoding)
    assert size in content
    assert reason(content) is None
    assert reason(content.replace(size, struct.pack(">II", 50_000, 50_000))) == "too_many_pixels"


def test_stream_of_a_heic_that_has_more_pixels_than_its_boxes_say_is_refused() -> None:
    """By libheif, before it sets memory aside."""
    content = drawn(Image.fromarray(noise(1024, 1024)), "HEIF")
    assert reason(content.replace(struct.pack(">II", 1024, 1024), struct.pack(">II", 64, 64))) == "corrupt"


def test_size_of_a_jpeg_2000_is_held_against_the_limit() -> None:
    """That of its code stream."""
    content = drawn(Image.fromarray(UPRIGHT), "JPEG2000", no_jp2=True)
    assert reason(content.replace(struct.pack(">II", 24, 16), struct.pack(">II", 50_000, 50_000))) == "too_many_pixels"
    fine = drawn(Image.fromarray(UPRIGHT), "JPEG2000", codeblock_size=(4, 4))
    assert reason(fine) == "unsupported_kind"


def tiff(pixels: bytes, **tags: tuple[int, ...]) -> bytes:
    """A TIFF of 2 × 2 pixels in one strip; tags by number, `t258=(8,)`."""
    given: dict[int, tuple[int, ...]] = {256: (2,), 257: (2,), 273: (8,), 278: (2,), 279: (len(pixels),), 259: (1,)}
    given |= {int(name[1:]): values for name, values in tags.items()}
    at, later, entries = 8 + len(pixels) + 2 + 12 * len(given) + 4, b"", b""
    for tag, values in sorted(given.items()):
        data = struct.pack(f"<{len(values)}I", *values)
        entries += struct.pack("<HHI", tag, 4, len(values))
        entries += data if len(data) == 4 else struct.pack("<I", at + len(later))
        later += data if len(data) > 4 else b""
    directory = struct.pack("<H", len(given)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + directory + later


RGB8 = {"t258": (8, 8, 8), "t262": (2,), "t277": (3,)}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (tiff(bytes(range(0, 120, 10)), **RGB8), [0, 10, 20]),
        (tiff(bytes(range(0, 120, 10)), **RGB8, t284=(2,), t273=(8, 12, 16), t279=(4, 4, 4)), [0, 40, 80]),
        (tiff(bytes([10, 0, 0, 0]), t258=(8,), t262=(0,), t277=(1,)), [245] * 3),
        (tiff(struct.pack("<4H", 10 << 8, 0, 0, 0), t258=(16,), t262=(0,), t277=(1,)), [245] * 3),
        (tiff(struct.pack("<4H", 10 << 8, 0, 0, 0), t258=(16,), t262=(1,), t277=(1,)), [10] * 3),
        (tiff(struct.pack("<12H", *(n << 8 for n in range(12))), **{**RGB8, "t258": (16, 16, 16)}), [0, 1, 2]),
    ],
    ids=["rgb", "planar", "white_is_zero", "white_is_zero_16", "grey_16", "rgb_16"],
)
def test_tiff_shows_what_it_holds(content: bytes, expected: list[int]) -> None:
    """The kinds that are read."""
    assert reason(content) is None
    assert decode(content).getpixel((0, 0)) == tuple(expected)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({**RGB8, "t339": (3, 3, 3)}, "no whole numbers"),
        ({"t258": (12,), "t262": (1,)}, "12 bits"),
        ({**RGB8, "t254": (1,)}, "raw file"),
        ({**RGB8, "t50706": (1,)}, "raw file"),
        ({**RGB8, "t262": (9,)}, "colours are of kind 9"),
        ({**RGB8, "t259": (6,)}, "compressed in way 6"),
        ({**RGB8, "t262": (6,)}, "fewer points"),
    ],
    ids=["float", "12_bits", "preview", "dng", "icc_lab", "old_jpeg", "subsampled"],
)
def test_tiff_of_uncertain_colours_is_refused_with_the_reason(tags: dict[str, tuple[int, ...]], words: str) -> None:
    """Rather than shown to the network as something else."""
    verdict = inspect(tiff(bytes(48), **tags), LIMITS)
    assert isinstance(verdict, Problem)
    assert verdict.reason == "unsupported_kind"
    assert words in verdict.detail


def test_tiff_of_many_parts_is_corrupt_and_a_large_one_too_large() -> None:
    """Values that overlap would be held once a tag; tiles may be larger than the picture."""
    values = struct.pack("<HHII", 700, 1, 100_000, 8) * 60_000
    content = b"II*\0" + struct.pack("<I", 100_008) + bytes(100_000) + struct.pack("<H", 60_000) + values + bytes(4)
    assert reason(content) == "corrupt"
    assert reason(tiff(bytes(12), **RGB8, t322=(20_000,), t323=(20_000,))) == "too_many_pixels"


def test_first_page_of_a_tiff_is_the_picture() -> None:
    """Scanners write many."""
    pages = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    content = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert_shows(content, np.full((8, 8, 3), [255, 0, 0]), 0)


@pytest.mark.parametrize("compression", ["jpeg", "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd"])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_compressed_tiff_has_its_colours(compression: str, mode: str) -> None:
    """JPEG in TIFF among them."""
    image = Image.fromarray(UPRIGHT).convert(mode)
    content = encoded(image, "TIFF", compression=compression)
    assert_shows(content, np.asarray(image.convert("RGB"), dtype=int), 12 if compression == "jpeg" else 0)


def rgb_profile(*, srgb: bool) -> bytes:
    """A profile: sRGB's, or one that has its red and blue exchanged, which nobody could overlook."""
    made = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    if not srgb:
        red, blue = made.index(b"rXYZ", 128), made.index(b"bXYZ", 128)
        made[red : red + 4], made[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(made)


@pytest.mark.parametrize("encoding", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF"])
def test_profile_is_applied(encoding: str) -> None:
    """In each format that holds one; sRGB's own changes no pixel."""
    image = Image.fromarray(UPRIGHT)
    options: dict[str, object] = {"quality": 100, "subsampling": 0} if encoding == "JPEG" else {}
    options = {"lossless": True} if encoding == "WEBP" else options
    plain = np.asarray(decode(drawn(image, encoding, **options)))
    same = decode(drawn(image, encoding, **options, icc_profile=rgb_profile(srgb=True)))
    np.testing.assert_array_equal(np.asarray(same), plain)
    assert_shows(drawn(image, encoding, **options, icc_profile=rgb_profile(srgb=False)), UPRIGHT[:, :, ::-1], 6)


def test_profile_that_is_damaged_or_of_other_colours_is_left_out() -> None:
    """No fault of the pixels."""
    for profile in (b"garbage", b"\0" * 5000, rgb_profile(srgb=False)[:200]):
        assert_shows(encoded(UPRIGHT, "PNG", icc_profile=profile), UPRIGHT, 0)


def test_transparency_stays_where_a_profile_is_applied() -> None:
    """Colours are converted before they are laid on white."""
    image = Image.fromarray(UPRIGHT)
    image.putalpha(Image.fromarray(np.where(np.arange(24) < 8, 0, 255).astype(np.uint8)[None].repeat(16, axis=0)))
    expected = UPRIGHT[:, :, ::-1].copy()
    expected[:, :8] = 255
    assert_shows(encoded(image, "PNG", icc_profile=rgb_profile(srgb=False)), expected, 6)


@pytest.mark.parametrize("end", [None, -20], ids=["damaged", "cut"])
def test_first_picture_of_a_broken_animation_is_taken(end: int | None) -> None:
    """PNG: later pictures' checksums and the file's end are not asked for. GIF: nor is its end."""
    first, second = Image.fromarray(UPRIGHT), Image.fromarray(noise(24, 16))
    for encoding, tolerance in (("PNG", 0), ("GIF", 90)):
        content = bytearray(encoded(first, encoding, save_all=True, append_images=[second]))
        content[-60] ^= 0xFF
        assert_shows(bytes(content[:end]), UPRIGHT, tolerance)


def test_animation_whose_first_picture_is_broken_is_not_taken() -> None:
    """One bit of it fell over."""
    pages = [Image.fromarray(noise(24, 16, seed)) for seed in (1, 2)]
    content = bytearray(encoded(pages[0], "PNG", save_all=True, append_images=pages[1:]))
    content[content.index(b"IDAT") + 50] ^= 1
    assert reason(bytes(content)) == "corrupt"


def test_exif_data_whose_values_overlap_are_not_parsed() -> None:
    """Pillow would hold 60,000 × 0.5 MB."""
    size = 500_000
    tags = struct.pack("<HHII", 700, 1, size, 8) * 60_000
    exif = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 60_000) + tags + bytes(4)
    plain = encoded(UPRIGHT, "PNG")
    at = plain.index(b"IDAT") - 4
    assert_shows(plain[:at] + chunk(b"eXIf", exif) + plain[at:], UPRIGHT, 0)


def test_libraries_are_imported_where_they_are_needed() -> None:
    """Neither that of HEIC nor that of profiles is, for photographs without."""
    script = (
        "import sys; from bronze.photograph import decode; decode(sys.stdin.buffer.read());"
        "print({'pillow_heif', 'PIL.ImageCms'} & {*sys.modules})"
    )
    content = encoded(UPRIGHT, "JPEG")
    found = subprocess.run([sys.executable, "-c", script], input=content, capture_output=True, check=True)
    assert (found.stdout, found.stderr) == (b"set()\n", b"")


def test_what_libtiff_says_reaches_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """Of a damaged fax, and of odd tags."""
    content = bytearray(encoded(Image.fromarray(noise(64, 64)).convert("1"), "TIFF", compression="group4"))
    content[20] ^= 0xFF
    inspect(bytes(content), LIMITS)
    assert capfd.readouterr().err == ""


HEADERS = {
    encoding: drawn(Image.fromarray(noise(20, 12)), encoding) for encoding in ("HEIF", "AVIF", "TIFF", "JPEG2000")
}


@pytest.mark.parametrize("encoding", HEADERS)
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(
    damage=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), max_size=4),
    early=st.booleans(),
)
def test_damaged_content_decodes_or_is_refused(encoding: str, damage: list[tuple[float, bytes]], early: bool) -> None:
    """Whatever a few wrong bytes do: no exception, and what inspection takes never fails a later layer."""
    content = bytearray(HEADERS[encoding])
    for where, data in damage:
        at = int(where * (min(400, len(content)) if early else len(content)))
        content[at : at + len(data)] = data[: len(content) - at]
    verdict = inspect(bytes(content), Limits(LIMITS.formats, LIMITS.max_bytes, 1_000_000))
    if isinstance(verdict, Photograph):
        decode(bytes(content))


def test_directory_of_a_tiff_that_is_nowhere_is_no_crash() -> None:
    """None at all, and one beyond any file."""
    assert reason(b"II*\0" + bytes(40)) in ("corrupt", "truncated")
    assert reason(b"II+\0\x08\0\0\0" + b"\xff" * 8 + bytes(40)) in ("corrupt", "truncated")


def test_big_endian_bigtiff_is_a_kind_that_is_not_read() -> None:
    """Pillow takes its values for others."""
    directory = struct.pack(">QHHQ8sQ", 1, 256, 3, 1, b"\0\2" + bytes(6), 0)
    assert reason(b"MM\0+\0\x08\0\0" + struct.pack(">Q", 16) + directory) == "unsupported_kind"
