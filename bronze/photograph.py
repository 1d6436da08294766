"""Validate a photograph: its format and size, decided by content, never by name.

A file may have been made to do harm. So no parser sees it but that of its own format, and that only if the format is
taken; and while it is parsed Pillow's guards against pictures that are too large stand at our limit.

`decode` is what every reader of `bronze.images` uses, so that a picture means the same pixels everywhere.
"""

import io
import logging
import re
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from PIL import ExifTags, Image, ImageFile, PngImagePlugin, UnidentifiedImageError

from bronze.boxes import is_cut
from bronze.colours import to_srgb
from bronze.header import DAMAGED, Header, TooManyPartsError, reader_of
from bronze.judgement import Limits, Photograph, Problem
from bronze.quiet import without_stderr
from bronze.reasons import Reason
from bronze.structure import (
    Content,
    ends_early,
    first_picture,
    format_of,
    has_too_many_parts,
    is_sound_png,
    without_metadata,
)
from bronze.tiff import is_sound

Image.MAX_IMAGE_PIXELS = None  # a limit of today's is not asked of a picture that was taken under another
# What Pillow has to say of damaged descriptions is a line a photograph, and `catch_warnings` is not safe among threads.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)
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
_XMP = ("xmp", "XML:com.adobe.xmp")


def inspect(content: bytes, limits: Limits) -> Photograph | Problem:
    """Decode content to the last pixel, unless it is beyond the limits, to find whether it is a photograph.

    Takes 4 bytes of memory a pixel, of a progressive JPEG 10, of a WebP 16. One call at a time in a process, for
    Pillow's guards are global.
    """
    found = _inspected(content, limits, lambda image: image)
    return found if isinstance(found, Problem) else found[0]


def inspect_and_decode(content: bytes, limits: Limits) -> tuple[Photograph, Image.Image] | Problem:
    """What `inspect` says of content, and the picture as `decode` has it, decoded once. As `inspect`, one at a time."""
    return _inspected(content, limits, lambda image: to_srgb(_upright(image)))


def _inspected(
    content: bytes, limits: Limits, finish: Callable[[Image.Image], Image.Image]
) -> tuple[Photograph, Image.Image] | Problem:
    if not content:
        return Problem(Reason.EMPTY, "The file has no bytes.")
    name = format_of(content)
    if name is None:
        return Problem(Reason.NOT_AN_IMAGE, f"Unknown content; it begins with {content[:16]!r}.")
    if name not in limits.formats:
        return limits.refusal(Reason.UNSUPPORTED_FORMAT, name)
    if has_too_many_parts(content, name):
        return _too_many_parts(name)
    refused = _refused(content, name, limits)
    if refused is not None:
        return refused
    try:
        with _pixels_guarded(limits.max_pixels):
            found = _decoded(content, name)
            return found if isinstance(found, Problem) else (found[0], finish(found[1]))
    except Image.DecompressionBombError as error:
        return limits.refusal(Reason.TOO_MANY_PIXELS, f"{_first_number(error)} pixels;")
    except MemoryError:  # within the limits, so the shortage is the machine's, and may be over tomorrow
        return Problem(Reason.UNREADABLE, "There was not enough memory to decode it.")
    except Exception as error:  # noqa: BLE001 - Pillow's parsers raise what they like; it becomes the detail
        return _undecodable(error, content, name)


def decode(content: Content) -> Image.Image:
    """The picture as a screen shows it, in sRGB of 8 bits: first frame, upright, colour profile applied, on white.

    Takes 4 to 17 bytes of memory a pixel; the most where there is transparency. Safe for threads.
    """
    return to_srgb(_upright(_opened(content, str(format_of(content)))))


def salvage(content: bytes, limits: Limits) -> Image.Image | None:
    """What can be seen of a picture that is truncated or damaged, None where that is nothing; to look at, no more.

    By the same parsers and within the same limits as `inspect`, and like it one call at a time in a process.
    """
    name = format_of(content)
    if name is None or name not in limits.formats or has_too_many_parts(content, name):
        return None
    if _refused(content, name, limits) is not None:
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


def _refused(content: bytes, name: str, limits: Limits) -> Problem | None:
    """What is wrong with a picture by its header alone, of the formats whose decoder does not ask for it in time."""
    read_header = reader_of(name)
    if read_header is None:
        return None
    try:
        header = read_header(content)
    except DAMAGED:
        return _undecodable(UnidentifiedImageError(), content, name)
    except TooManyPartsError:
        return _too_many_parts(name)
    if header.unread is not None:
        return Problem(Reason.UNSUPPORTED_KIND, f"This {name} is not read: {header.unread}.")
    if header.pixels > limits.max_pixels:
        return limits.refusal(Reason.TOO_MANY_PIXELS, f"{header.pixels} pixels;")
    return None


def _too_many_parts(name: str) -> Problem:
    return Problem(Reason.CORRUPT, f"The {name} data is cut into more parts than a picture has.")


def _decoded(content: bytes, name: str) -> tuple[Photograph, Image.Image] | Problem:
    whole = first_picture(content, name)
    if name == "PNG":
        _opened(content, name).verify()  # the checksums of the pixels, which load() passes over
        if not is_sound_png(content):
            return Problem(Reason.CORRUPT, "The header of the PNG data is damaged.")
    image = _opened(content, name)
    width, height = getattr(image, "_tile_size", image.size)  # a TIFF's size is told as it will be turned
    image.load()
    # OpenJPEG makes up tiles that are missing; of other formats the decoder misses what is not there.
    if ends_early(bytes(whole), name) or (name == "JPEG2000" and _header(content, name).cut):
        return Problem(Reason.TRUNCATED, f"The {name} data has no end marker.")
    return Photograph(name, width, height), image


def _opened(content: Content, name: str) -> Image.Image:
    """The picture with its header parsed, by the parser of that format alone; HEIF and TIFF decoded."""
    if name == "HEIF":
        from bronze.heif import open_heif

        return open_heif(bytes(content))
    try:
        if name == "TIFF":
            with without_stderr():  # to which libtiff writes what it thinks of tags and codes
                image = Image.open(io.BytesIO(content), formats=[name])
                image.load()
                return image
        image = Image.open(io.BytesIO(first_picture(content, name)), formats=[name])
    except Image.DecompressionBombError:
        raise
    except Exception:
        if name != "JPEG":
            raise
        # What describes a photograph is more often damaged than its header is, and no fault of the pixels.
        return Image.open(io.BytesIO(without_metadata(content)), formats=[name])
    if name == "JPEG2000" and (profile := _header(bytes(content), name).profile):
        image.info["icc_profile"] = profile
    return image


def _header(content: bytes, name: str) -> Header:
    read_header = reader_of(name)
    return Header(0) if read_header is None else read_header(content)


def _upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF data says; as it is stored, where they cannot be read."""
    image.load()
    if image.format is None or image.format == "TIFF":
        return image  # libheif and Pillow have turned it
    exif = image.info.get("exif")
    if exif and not is_sound(exif):
        return image  # Pillow would hold its values many times
    for name in _XMP:  # which Pillow would follow, and browsers do not
        image.info.pop(name, None)
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 - a damaged EXIF block is no fault of the pixels
        return image
    # Not Pillow's exif_transpose: it writes the other EXIF data anew, and fails where those are damaged.
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def _undecodable(error: Exception, content: bytes, name: str) -> Problem:
    early = ends_early(content, name) or _is_cut(content, name)
    if isinstance(error, UnidentifiedImageError):
        if early:
            return Problem(Reason.TRUNCATED, f"The {name} data ends in its header.")
        return Problem(Reason.CORRUPT, f"The header of the {name} data is damaged.")
    if "unsupported" in str(error).lower():
        return Problem(Reason.UNSUPPORTED_KIND, f"This {name} is not read: {error}.")
    cut = early or isinstance(error, EOFError | struct.error) or "truncated" in str(error).lower()
    return Problem(Reason.TRUNCATED if cut else Reason.CORRUPT, f"{type(error).__name__}: {error}")


def _is_cut(content: bytes, name: str) -> bool:
    """Whether a file of a format with a header reader ends before its data does, or in the header itself."""
    try:
        return _header(content, name).cut
    except TooManyPartsError:
        return False
    except DAMAGED:
        if name == "TIFF":
            return True
        return name in ("HEIF", "AVIF", "JPEG2000") and is_cut(content)


def _first_number(error: Exception) -> str:
    found = re.search(r"\d+", str(error))
    return found[0] if found else "too many"
