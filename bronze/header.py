"""What the header of a file says that its decoder does not ask, or asks too late, and who reads which format's."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

DAMAGED = (struct.error, IndexError, OverflowError)
"""What reading a damaged header raises: places that are not there."""


@dataclass(frozen=True)
class Header:
    """What is known of a picture before a decoder sees it.

    Attributes:
        pixels: the most that a decoder sets memory aside for at once, or unpacks in all where that is more.
        unread: why it is not read, where it is of a kind whose colours are not certain.
        cut: whether the file ends before the data that the header names.
        profile: an ICC profile that the decoder does not hand out.
    """

    pixels: int
    unread: str | None = None
    cut: bool = False
    profile: bytes | None = None


class TooManyPartsError(Exception):
    """A file is cut into more parts, or its parts overlap more, than a picture's do."""


def reader_of(name: str) -> Callable[[bytes], Header] | None:
    """The function that reads a format's header, None where Pillow's own guards do; imported where one is met.

    It raises one of DAMAGED where the header is that, and a `TooManyPartsError`. Its time is in proportion to
    the header, whatever that holds.
    """
    match name:
        case "HEIF":
            from bronze.heif import read_header
        case "AVIF":
            from bronze.avif import read_header
        case "TIFF":
            from bronze.tiff import read_header
        case "JPEG2000":
            from bronze.jpeg2000 import read_header
        case _:
            return None
    return read_header
