"""Files of every class that a folder of photographs has been seen to hold: good ones, and broken ones by reason."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEIF_BRANDS = (b"heic", b"heix", b"mif1", b"msf1", b"hevc", b"avif")
_COLOURS: NDArray[np.uint8] = np.array(
    [[[200, 30, 30], [30, 200, 30], [30, 30, 200]], [[240, 240, 240], [40, 40, 40], [220, 200, 20]]], np.uint8
)
UPRIGHT = _COLOURS.repeat(8, axis=0).repeat(8, axis=1)
"""Six blocks of eight, each of its own colour: no turn or mirror image looks like another."""

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


# ---- parts ----------------------------------------------------------------------------------------------------------


def encoded(picture: NDArray[np.uint8 | np.uint16] | Image.Image, encoding: str, **options: object) -> bytes:
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


def packed_png(width: int, height: int, depth: int, colour: int, packed: bytes, before: bytes = b"") -> bytes:
    """A PNG file of these compressed scan lines."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return PNG_SIGNATURE + chunk(b"IHDR", header) + before + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def png(width: int, height: int, depth: int, colour: int, data: bytes, before: bytes = b"") -> bytes:
    """A PNG file of these scan lines (each begins with its filter byte)."""
    return packed_png(width, height, depth, colour, zlib.compress(data), before)


@cache
def packed_zeros(length: int) -> bytes:
    """Zeros, compressed a thousandfold."""
    packer, block = zlib.compressobj(9), bytes(1 << 24)
    blocks = [packer.compress(block[: min(length - start, len(block))]) for start in range(0, length, len(block))]
    return b"".join([*blocks, packer.flush()])


def segment(marker: int, data: bytes) -> bytes:
    """A segment of a JPEG file."""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def with_segment(content: bytes, marker: int, data: bytes) -> bytes:
    """A JPEG with one more segment, the first."""
    return content[:2] + segment(marker, data) + content[2:]


def claiming(content: bytes, width: int, height: int) -> bytes:
    """A picture whose header claims another size."""
    damaged = bytearray(content)
    if content.startswith(b"\xff\xd8"):
        at, size = content.index(b"\xff\xc0") + 5, struct.pack(">HH", height, width)
    elif content.startswith(b"GIF"):
        at, size = 6, struct.pack("<HH", width, height)
    else:
        assert content.startswith(b"BM")
        at, size = 18, struct.pack("<ii", width, height)
    damaged[at : at + len(size)] = size
    return bytes(damaged)


def with_byte(content: bytes, at: int, value: int) -> bytes:
    """Content with another byte in one place."""
    return content[:at] + bytes([value]) + content[at + 1 :]


# ---- good -----------------------------------------------------------------------------------------------------------


def cmyk(picture: NDArray[np.uint8]) -> bytes:
    """A JPEG of four colours, as print shops send them."""
    return encoded(Image.fromarray(picture).convert("CMYK"), "JPEG", quality=98)


def ycck(picture: NDArray[np.uint8]) -> bytes:
    """A JPEG of four planes, Y, Cb, Cr and K. Pillow writes none: a CMYK file is made, and its marker changed."""
    negative = np.asarray(Image.fromarray(255 - picture).convert("YCbCr"))
    planes = np.dstack([255 - negative, np.zeros(picture.shape[:2], np.uint8)])
    content = encoded(Image.frombytes("CMYK", picture.shape[1::-1], planes.tobytes()), "JPEG", quality=98)
    transform = content.index(b"Adobe") + 11
    assert content[transform] == 0
    return with_byte(content, transform, 2)


def sixteen_bits(levels: NDArray[np.float64], channels: int) -> bytes:
    """A PNG of 16 bits a channel; levels from 0 to 1, shape (height, width)."""
    lines = np.repeat((levels * 65535).astype(">u2")[:, :, None], channels, axis=2).reshape(len(levels), -1)
    data = b"".join(b"\x00" + line.tobytes() for line in lines)
    return png(levels.shape[1], levels.shape[0], 16, 0 if channels == 1 else 2, data)


def turned(picture: NDArray[np.uint8], orientation: int, encoding: str, **options: object) -> bytes:
    """A picture as a camera that is held so stores it, with the EXIF data that say how."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(np.ascontiguousarray(TURNS[orientation](picture)), encoding, exif=exif, **options)


def animation(encoding: str, *colours: str, **options: object) -> bytes:
    """Frames of one colour each."""
    first, *others = [Image.new("RGB", (8, 8), colour) for colour in colours]
    return encoded(first, encoding, save_all=True, append_images=others, **options)


def with_profile(picture: NDArray[np.uint8], length: int) -> bytes:
    """A PNG with a colour profile of this many bytes, which do not compress."""
    profile = chunk(b"iCCP", b"scanner\0\0" + zlib.compress(np.random.default_rng(0).bytes(length)))
    content = encoded(picture, "PNG")
    at = content.index(b"IDAT") - 4
    return content[:at] + profile + content[at:]


def good(seed: int) -> dict[str, bytes]:
    """One photograph of each class that must be taken: name and content. Another seed, other pixels."""
    pixels, tint = noise(24, 16, seed), f"hsl({seed * 37 % 360}, 80%, 50%)"
    image = Image.fromarray(pixels)
    alpha = Image.fromarray(noise(24, 16, seed + 1)[:, :, 0])
    return {
        "baseline.jpg": encoded(pixels, "JPEG"),
        "progressive.jpg": encoded(pixels, "JPEG", progressive=True),
        "grey.jpg": encoded(image.convert("L"), "JPEG"),
        "cmyk.jpg": cmyk(pixels),
        "ycck.jpg": ycck(pixels),
        "film appended.jpg": encoded(pixels, "JPEG") + b"\x00\xff\xda\x00" * 99,
        "of two pictures.jpg": encoded(pixels, "MPO", save_all=True, append_images=[image]),
        "damaged description.jpg": with_segment(encoded(pixels, "JPEG"), 0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff"),
        **{f"turned {way}.jpg": turned(pixels, way, "JPEG") for way in TURNS},
        "turned.png": turned(pixels, 6, "PNG"),
        "picture.tiff": encoded(pixels, "TIFF"),
        "tiff inside.jpg": encoded(pixels, "TIFF", compression="tiff_lzw"),
        "colour.png": encoded(pixels, "PNG"),
        "grey.png": encoded(image.convert("L"), "PNG"),
        "black and white.png": encoded(image.convert("1"), "PNG"),
        "palette.png": encoded(image.quantize(16), "PNG"),
        "palette with holes.png": encoded(image.quantize(16), "PNG", transparency=1),
        "sixteen bits.png": sixteen_bits(pixels[:, :, 0] / 255, 1),
        "three times sixteen bits.png": sixteen_bits(pixels[:, :, 0] / 255, 3),
        "alpha.png": encoded(Image.merge("RGBA", (*image.split(), alpha)), "PNG"),
        "grey alpha.png": encoded(Image.merge("LA", (image.convert("L"), alpha)), "PNG"),
        "large profile.png": with_profile(pixels, 1_200_000),
        "animated.png": animation("PNG", tint, "blue", "lime"),
        "animated.gif": animation("GIF", tint, "blue", "lime"),
        "palette.gif": encoded(image.quantize(16), "GIF"),
        "colour.bmp": encoded(pixels, "BMP"),
        "palette.bmp": encoded(image.quantize(16), "BMP"),
        "one pixel.png": encoded(noise(1, 1, seed), "PNG"),
        "one pixel.jpg": encoded(noise(1, 1, seed), "JPEG"),
        "tall.png": encoded(noise(10, 3000, seed), "PNG"),
        "wide.jpg": encoded(noise(3000, 10, seed), "JPEG"),
        "png inside.jpg": encoded(pixels, "PNG", compress_level=1),
        "jpeg inside.gif": encoded(pixels, "JPEG", quality=50),
        "gif inside.html": encoded(image.quantize(8), "GIF"),
        "no extension": encoded(pixels, "JPEG", quality=60),
    }


# ---- broken ---------------------------------------------------------------------------------------------------------


def zipped() -> bytes:
    """A zip archive."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.txt", "no photograph")
    return content.getvalue()


def heif(brand: bytes) -> bytes:
    """The header of a HEIC or an AVIF file."""
    return b"\x00\x00\x00\x18ftyp" + brand + b"\x00\x00\x00\x00mif1" + brand + b"\x00" * 64


def bad_huffman_table(content: bytes) -> bytes:
    """A JPEG with a table that promises more codes than there can be."""
    table = content.index(b"\xff\xc4") + 5
    return content[:table] + b"\xff" * 16 + content[table + 16 :]


def bad_checksum(content: bytes, name: bytes) -> bytes:
    """A PNG in which the checksum of the first chunk of this name is wrong."""
    start = content.index(name)
    at = start + 4 + struct.unpack(">I", content[start - 4 : start])[0]
    return with_byte(content, at, content[at] ^ 0xFF)


def png_bomb(side: int) -> bytes:
    """A PNG with all the pixels that it claims, which are black: a thousandth of the memory that they take."""
    return packed_png(side, side, 8, 0, packed_zeros((side + 1) * side))


def gif_bomb(side: int) -> bytes:
    """A GIF of 36 bytes whose first frame is to be disposed of: Pillow makes what takes its place when it opens it."""
    control = b"!\xf9\x04\x08\x00\x00\x00\x00"
    frame = b"," + struct.pack("<HHHHB", 0, 0, side, side, 0)
    return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0) + control + frame + b"\x08\x01\x00\x00;"


def webp_bomb(side: int) -> bytes:
    """An animated WebP of one small frame on a canvas of this size."""

    def part(name: bytes, data: bytes) -> bytes:
        return name + struct.pack("<I", len(data)) + data

    def three(*numbers: int) -> bytes:
        return b"".join(struct.pack("<I", number)[:3] for number in numbers)

    picture = encoded(Image.new("RGB", (16, 16)), "WEBP", lossless=True)[12:]
    header = part(b"VP8X", b"\x02\0\0\0" + three(side - 1, side - 1)) + part(b"ANIM", bytes(6))
    return part(b"RIFF", b"WEBP" + header + part(b"ANMF", three(0, 0, 15, 15, 10) + b"\0" + picture))


def icon_bomb(side: int) -> bytes:
    """An icon that holds a PNG bomb: Pillow decodes it when it opens it."""
    inside = png_bomb(side)
    return b"\0\0\1\0\1\0" + struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(inside), 22) + inside


def text_bomb() -> bytes:
    """A PNG of one pixel, whose descriptions unfold to 200 MB."""
    texts = (chunk(b"zTXt", b"k%d\0\0" % number + packed_zeros(1_000_000)) for number in range(200))
    return png(1, 1, 8, 0, b"\0\0", b"".join(texts))


def in_many_parts(content: bytes, parts: int) -> bytes:
    """A JPEG or a PNG with so many empty parts, of which a parser remembers each."""
    if content.startswith(PNG_SIGNATURE):
        at = content.index(b"IDAT") - 4
        return content[:at] + chunk(b"teSt", b"") * parts + content[at:]
    return content[:2] + segment(0xE5, b"") * parts + content[2:]


def in_many_scans(content: bytes, scans: int) -> bytes:
    """A progressive JPEG whose last scan comes so many times more: a walk over the picture each."""
    end, last = content.rfind(b"\xff\xd9"), content.rfind(b"\xff\xc4", 0, content.rfind(b"\xff\xda"))
    return content[:end] + content[last:end] * scans + content[end:]


def broken(seed: int) -> dict[str, dict[str, bytes]]:
    """Files of each class that must be held back: reason → name and content, for a job that takes no WebP."""
    pixels = noise(96, 64, seed)
    jpeg, progressive = encoded(pixels, "JPEG"), encoded(pixels, "JPEG", progressive=True)
    sharp, bmp, gif = encoded(pixels, "PNG"), encoded(pixels, "BMP"), encoded(pixels, "GIF")
    words = f"fruit {seed}"
    return {
        "empty": {"empty.jpg": b""},
        "not_an_image": {
            "text.jpg": f"{words}\n".encode(),
            "text that begins like a bitmap.jpg": f"BM{words}, a line of text and nothing else\n".encode(),
            "utf16.jpg": words.encode("utf-16"),
            "page.jpg": f"<!DOCTYPE html><html><body>404 {words}</body></html>".encode(),
            "drawing.svg": f'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" id="{words}"/>'.encode(),
            "document.jpg": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<</Type/Catalog>>\nendobj\n%%EOF",
            "program.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nquit\n",
            "film.jpg": b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2mp41" + bytes(50),
            "archive.jpg": zipped(),
            "random.jpg": np.random.default_rng(seed).bytes(5000),
            "zeros.jpg": bytes(100),
            "picture without a signature.tga": bytes(12) + struct.pack("<HHBB", 60_000, 60_000, 24, 0) + bytes(99),
        },
        "truncated": {
            "cut in its signature.jpg": jpeg[:2],
            "cut in its header.jpg": jpeg[: 100 + seed],
            "cut at half.jpg": jpeg[: len(jpeg) // 2],
            "cut before its last byte.jpg": jpeg[:-1],
            "progressive, cut at half.jpg": progressive[: len(progressive) // 2],
            "cut, and zeros written.jpg": jpeg[: len(jpeg) // 2] + bytes(4096),
            "cut, and ones written.jpg": jpeg[: len(jpeg) // 2] + b"\xff" * 300_000,
            "cut in its header.png": sharp[:30],
            "cut at half.png": sharp[: len(sharp) // 2],
            "without its end.png": sharp[:-12],
            "cut before its last byte.png": sharp[:-1],
            "cut at half.bmp": bmp[: len(bmp) // 2],
            "cut at half.gif": gif[: len(gif) // 2],
        },
        "corrupt": {
            "bad huffman table.jpg": bad_huffman_table(jpeg),
            "bad header checksum.png": bad_checksum(sharp, b"IHDR"),
            "bad pixels checksum.png": bad_checksum(sharp, b"IDAT"),
            "one bit fell over.png": with_byte(sharp, len(sharp) // 2, sharp[len(sharp) // 2] ^ 1),
            "descriptions without end.png": text_bomb(),
            "in many parts.png": in_many_parts(sharp, 110_000),
            "in many parts.jpg": in_many_parts(jpeg, 110_000),
            "of many scans.jpg": in_many_scans(progressive, 200),
        },
        "too_many_pixels": {
            "claims 50000 x 50000.png": png(50_000, 50_000, 8, 2, b""),
            "holds 20000 x 20000.png": png_bomb(20_000),
            "claims 65500 x 65500.jpg": claiming(jpeg, 65_500, 65_500),
            "claims 65535 x 65535.gif": claiming(gif, 65_535, 65_535),
            "disposes of 30000 x 30000.gif": gif_bomb(30_000),
            "claims 50000 x 50000.bmp": claiming(bmp, 50_000, 50_000),
        },
        "unsupported_kind": {
            "of numbers.tiff": encoded(Image.fromarray(pixels[:, :, 0].astype(np.float32)), "TIFF"),
        },
        "unsupported_format": {
            "picture.jp2": encoded(pixels, "JPEG2000"),
            "phone.heic": heif(HEIF_BRANDS[seed % len(HEIF_BRANDS)]),
            "icon.ico": encoded(pixels, "ICO"),
            "icon with a bomb.ico": icon_bomb(12_000),
            "picture.webp": encoded(pixels, "WEBP"),
            "animated.webp": animation("WEBP", "red", "blue"),
        },
    }
