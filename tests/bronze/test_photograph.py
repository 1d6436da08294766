"""What is a photograph and what is not, and which pixels it means: every class of input, generated here."""

import io
import struct
import time
import tracemalloc
from collections.abc import Collection

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from bronze.judgement import Limits, Photograph, Problem
from bronze.photograph import decode, inspect
from bronze.reasons import Reason
from fruits.settings import load_settings
from tests.bronze import corpus
from tests.bronze.corpus import TURNS, UPRIGHT, chunk, encoded, noise, png, with_byte, with_segment, zipped

SHIPPED = load_settings()
FORMATS, MAX_PIXELS = SHIPPED.formats, SHIPPED.max_pixels


def limits(formats: Collection[str] = FORMATS, max_pixels: int = MAX_PIXELS) -> Limits:
    """The shipped limits, or others."""
    return Limits(formats, SHIPPED.max_bytes, max_pixels)


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
        b"BMW is a car, and this is a text about it.\n",
        b"II, the second part\n",
    ],
    ids=["text", "utf16", "html", "svg", "pdf", "zeros", "mp4", "zip", "random", "begins_like_bmp", "begins_like_tiff"],
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
    assert reason(corpus.bad_huffman_table(encoded(noise(16, 16), "JPEG"))) == "corrupt"


@pytest.mark.parametrize("name", [b"IHDR", b"IDAT"])
def test_png_with_a_bad_checksum_is_corrupt(name: bytes) -> None:
    """Of the header, or of the pixels."""
    assert reason(corpus.bad_checksum(encoded(noise(16, 16), "PNG"), name)) == "corrupt"


def test_png_with_changed_pixel_data_is_corrupt() -> None:
    """One bit of the compressed pixels fell over on the way."""
    content = bytearray(encoded(noise(16, 16), "PNG"))
    content[content.index(b"IDAT") + 200] ^= 1
    assert reason(bytes(content)) == "corrupt"


SIDE = 50_000
BOMBS = {
    "png": png(SIDE, SIDE, 8, 2, b""),
    "jpeg": corpus.claiming(encoded(Image.new("L", (1, 1)), "JPEG"), SIDE, SIDE),
    "gif": corpus.claiming(encoded(Image.new("P", (1, 1)), "GIF"), SIDE, SIDE),
    "gif_whose_frame_is_disposed_of": corpus.gif_bomb(SIDE),
    "bmp": corpus.claiming(encoded(Image.new("RGB", (1, 1)), "BMP"), SIDE, SIDE),
    "webp": corpus.webp_bomb(SIDE),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bomb_is_refused_by_its_header_without_decoding(bomb: str) -> None:
    """A small file that claims 50,000 × 50,000 pixels takes no memory, also where Pillow would while it opens it."""
    begun = time.perf_counter()
    tracemalloc.start()
    try:
        verdict = judge(BOMBS[bomb])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert verdict == Problem(Reason.TOO_MANY_PIXELS, "2500000000 pixels; at most 100000000 are decoded.")
    assert peak < 10_000_000
    assert time.perf_counter() - begun < 2  # C's memory is not traced, but to fill 2.5 GB takes longer


def test_bomb_inside_an_icon_is_not_looked_at() -> None:
    """No parser sees a format that is not taken: Pillow's for icons decodes what is inside while it opens one."""
    bomb = corpus.icon_bomb(25_000)
    begun = time.perf_counter()
    verdict = judge(bomb)
    assert isinstance(verdict, Problem)
    assert (verdict.reason, verdict.detail[:6]) == ("unsupported_format", "ICO is")
    assert time.perf_counter() - begun < 0.5


def test_pixels_are_decoded_as_many_as_the_header_says() -> None:
    """What else the compressed data holds is not unpacked: one pixel, and then 400 MB of zeros."""
    content = corpus.packed_png(1, 1, 8, 0, corpus.packed_zeros(400_000_000))
    assert judge(content) == Photograph("PNG", 1, 1)


def test_descriptions_are_unpacked_up_to_a_limit() -> None:
    """A large colour profile is no fault, 200 MB of text are."""
    assert reason(corpus.with_profile(UPRIGHT, 2_000_000)) is None
    assert reason(corpus.text_bomb()) == "corrupt"


@pytest.mark.parametrize("encoding", ["PNG", "JPEG"])
def test_file_in_countless_parts_is_corrupt(encoding: str) -> None:
    """Each part costs a parser a hundred bytes and a microsecond, and takes but four to twelve bytes of the file."""
    content = encoded(UPRIGHT, encoding)
    assert reason(corpus.in_many_parts(content, 1000)) is None
    assert judge(corpus.in_many_parts(content, 1_000_000)) == Problem(
        Reason.CORRUPT, f"The {encoding} data is cut into more parts than a picture has."
    )


@pytest.mark.parametrize("after", [b"", b"\x00"], ids=["to_the_end", "and_a_zero"])
def test_long_run_of_ones_takes_time_by_its_length(after: bytes) -> None:
    """An erased memory card reads as ones; 0.1 MB of them once took a minute, and four times that for twice as many."""
    content = encoded(noise(64, 64), "JPEG")
    ones = b"\xff" * 1_000_000 + after
    begun = time.perf_counter()
    assert reason(content[:-500] + ones) == "truncated"
    assert reason(content[:300] + ones) == "truncated"
    judge(content[:-500] + ones + content[-500:])
    assert time.perf_counter() - begun < 10


def test_want_of_memory_is_no_fault_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again by the next run, as what cannot be read is."""

    def load(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.load", load)
    assert reason(encoded(UPRIGHT, "JPEG")) == "unreadable"


def test_limits_of_one_inspection_are_not_those_of_the_next() -> None:
    """Pillow's guards are put back: what was taken under another limit can still be decoded."""
    content = encoded(noise(10, 7), "PNG")
    assert isinstance(inspect(content, limits(max_pixels=1)), Problem)
    assert decode(content).size == (10, 7)


def test_as_many_pixels_as_are_allowed_are_taken() -> None:
    """The limit itself is within the limit."""
    content = encoded(noise(10, 7), "PNG")
    assert inspect(content, limits(max_pixels=70)) == Photograph("PNG", 10, 7)
    refusal = Problem(Reason.TOO_MANY_PIXELS, "70 pixels; at most 69 are decoded.")
    assert inspect(content, limits(max_pixels=69)) == refusal


@pytest.mark.parametrize(
    "content",
    [
        encoded(UPRIGHT, "ICO"),
        encoded(UPRIGHT, "JPEG2000"),
        b"\x00\x00\x00\x18ftypcrx " + bytes(64),
        b"\xff\x0a" + bytes(64),
    ],
    ids=["ico", "jpeg2000", "raw", "jpegxl"],
)
def test_picture_in_a_format_that_is_not_taken_is_unsupported(content: bytes) -> None:
    """It is a picture, so the reason says what can be done: convert it, or enable its format."""
    assert reason(content) == "unsupported_format"


def test_formats_are_the_callers_to_choose() -> None:
    """The same content is taken or not, and the refusal names what is."""
    content = encoded(UPRIGHT, "WEBP", lossless=True)
    assert inspect(content, limits(["WEBP"])) == Photograph("WEBP", 24, 16)
    refusal = Problem(Reason.UNSUPPORTED_FORMAT, "WEBP is not among the formats JPEG, PNG.")
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
    np.testing.assert_allclose(rgb(corpus.cmyk(UPRIGHT)), UPRIGHT, atol=4)


def test_ycck_jpeg_has_its_colours() -> None:
    """The same in luminance and colour differences."""
    np.testing.assert_allclose(rgb(corpus.ycck(UPRIGHT)), UPRIGHT, atol=6)


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_scaled_to_eight(channels: int) -> None:
    """The upper byte counts: nothing is clipped to white and nothing wraps."""
    levels = np.linspace(0, 1, 64).reshape(8, 8)
    expected = np.repeat(levels[:, :, None] * 255, 3, axis=2)
    np.testing.assert_allclose(rgb(corpus.sixteen_bits(levels, channels)), expected, atol=1)


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


@pytest.mark.parametrize("orientation", TURNS)
def test_exif_orientation_is_applied(orientation: int) -> None:
    """However the camera was held, the picture stands upright; width and height are told as stored."""
    height, width = TURNS[orientation](UPRIGHT).shape[:2]
    for encoding, options in (
        ("PNG", {}),
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("WEBP", {"lossless": True}),
    ):
        content = corpus.turned(UPRIGHT, orientation, encoding, **options)
        assert judge(content) == Photograph(encoding, width, height)
        np.testing.assert_allclose(rgb(content), UPRIGHT, atol=3)


def test_exif_orientation_is_applied_though_other_exif_data_are_damaged() -> None:
    """Pillow's own function leaves such a photograph lying on its side."""
    exif = Image.Exif()
    exif[0x010E], exif[0x0112], exif[0x8825] = "fruit", 6, {2: (1.0, 2.0, 3.0)}
    stored = np.ascontiguousarray(TURNS[6](UPRIGHT))
    content = encoded(stored, "JPEG", exif=exif, quality=95, subsampling=0)
    kind = content.index(struct.pack(">H", 0x010E), content.index(b"Exif")) + 3  # of the first entry: text
    damaged = with_byte(content, kind, 5)  # now fractions
    assert Image.open(io.BytesIO(damaged)).getexif()[0x0112] == 6
    np.testing.assert_allclose(rgb(damaged), UPRIGHT, atol=3)


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
    np.testing.assert_array_equal(rgb(with_segment(plain, 0xE1, block)), rgb(plain))


@pytest.mark.parametrize(
    ("marker", "data"),
    [(0xE0, b"JFIF\0"), (0xE2, b"ICC_PROFILE\0"), (0xED, b"Photoshop 3.0\x008BIM\3\xed"), (0xEE, b"Adobe")],
    ids=["jfif", "profile", "photoshop", "adobe"],
)
@pytest.mark.parametrize("colours", [3, 4])
def test_description_that_ends_early_does_no_harm(marker: int, data: bytes, colours: int) -> None:
    """Pillow gives up on such a header; without its descriptions it is parsed, and has the same pixels."""
    plain = encoded(UPRIGHT, "JPEG", quality=95, subsampling=0) if colours == 3 else corpus.cmyk(UPRIGHT)
    np.testing.assert_array_equal(rgb(with_segment(plain, marker, data)), rgb(plain))


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
    options = {"lossless": True} if encoding == "WEBP" else {}
    content = corpus.animation(encoding, "red", "blue", "lime", **options)
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
        assert verdict.reason in Reason
    else:
        image = decode(bytes(damaged))
        assert image.convert("RGB").size in ((verdict.width, verdict.height), (verdict.height, verdict.width))
