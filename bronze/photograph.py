"""Validate a photograph: its format and size, decided by content, never by name.

A file may have been made to do harm. So no parser sees it but that of its own format, and that only if the format is
taken; and while it is parsed Pillow's guards against pictures that are too large stand at our limit.

`decode` is what every reader of `bronze.images` uses, so that a picture means the same pixels everywhere.
"""

import io
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import ExifTags, Image, ImageFile, PngImagePlugin, UnidentifiedImageError

from bronze.judgement import Limits, Photograph, Problem
from bronze.reasons import Reason
from bronze.structure import Content, ends_early, format_of, has_too_many_parts, without_metadata

Image.MAX_IMAGE_PIXELS = None  # a limit of today's is not asked of a picture that was taken under another
PngImagePlugin.MAX_TEXT_CHUNK = 16 << 20  # colour profiles of more than Pillow's 1 MiB are large, and no bombs

_TURNS = {  # by EXIF orientation: what stands a picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def inspect(content: bytes, limits: Limits) -> Photograph | Problem:
    """Decode content to the last pixel, unless it is beyond the limits, to find whether it is a photograph.

    Takes 4 bytes of memory a pixel, of a progressive JPEG 10, of a WebP 16. One call at a time in a process, for
    Pillow's guards are global.
    """
    if not content:
        return Problem(Reason.EMPTY, "The file has no bytes.")
    name = format_of(content)
    if name is None:
        return Problem(Reason.NOT_AN_IMAGE, f"Unknown content; it begins with {content[:16]!r}.")
    if name not in limits.formats:
        return limits.refusal(Reason.UNSUPPORTED_FORMAT, name)
    if has_too_many_parts(content, name):
        return Problem(Reason.CORRUPT, f"The {name} data is cut into more parts than a picture has.")
    try:
        with _pixels_guarded(limits.max_pixels):
            return _decoded(content, name)
    except Image.DecompressionBombError as error:
        return limits.refusal(Reason.TOO_MANY_PIXELS, f"{_first_number(error)} pixels;")
    except MemoryError:  # within the limits, so the shortage is the machine's, and may be over tomorrow
        return Problem(Reason.UNREADABLE, "There was not enough memory to decode it.")
    except Exception as error:  # noqa: BLE001 - Pillow's parsers raise what they like; it becomes the detail
        return _undecodable(error, content, name)


def decode(content: Content) -> Image.Image:
    """The picture as RGB: first frame, EXIF orientation applied, transparency on white, 16 bits scaled to 8.

    Takes 4 to 17 bytes of memory a pixel; the most where there is transparency.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged descriptions: a line a photograph
        image = _upright(_opened(content, str(format_of(content))))
    if image.mode == "RGB" and not image.has_transparency_data:
        return image  # converting would copy it
    if image.mode.startswith("I;16") or image.mode == "I":
        image = Image.fromarray((np.asarray(image, dtype=np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def salvage(content: bytes, limits: Limits) -> Image.Image | None:
    """What can be seen of a picture that is truncated or damaged, None where that is nothing; to look at, no more.

    By the same parsers and within the same limits as `inspect`, and like it one call at a time in a process.
    """
    name = format_of(content)
    if name is None or name not in limits.formats or has_too_many_parts(content, name):
        return None
    before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
    try:
        with _pixels_guarded(limits.max_pixels):
            return decode(content)
    except Exception:  # noqa: BLE001 - as in `inspect`; that it is damaged is known
        return None
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


@contextmanager
def _pixels_guarded(most: int) -> Iterator[None]:
    """Have Pillow refuse more pixels than `most`: some parsers set memory aside for them while they open a file."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, most / 2  # type: ignore[assignment]  # it refuses the double
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of half as many pixels, and of damaged descriptions: a line a file
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _decoded(content: bytes, name: str) -> Photograph | Problem:
    if name == "PNG":
        _opened(content, name).verify()  # the checksums of the pixels, which load() passes over
    image = _opened(content, name)
    width, height = image.size
    image.load()
    if ends_early(content, name):
        return Problem(Reason.TRUNCATED, f"The {name} data has no end marker.")
    return Photograph(name, width, height)


def _opened(content: Content, name: str) -> Image.Image:
    """The picture with its header parsed, by the parser of that format alone."""
    try:
        return Image.open(io.BytesIO(content), formats=[name])
    except Image.DecompressionBombError:
        raise
    except Exception:
        if name != "JPEG":
            raise
        # What describes a photograph is more often damaged than its header is, and no fault of the pixels.
        return Image.open(io.BytesIO(without_metadata(content)), formats=[name])


def _upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF data says; as it is stored, where they cannot be read."""
    image.load()
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 - a damaged EXIF block is no fault of the pixels
        return image
    # Not Pillow's exif_transpose: it writes the other EXIF data anew, and fails where those are damaged.
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def _undecodable(error: Exception, content: bytes, name: str) -> Problem:
    early = ends_early(content, name)
    if isinstance(error, UnidentifiedImageError):
        if early:
            return Problem(Reason.TRUNCATED, f"The {name} data ends in its header.")
        return Problem(Reason.CORRUPT, f"The header of the {name} data is damaged.")
    cut = early or isinstance(error, EOFError | struct.error) or "truncated" in str(error).lower()
    return Problem(Reason.TRUNCATED if cut else Reason.CORRUPT, f"{type(error).__name__}: {error}")


def _first_number(error: Exception) -> str:
    found = re.search(r"\d+", str(error))
    return found[0] if found else "too many"
