"""Why an upload is no photograph that can be used, in plain words."""

from collections.abc import Collection

REFUSALS = {
    "empty": (400, "The file is empty. Choose it again, or take another photograph."),
    "not_an_image": (415, "This is not a picture. Choose a photograph: {formats}."),
    "unsupported_format": (415, "This kind of picture is not read here. Save it as {formats}."),
    "truncated": (422, "The end of the picture is missing. Copy the file again, or take another photograph."),
    "corrupt": (422, "The picture is damaged. Copy the file again, or take another photograph."),
    "too_large": (413, "The file is too large: at most {megabytes} MB are taken."),
    "too_many_pixels": (
        422,
        "The picture has too many pixels: at most {megapixels} megapixels are read. Make it smaller.",
    ),
    "kills_the_reader": (422, "The picture cannot be read. Take another photograph."),
    "unreadable": (503, "There was not enough memory to read the picture. Try a smaller one, or try again."),
}
"""By reason, one of those of `bronze.quarantine`: HTTP status, and what the page says."""

_SPOKEN = {"WEBP": "WebP"}


def refusal(reason: str, formats: Collection[str], max_bytes: int, max_pixels: int) -> tuple[int, str]:
    """The HTTP status and the words for a reason, under these limits."""
    status, words = REFUSALS[reason]
    return status, words.format(
        formats=spoken(formats), megabytes=f"{max_bytes / 2**20:.3g}", megapixels=f"{max_pixels / 1e6:.3g}"
    )


def spoken(formats: Collection[str]) -> str:
    """Formats as one says them: JPEG, PNG or WebP."""
    *others, last = [_SPOKEN.get(name, name) for name in formats]
    return f"{', '.join(others)} or {last}" if others else last
