"""HEIC as phones write it, drawn here: turned, in Display P3, with other pictures beside the one that is meant."""

import io
import struct
from collections.abc import Sequence

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tests.bronze.corpus import TURNS

_ORIENTATION = b"\x01\x12\0\x03\0\0\0\x01\0"  # the entry of EXIF data, up to its value
_P3 = {b"rXYZ": (0.51512, 0.2412, -0.00105), b"gXYZ": (0.29198, 0.69225, 0.04189), b"bXYZ": (0.1571, 0.06657, 0.78407)}


def heic(picture: NDArray[np.uint8], beside: Sequence[NDArray[np.uint8]] = (), **options: object) -> bytes:
    """A picture as HEIC, its colours hardly changed, then others; `primary_index` says which is meant."""
    made, file = io.BytesIO(), pillow_heif.from_pillow(Image.fromarray(picture))
    for other in beside:
        file.add_from_pillow(Image.fromarray(other))
    file.save(made, quality=-1, chroma=444, **options)
    return made.getvalue()


def turned_heic(upright: NDArray[np.uint8], boxes: int, exif: int) -> bytes:
    """A picture that is stored as EXIF's number `boxes` says, which `irot` and `imir` tell; EXIF data say `exif`."""
    told = Image.Exif()
    told[0x0112] = boxes
    content = heic(np.ascontiguousarray(TURNS[boxes](upright)), exif=told.tobytes())
    assert content.count(_ORIENTATION) == 1
    return content.replace(_ORIENTATION + bytes([boxes]), _ORIENTATION + bytes([exif]))


def display_p3() -> bytes:
    """The profile of a phone's screen: sRGB's curve and Display P3's primaries, adapted to D50."""
    made = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (tags,) = struct.unpack_from(">I", made, 128)
    for entry in range(132, 132 + 12 * tags, 12):
        name, at, _ = struct.unpack_from(">4sII", made, entry)
        if name in _P3:
            struct.pack_into(">3i", made, at + 8, *(round(value * 65536) for value in _P3[name]))
    return bytes(made)


def of_display_p3(srgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The levels by which Display P3 names colours of sRGB; from the matrices of both."""
    to_linear = np.where(srgb <= 10, srgb / 255 / 12.92, ((srgb / 255 + 0.055) / 1.055) ** 2.4)
    from_srgb = np.array(((0.82246, 0.17754, 0), (0.03319, 0.96681, 0), (0.01708, 0.0724, 0.91052)))
    linear = to_linear @ from_srgb.T
    coded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    levels: NDArray[np.uint8] = np.rint(255 * coded).clip(0, 255).astype(np.uint8)
    return levels
