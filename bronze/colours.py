"""From a decoded picture to sRGB of 8 bits: what a screen shows on white."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image

_LARGEST_PROFILE = 4 << 20  # bytes; those of print shops have up to 3 MB
_STEPS = 9
_UNNOTICED = 8
"""By how many levels of 255 a profile moves a colour at most that is taken for sRGB: its variants stay below 7, and
Display P3 and Adobe RGB move some by 95 and more."""
_GREY_16 = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_TIFF_COLOURS, _WHITE_IS_ZERO = 262, 0


def to_srgb(image: Image.Image) -> Image.Image:
    """A picture as RGB: profile applied, transparency on white, 16 bits scaled to 8. The same where it is RGB, plain.

    A profile that is damaged, or of other colours than the picture's, is left out.
    """
    profile = image.info.get("icc_profile")
    if image.mode == "RGB" and not profile and not image.has_transparency_data:
        return image  # converting would copy it
    image = _of_eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        if profile:
            coloured = _shown(image.convert("RGB"), profile)
            coloured.putalpha(image.getchannel("A"))
            image = coloured
        return Image.alpha_composite(white, image).convert("RGB")
    return _shown(image, profile)


def _of_eight_bits(image: Image.Image) -> Image.Image:
    info, transparent = image.info, image.info.get("transparency")
    if image.mode not in _GREY_16:
        if isinstance(transparent, tuple) and max(transparent) > 255:  # a PNG's of 16 bits, whose pixels Pillow halves
            image = image.copy()
            image.info["transparency"] = tuple(level >> 8 for level in transparent)
        return image
    levels = np.asarray(image, dtype=np.uint32)
    tags = getattr(image, "tag_v2", {})
    eight = (levels >> 8).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(255 - eight if tags.get(_TIFF_COLOURS) == _WHITE_IS_ZERO else eight)
    if isinstance(transparent, int):
        image.putalpha(Image.fromarray(np.where(levels == transparent, 0, 255).astype(np.uint8)))
    image.info = {name: value for name, value in info.items() if name == "icc_profile"}
    return image


def _shown(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode == "LAB":
        return _of_lab(image)
    if image.mode in ("P", "PA", "1", "YCbCr", "RGBX"):
        image = image.convert("RGB")
    transform = _transform(profile, image.mode) if profile and len(profile) <= _LARGEST_PROFILE else None
    if transform is None and image.mode == "L" and profile and len(profile) <= _LARGEST_PROFILE:
        image = image.convert("RGB")  # some programs leave the profile when they take the colours away
        transform = _transform(profile, "RGB")
    return image.convert("RGB") if transform is None else transform.apply(image)


def _of_lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    transform = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
    return transform.apply(image)


@lru_cache(maxsize=4)
def _transform(profile: bytes, mode: str):  # type: ignore[no-untyped-def]  # imported below, where there is a profile
    """What brings colours of a mode to sRGB; None where that changes nothing, or the profile is of no use."""
    from PIL import ImageCms

    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), mode, "RGB"
        )
    except (ImageCms.PyCMSError, OSError):
        return None
    return None if mode == "RGB" and _is_srgb(transform) else transform


def _is_srgb(transform) -> bool:  # type: ignore[no-untyped-def]
    """Whether no colour of a lattice is moved by more than _UNNOTICED: found by trying, for names say little."""
    levels = np.linspace(0, 255, _STEPS).astype(np.uint8)
    lattice = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(_STEPS, -1, 3)
    moved = np.asarray(transform.apply(Image.fromarray(lattice)), dtype=np.int16) - lattice
    return bool(np.abs(moved).max() <= _UNNOTICED)
