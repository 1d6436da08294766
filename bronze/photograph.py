"""Is it a photograph, in which format, of which size? Decided by content, never by name.

`decode` is what every reader of `bronze.images` uses, so that a picture means the same pixels everywhere.
"""

import io
import re
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

_MAGIC = {"JPEG": b"\xff\xd8\xff", "PNG": b"\x89PNG\r\n\x1a\n"}
_HEIF_BRANDS = tuple(b"heic heix heim heis hevc hevx hevm hevs mif1 msf1 avif avis".split())
# A marker that begins a segment: not a stuffed byte, a restart or a filler.
_MARKER = re.compile(rb"\xff+([^\x00\x01\xff\xd0-\xd7])", re.DOTALL)


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


@dataclass(frozen=True)
class Limits:
    """What is read and decoded: formats as Pillow names them, bytes a file, pixels a picture (width × height)."""

    formats: Collection[str]
    max_bytes: int
    max_pixels: int

    @property
    def clauses(self) -> dict[str, str]:
        """By reason, the words that each detail has which was written under these limits."""
        return {
            "too_large": f"at most {self.max_bytes} are read",
            "too_many_pixels": f"at most {self.max_pixels} are decoded",
            "unsupported_format": f"is not among the formats {', '.join(sorted(self.formats))}",
        }

    def refusal(self, reason: str, found: str) -> Problem:
        """What is said of content that is beyond the limits."""
        return Problem(reason, f"{found} {self.clauses[reason]}.")


def inspect(content: bytes, limits: Limits) -> Photograph | Problem:
    """Decode content to the last pixel, unless it is beyond the limits, to find whether it is a photograph."""
    if not content:
        return Problem("empty", "The file has no bytes.")
    try:
        image = Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        return _unidentified(content, limits)
    except Exception as error:  # noqa: BLE001 - Pillow's parsers raise what they like; it becomes the detail
        return _undecodable(error, content)
    name = "JPEG" if image.format == "MPO" else str(image.format)  # MPO: a JPEG followed by another, as cameras write
    if name not in limits.formats:
        return limits.refusal("unsupported_format", name)
    if image.width * image.height > limits.max_pixels:
        return limits.refusal("too_many_pixels", f"{image.width}×{image.height} pixels;")
    try:
        if name == "PNG":
            Image.open(io.BytesIO(content)).verify()  # the checksums of the pixels, which load() passes over
        image.load()
    except Exception as error:  # noqa: BLE001 - as above
        return _undecodable(error, content)
    if _ends_early(content):
        return Problem("truncated", f"The {name} data has no end marker.")
    return Photograph(name, image.width, image.height)


def decode(content: bytes | memoryview) -> Image.Image:
    """The picture as RGB: first frame, EXIF orientation applied, transparency on white, 16 bits scaled to 8."""
    image = _upright(Image.open(io.BytesIO(content)))
    if image.mode == "RGB" and not image.has_transparency_data:
        return image  # converting would copy it
    if image.mode.startswith("I;16") or image.mode == "I":
        image = Image.fromarray((np.asarray(image, dtype=np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF data says; as it is stored, where they cannot be read."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001 - a damaged EXIF block is no fault of the pixels
        return image


def _unidentified(content: bytes, limits: Limits) -> Problem:
    if name := _begun(content):
        if _ends_early(content):
            return Problem("truncated", f"The {name} data ends in its header.")
        return Problem("corrupt", f"The header of the {name} data is damaged.")
    if content[4:8] == b"ftyp" and content[8:12] in _HEIF_BRANDS:
        return limits.refusal("unsupported_format", "HEIC or AVIF")
    return Problem("not_an_image", f"Unknown content; it begins with {content[:16]!r}.")


def _undecodable(error: Exception, content: bytes) -> Problem:
    cut = isinstance(error, EOFError | struct.error) or "truncated" in str(error).lower() or _ends_early(content)
    return Problem("truncated" if cut else "corrupt", f"{type(error).__name__}: {error}")


def _begun(content: bytes) -> str | None:
    """JPEG or PNG, where content begins as one, however short it is."""
    return next(
        (name for name, magic in _MAGIC.items() if content.startswith(magic) or magic.startswith(content)), None
    )


def _ends_early(content: bytes) -> bool:
    """Whether the end of a JPEG or a PNG is missing, which Pillow does not always ask for."""
    match _begun(content):
        case "JPEG":
            return _jpeg_ends_early(content)
        case "PNG":
            return not 0 <= content.rfind(b"IEND") <= len(content) - 8  # with the four bytes of its checksum
        case _:
            return False


def _jpeg_ends_early(content: bytes) -> bool:
    """Whether no end marker follows the segments, which are walked: what comes after the end may hold any bytes."""
    at = 2
    while marker := _MARKER.search(content, at):
        if marker[1] == b"\xd9":
            return False
        at = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2], "big")
    return True
