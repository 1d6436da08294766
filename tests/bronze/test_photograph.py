"""What is a photograph and what is not, and which pixels it means: every class of input, generated here."""

import io
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Collection

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from bronze.photograph import REASONS, Limits, Photograph, Problem, decode, inspect
from lakehouse.settings import load_settings

FORMATS = load_settings().formats
MAX_PIXELS = load_settings().max_pixels
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
UPRIGHT = np.kron(  # six blocks of eight, each of its own colour: no turn or mirror image looks like another
    np.array(
        [[[200, 30, 30], [30, 200, 30], [30, 30, 200]], [[240, 240, 240], [40, 40, 40], [220, 200, 20]]], np.uint8
    ),
    np.ones((8, 8, 1), np.uint8),
)


def encoded(picture: NDArray[np.uint8] | Image.Image, encoding: str, **options: object) -> bytes:
    """A picture as a file."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    content = io.BytesIO()
    image.save(content, encoding, **options)
    return content.getvalue()


def noise(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    """Pixels that compress badly, so that a file has data to cut and damage."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file, with its checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, depth: int, colour: int, data: bytes, before: bytes = b"") -> bytes:
    """A PNG file of these scan lines (each begins with its filter byte)."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return PNG_SIGNATURE + chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def limits(formats: Collection[str] = FORMATS, max_pixels: int = MAX_PIXELS) -> Limits:
    """The shipped limits, or others."""
    return Limits(formats, load_settings().max_bytes, max_pixels)


def judge(content: bytes) -> Photograph | Problem:
    """Inspect under the shipped settings."""
    return inspect(content, limits())


def reason(content: bytes) -> str | None:
    """Why content is refused under the shipped settings; None where it is taken."""
    verdict = judge(content)
    return verdict.reason if isinstance(verdict, Problem) else None


def rgb(content: bytes) -> NDArray[np.int64]:
    """The decoded pixels, of content that is taken."""
    assert reason(content) is None
    image = decode(memoryview(content))
    assert image.mode == "RGB"
    return np.asarray(image, dtype=np.int64)


def zipped() -> bytes:
    """A zip archive."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.txt", "no photograph")
    return content.getvalue()


def test_file_of_no_bytes_is_empty() -> None:
    """An interrupted upload often leaves a file of no bytes."""
    assert reason(b"") == "empty"


@pytest.mark.parametrize(
    "content",
    [
        b"a line of text\n",
        "漢字 é".encode("utf-16"),
        b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>',
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<</Type/Catalog>>\nendobj\n%%EOF",
        b"\x00" * 100,
        b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2mp41" + b"\x00" * 50,
        zipped(),
        np.random.default_rng(1).bytes(5000),
    ],
    ids=["text", "utf16", "html", "svg", "pdf", "zeros", "mp4", "zip", "random"],
)
def test_what_is_no_picture_is_not_an_image(content: bytes) -> None:
    """The name of the file (`.jpg`) is not asked."""
    assert reason(content) == "not_an_image"


@pytest.mark.parametrize("encoding", ["JPEG", "PNG"])
def test_jpeg_and_png_are_truncated_from_the_first_byte_to_the_last_but_one(encoding: str) -> None:
    """Cut in the header, half-way, or before the last byte of the end marker: no cut is taken for anything else."""
    content = encoded(noise(12, 8), encoding)
    wrong = {end: judge(content[:end]) for end in range(1, len(content)) if reason(content[:end]) != "truncated"}
    assert wrong == {}


@pytest.mark.parametrize("encoding", ["GIF", "BMP", "WEBP"])
def test_cut_file_of_another_format_is_never_taken(encoding: str) -> None:
    """Less sure than for JPEG and PNG is the reason, not the refusal."""
    content = encoded(noise(12, 8), encoding)
    whole = len(content) - (2 if encoding == "GIF" else 0)  # all pixels of a GIF are there before its two end marks
    assert {reason(content[:end]) for end in range(1, whole)} <= {"truncated", "corrupt", "not_an_image"}


@pytest.mark.parametrize("progressive", [False, True])
def test_photograph_with_a_thumbnail_is_truncated_at_its_own_end(progressive: bool) -> None:
    """The end marker of the thumbnail in the EXIF data is not the photograph's."""
    thumbnail = encoded(noise(8, 8), "JPEG")
    exif = Image.Exif()
    exif[0x010E] = thumbnail  # where it stands does not matter: its markers are in the header
    content = encoded(noise(32, 32), "JPEG", exif=exif, progressive=progressive)
    assert thumbnail in content
    assert reason(content) is None
    assert {reason(content[:-cut]) for cut in (1, 2, 100, 500)} == {"truncated"}


def test_png_without_its_end_chunk_is_truncated() -> None:
    """All pixels are there, and yet the file did not arrive whole."""
    content = encoded(UPRIGHT, "PNG")
    assert reason(content[:-12]) == "truncated"


@pytest.mark.parametrize(
    "trailer",
    [b"\n", b"\x00" * 999, b"\x00\xff\xda\x00" * 9, b"\xff\xd9\x00\x00\xff\xda\x00"],
    ids=["line_end", "zeros", "start_of_scan", "end_and_start_of_scan"],
)
@pytest.mark.parametrize("encoding", ["JPEG", "PNG"])
def test_bytes_after_the_end_are_no_fault(encoding: str, trailer: bytes) -> None:
    """Phones append a film to a photograph ("motion photo"): bytes of any kind, marker-like ones among them."""
    np.testing.assert_array_equal(rgb(encoded(UPRIGHT, encoding) + trailer), rgb(encoded(UPRIGHT, encoding)))


def test_jpeg_with_a_bad_huffman_table_is_corrupt() -> None:
    """A table that promises more codes than there can be."""
    content = bytearray(encoded(noise(16, 16), "JPEG"))
    table = content.index(b"\xff\xc4") + 5
    content[table : table + 16] = b"\xff" * 16
    assert reason(bytes(content)) == "corrupt"


@pytest.mark.parametrize("name", [b"IHDR", b"IDAT"])
def test_png_with_a_bad_checksum_is_corrupt(name: bytes) -> None:
    """Of the header, or of the pixels."""
    content = bytearray(encoded(noise(16, 16), "PNG"))
    start = content.index(name)
    length = struct.unpack(">I", content[start - 4 : start])[0]
    content[start + 4 + length] ^= 0xFF
    assert reason(bytes(content)) == "corrupt"


def test_png_with_changed_pixel_data_is_corrupt() -> None:
    """One bit of the compressed pixels fell over on the way."""
    content = bytearray(encoded(noise(16, 16), "PNG"))
    content[content.index(b"IDAT") + 200] ^= 1
    assert reason(bytes(content)) == "corrupt"


@pytest.mark.parametrize(
    "bomb",
    [
        png(50_000, 50_000, 8, 2, b""),
        encoded(Image.new("L", (1, 1)), "JPEG"),
        encoded(Image.new("P", (1, 1)), "GIF"),
        encoded(Image.new("RGB", (1, 1)), "BMP"),
    ],
    ids=["png", "jpeg", "gif", "bmp"],
)
def test_bomb_is_refused_by_its_header_without_decoding(bomb: bytes) -> None:
    """A small file that claims 50,000 × 50,000 pixels costs no memory."""
    content = bytearray(bomb)
    if bomb.startswith(b"\xff\xd8"):
        frame = content.index(b"\xff\xc0") + 5
        content[frame : frame + 4] = struct.pack(">HH", 50_000, 50_000)
    elif bomb.startswith(b"GIF"):
        content[6:10] = struct.pack("<HH", 50_000, 50_000)
    elif bomb.startswith(b"BM"):
        content[18:26] = struct.pack("<ii", 50_000, 50_000)
    tracemalloc.start()
    try:
        verdict = judge(bytes(content))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert verdict == Problem("too_many_pixels", "50000×50000 pixels; at most 100000000 are decoded.")
    assert peak < 10_000_000


def test_as_many_pixels_as_are_allowed_are_taken() -> None:
    """The limit itself is within the limit."""
    content = encoded(noise(10, 7), "PNG")
    assert inspect(content, limits(max_pixels=70)) == Photograph("PNG", 10, 7)
    assert inspect(content, limits(max_pixels=69)) == Problem("too_many_pixels", "10×7 pixels; at most 69 are decoded.")


@pytest.mark.parametrize(
    "content",
    [
        encoded(UPRIGHT, "TIFF"),
        encoded(UPRIGHT, "ICO"),
        encoded(UPRIGHT, "JPEG2000"),
        *(
            b"\x00\x00\x00\x18ftyp" + brand + b"\x00\x00\x00\x00mif1" + brand + b"\x00" * 64
            for brand in (b"heic", b"heix", b"mif1", b"msf1", b"hevc", b"avif")
        ),
    ],
    ids=["tiff", "ico", "jpeg2000", "heic", "heix", "mif1", "msf1", "hevc", "avif"],
)
def test_picture_in_a_format_that_is_not_taken_is_unsupported(content: bytes) -> None:
    """It is a picture, so the reason says what can be done: convert it, or enable its format."""
    assert reason(content) == "unsupported_format"


def test_formats_are_the_callers_to_choose() -> None:
    """The same content is taken or not, and the refusal names what is."""
    content = encoded(UPRIGHT, "WEBP", lossless=True)
    assert inspect(content, limits(["WEBP"])) == Photograph("WEBP", 24, 16)
    refusal = Problem("unsupported_format", "WEBP is not among the formats JPEG, PNG.")
    assert inspect(content, limits(["PNG", "JPEG"])) == refusal
    assert inspect(encoded(UPRIGHT, "TIFF"), limits(["TIFF"])) == Photograph("TIFF", 24, 16)


@pytest.mark.parametrize(
    ("encoding", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("GIF", {}, 0),
        ("JPEG", {"quality": 95, "subsampling": 0}, 3),
        ("JPEG", {"quality": 95, "subsampling": 0, "progressive": True}, 3),
        ("MPO", {"quality": 95, "subsampling": 0}, 3),
    ],
)
def test_colours_are_those_that_were_encoded(encoding: str, options: dict[str, object], tolerance: int) -> None:
    """Each enabled format, lossless ones exactly; a camera's MPO is a JPEG."""
    content = encoded(UPRIGHT, encoding, **options)
    assert judge(content) == Photograph("JPEG" if encoding == "MPO" else encoding, 24, 16)
    np.testing.assert_allclose(rgb(content), UPRIGHT, atol=tolerance)


@pytest.mark.parametrize(("encoding", "tolerance"), [("PNG", 0), ("JPEG", 1), ("BMP", 0), ("GIF", 0)])
def test_greyscale_has_three_equal_channels(encoding: str, tolerance: int) -> None:
    """A grey photograph is a photograph."""
    grey = np.repeat(np.arange(0, 256, 8, dtype=np.uint8)[None], 8, axis=0)
    pixels = rgb(encoded(grey, encoding, **({"quality": 100} if encoding == "JPEG" else {})))
    np.testing.assert_allclose(pixels, np.repeat(grey[:, :, None], 3, axis=2), atol=tolerance)


def test_black_and_white_of_one_bit_is_black_and_white() -> None:
    """Scanners write such."""
    chessboard = np.indices((8, 8)).sum(axis=0) % 2 == 1
    expected = np.repeat(chessboard[:, :, None] * 255, 3, axis=2)
    np.testing.assert_array_equal(rgb(encoded(chessboard, "PNG")), expected)


def test_palette_is_looked_up() -> None:
    """A palette picture has its palette's colours."""
    palette = Image.fromarray(UPRIGHT).quantize(8)
    for encoding in ("PNG", "GIF", "BMP"):
        np.testing.assert_array_equal(rgb(encoded(palette, encoding)), UPRIGHT)


def test_cmyk_jpeg_has_its_colours() -> None:
    """As print shops send them."""
    content = encoded(Image.fromarray(UPRIGHT).convert("CMYK"), "JPEG", quality=98)
    np.testing.assert_allclose(rgb(content), UPRIGHT, atol=4)


def test_ycck_jpeg_has_its_colours() -> None:
    """Pillow writes none, so a CMYK file is made whose planes are Y, Cb, Cr and K, and whose marker says so."""
    negative = np.asarray(Image.fromarray(255 - UPRIGHT).convert("YCbCr"))
    planes = np.dstack([255 - negative, np.zeros(UPRIGHT.shape[:2], np.uint8)])
    content = bytearray(encoded(Image.frombytes("CMYK", (24, 16), planes.tobytes()), "JPEG", quality=98))
    transform = content.index(b"Adobe") + 11
    assert content[transform] == 0
    content[transform] = 2
    np.testing.assert_allclose(rgb(bytes(content)), UPRIGHT, atol=6)


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_scaled_to_eight(channels: int) -> None:
    """The upper byte counts: nothing is clipped to white and nothing wraps."""
    levels = np.linspace(0, 65535, 64).astype(">u2").reshape(8, 8)
    lines = np.repeat(levels[:, :, None], channels, axis=2).reshape(8, -1)
    data = b"".join(b"\x00" + line.tobytes() for line in lines)
    content = png(8, 8, 16, 0 if channels == 1 else 2, data)
    expected = np.repeat(levels[:, :, None] / 65535 * 255, 3, axis=2)
    np.testing.assert_allclose(rgb(content), expected, atol=1)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("encoding", ["PNG", "WEBP"])
def test_alpha_is_laid_on_white(mode: str, encoding: str) -> None:
    """Cut-out fruit on nothing looks like fruit on white, whatever colour nothing has."""
    alpha = np.repeat(np.linspace(0, 255, 16).astype(np.uint8)[None], 8, axis=0)
    grey = np.full_like(alpha, 40)
    image = Image.merge(mode, [Image.fromarray(band) for band in (*[grey] * (len(mode) - 1), alpha)])
    options = {"lossless": True, "exact": True} if encoding == "WEBP" else {}
    expected = 255 - alpha.astype(float) / 255 * (255 - 40)
    np.testing.assert_allclose(
        rgb(encoded(image, encoding, **options)), np.repeat(expected[:, :, None], 3, axis=2), atol=1
    )


@pytest.mark.parametrize(
    "content",
    [
        png(2, 1, 8, 2, b"\x00" + bytes([0, 0, 0, 10, 20, 30]), chunk(b"tRNS", bytes(6))),
        png(2, 1, 8, 0, b"\x00" + bytes([0, 20]), chunk(b"tRNS", bytes(2))),
        png(
            2, 1, 8, 3, b"\x00" + bytes([0, 1]), chunk(b"PLTE", bytes([0, 0, 0, 10, 20, 30])) + chunk(b"tRNS", b"\x00")
        ),
    ],
    ids=["colour", "grey", "palette"],
)
def test_colour_that_stands_for_transparent_is_white(content: bytes) -> None:
    """The other ways in which a PNG says where nothing is."""
    assert rgb(content)[0, 0].tolist() == [255, 255, 255]
    assert rgb(content)[0, 1, 1] == 20


def test_transparent_pixels_of_a_gif_are_white() -> None:
    """And so does a GIF."""
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([0, 0, 0, 10, 20, 30])
    np.testing.assert_array_equal(rgb(encoded(image, "GIF", transparency=0)), [[[255] * 3, [10, 20, 30]]])


TURNS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {  # how an upright picture is stored
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: upright[:, ::-1].swapaxes(0, 1),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: upright[::-1].swapaxes(0, 1),
}


@pytest.mark.parametrize("orientation", TURNS)
def test_exif_orientation_is_applied(orientation: int) -> None:
    """However the camera was held, the picture stands upright; width and height are told as stored."""
    stored = np.ascontiguousarray(TURNS[orientation](UPRIGHT))
    exif = Image.Exif()
    exif[0x0112] = orientation
    height, width = stored.shape[:2]
    for encoding, options in (
        ("PNG", {}),
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("WEBP", {"lossless": True}),
    ):
        content = encoded(stored, encoding, exif=exif, **options)
        assert judge(content) == Photograph(encoding, width, height)
        np.testing.assert_allclose(rgb(content), UPRIGHT, atol=3)


@pytest.mark.parametrize(
    "block",
    [
        b"Exif\x00\x00garbage",
        b"Exif\x00\x00",
        b"Exif\x00\x00II*\x00\xff\xff\xff\xff",
        b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x09\x01\x12\x00\x03",
        b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x63\x00\x00\x00\x00\x00\x00",
        b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x02\x00\x00\x00\x02ab\x00\x00\x00\x00\x00\x00",
    ],
    ids=["garbage", "nothing", "offset", "cut", "orientation_99", "orientation_text"],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's
def test_damaged_exif_data_does_no_harm(block: bytes) -> None:
    """What inspection takes can be decoded: a damaged description leaves the picture as it is stored."""
    plain = encoded(UPRIGHT, "JPEG", quality=95, subsampling=0)
    content = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + plain[2:]
    np.testing.assert_array_equal(rgb(content), rgb(plain))


def test_orientation_that_leads_nowhere_in_a_png_does_no_harm() -> None:
    """A PNG keeps its EXIF data in a chunk of its own."""
    plain = encoded(UPRIGHT, "PNG")
    at = plain.index(b"IDAT") - 4
    content = plain[:at] + chunk(b"eXIf", b"garbage") + plain[at:]
    np.testing.assert_array_equal(rgb(content), UPRIGHT)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (10, 3000), (3000, 10)])
@pytest.mark.parametrize("encoding", ["PNG", "JPEG", "GIF", "BMP", "WEBP"])
def test_extreme_shapes_are_taken(width: int, height: int, encoding: str) -> None:
    """A single pixel and a strip are photographs."""
    content = encoded(Image.new("RGB", (width, height), "red"), encoding)
    assert judge(content) == Photograph(encoding, width, height)
    np.testing.assert_allclose(rgb(content), np.full((height, width, 3), [255, 0, 0]), atol=3)


@pytest.mark.parametrize("encoding", ["GIF", "PNG", "WEBP"])
def test_first_frame_speaks_for_an_animation(encoding: str) -> None:
    """The frames that follow change nothing."""
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if encoding == "WEBP" else {}
    content = encoded(frames[0], encoding, save_all=True, append_images=frames[1:], **options)
    np.testing.assert_array_equal(rgb(content), np.full((8, 8, 3), [255, 0, 0]))


def test_decoding_reads_bytes_and_views_alike() -> None:
    """Content comes as bytes from a file and as a view of an Arrow buffer."""
    content = encoded(UPRIGHT, "PNG")
    np.testing.assert_array_equal(np.asarray(decode(content)), np.asarray(decode(memoryview(content))))


def with_exif(encoding: str) -> bytes:
    """A photograph with EXIF data, for damage."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "fruit"
    return encoded(noise(9, 7), encoding, exif=exif)


SEEDS = (
    *(encoded(noise(9, 7), encoding) for encoding in ("JPEG", "PNG", "GIF", "BMP", "WEBP")),
    *(with_exif(encoding) for encoding in ("JPEG", "PNG", "WEBP")),
    encoded(noise(9, 7), "JPEG", progressive=True),
    encoded(Image.fromarray(noise(9, 7)).convert("CMYK"), "JPEG"),
    encoded(Image.fromarray(noise(9, 7)).convert("RGBA"), "PNG"),
    encoded(Image.fromarray(noise(9, 7)).quantize(4), "PNG", transparency=1),
    encoded(np.arange(64, dtype=np.uint16).reshape(8, 8) * 999, "PNG"),
)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about damaged EXIF data
@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(
    content=st.sampled_from(SEEDS),
    damage=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    early=st.booleans(),
    cut=st.integers(0, 40),
)
@example(content=b"", damage=[], early=False, cut=0)
def test_damaged_content_is_taken_and_decodes_or_is_refused_with_a_known_reason(
    content: bytes, damage: list[tuple[float, int]], early: bool, cut: int
) -> None:
    """Whatever a few wrong bytes do: no exception, and what inspection takes never fails a later layer."""
    damaged = bytearray(content)
    for where, value in damage:
        damaged[int(where * (min(120, len(damaged)) if early else len(damaged)))] = value
    damaged = damaged[: len(damaged) - cut]
    verdict = inspect(bytes(damaged), limits(max_pixels=1_000_000))
    if isinstance(verdict, Problem):
        assert verdict.reason in REASONS
    else:
        image = decode(bytes(damaged))
        assert image.convert("RGB").size in ((verdict.width, verdict.height), (verdict.height, verdict.width))
