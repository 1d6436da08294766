"""The formats that can be read: what people call each, and how the names of its files end."""

from typing import Literal, NamedTuple

Format = Literal["JPEG", "PNG", "GIF", "BMP", "WEBP", "HEIF", "AVIF", "TIFF", "JPEG2000"]
"""What the setting `formats` may name; all but the last two words are Pillow's."""


class Called(NamedTuple):
    """How a format is spoken of, and the ends of its files' names, which decide nothing: content does."""

    name: str
    suffixes: tuple[str, ...]


FORMATS: dict[Format, Called] = {
    "JPEG": Called("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo")),
    "PNG": Called("PNG", (".png", ".apng")),
    "GIF": Called("GIF", (".gif",)),
    "BMP": Called("BMP", (".bmp", ".dib")),
    "WEBP": Called("WebP", (".webp",)),
    "HEIF": Called("HEIC", (".heic", ".heif", ".heics", ".heifs", ".hif")),
    "AVIF": Called("AVIF", (".avif", ".avifs")),
    "TIFF": Called("TIFF", (".tif", ".tiff")),
    "JPEG2000": Called("JPEG 2000", (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx")),
}
