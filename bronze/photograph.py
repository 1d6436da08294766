"""Is it a photograph, in which format, of which size? Decided by content, never by name.

`decode` is what every reader of `bronze.images` uses, so that a picture means the same pixels everywhere.
"""

import io
import struct
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

Image.MAX_IMAGE_PIXELS = None  # `max_pixels` is asked before a pixel is decoded, with a reason instead of a warning

REASONS = (
    "empty",
    "not_an_image",
    "truncated",
    "corrupt",
    "too_large",
    "too_many_pixels",
    "unsupported_format",
    "unreadable",
)
"""The vocabulary of `bronze.quarantine.reason`."""


@dataclass(frozen=True)
class Photograph:
    """What the header says: format by content ("JPEG"), width and height in pixels as stored."""

    format: str
    width: int
    height: int


@dataclass(frozen=True)
class Problem:
    """Why content is no photograph that can be used: one of REASONS, and the words of whoever found out."""

    reason: str
    detail: str


def inspect(content: bytes, formats: Collection[str], max_pixels: int) -> Photograph | Problem:
    """Decode content to the last pixel to find whether it is a photograph.

    Args:
        content: the file's bytes.
        formats: the formats that are taken, as Pillow names them.
        max_pixels: width × height above which the content is not decoded.
    """
    if not content:
        return Problem("empty", "The file has no bytes.")
    try:
        image = Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        return _unidentified(content)
    except Exception as error:  # noqa: BLE001 - Pillow's parsers raise what they like; it becomes the detail
        return _undecodable(error)
    name = "JPEG" if image.format == "MPO" else str(image.format)  # MPO: a JPEG followed by another, as cameras write
    if name not in formats:
        return Problem("unsupported_format", f"{name} is not among the formats {', '.join(sorted(formats))}.")
    if image.width * image.height > max_pixels:
        return Problem("too_many_pixels", f"{image.width}×{image.height} pixels; at most {max_pixels} are decoded.")
    try:
        image.load()
    except Exception as error:  # noqa: BLE001 - as above
        return _undecodable(error)
    if _ends_early(content, name):
        return Problem("truncated", f"The {name} data has no end marker.")
    return Photograph(name, image.width, image.height)


def decode(content: bytes | memoryview) -> Image.Image:
    """The picture as RGB: first frame, EXIF orientation applied, transparency on white, 16 bits scaled to 8."""
    opened = Image.open(io.BytesIO(content))
    if opened.mode == "RGB" and not opened.getexif():
        return opened
    image = ImageOps.exif_transpose(opened)
    if image.mode.startswith("I;16") or image.mode == "I":
        image = Image.fromarray((np.asarray(image, dtype=np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _unidentified(content: bytes) -> Problem:
    for name, magic in (("JPEG", b"\xff\xd8\xff"), ("PNG", b"\x89PNG\r\n\x1a\n")):
        if content.startswith(magic) or magic.startswith(content):
            if _ends_early(content, name):
                return Problem("truncated", f"The {name} data ends in its header.")
            return Problem("corrupt", f"The header of the {name} data is damaged.")
    if content[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1", b"ftypavif"):
        return Problem("unsupported_format", "HEIC or AVIF.")
    return Problem("not_an_image", f"Unknown content; it begins with {content[:16]!r}.")


def _undecodable(error: Exception) -> Problem:
    detail = f"{type(error).__name__}: {error}"
    cut = isinstance(error, EOFError | struct.error) or "truncated" in str(error).lower()
    return Problem("truncated" if cut else "corrupt", detail)


def _ends_early(content: bytes, name: str) -> bool:
    """Whether the end marker is missing that Pillow does not ask for."""
    if name == "JPEG":
        # After the last start of scan; inside scan data 0xFF is always followed by 0x00, so the markers are markers.
        return content.rfind(b"\xff\xd9") <= content.rfind(b"\xff\xda")
    if name == "PNG":
        return not 0 <= content.rfind(b"IEND") <= len(content) - 8  # with the four bytes of its checksum
    return False
