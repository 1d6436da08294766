"""Make thumbnails for pages."""

import io

from PIL import Image


def shrink(image: Image.Image, side: int, quality: int) -> bytes:
    """A WebP of at most `side` pixels a side; the picture itself stays as it is. `quality` is WebP's, 0 to 100."""
    small = image.convert("RGB")
    small.thumbnail((side, side))
    made = io.BytesIO()
    small.save(made, "WEBP", quality=quality, method=2)
    return made.getvalue()
