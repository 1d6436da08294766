"""Messages for uploads that cannot be identified, by reason."""

from collections.abc import Collection

from bronze.formats import FORMATS
from bronze.judgement import Limits
from bronze.reasons import Reason

REFUSALS = {
    Reason.EMPTY: (400, "The file is empty. Choose it again, or take another photograph."),
    Reason.NOT_AN_IMAGE: (415, "This is not a picture. Choose a photograph: {formats}."),
    Reason.UNSUPPORTED_FORMAT: (415, "This kind of picture is not read here. Save it as {formats}."),
    Reason.UNSUPPORTED_KIND: (415, "This picture has colours that cannot be read for sure. Save it as JPEG or PNG."),
    Reason.TRUNCATED: (422, "The end of the picture is missing. Copy the file again, or take another photograph."),
    Reason.CORRUPT: (422, "The picture is damaged. Copy the file again, or take another photograph."),
    Reason.TOO_LARGE: (413, "The file is too large: at most {megabytes} MB are taken."),
    Reason.TOO_MANY_PIXELS: (
        422,
        "The picture has too many pixels: at most {megapixels} megapixels are read. Make it smaller.",
    ),
    Reason.KILLS_THE_READER: (422, "The picture cannot be read. Take another photograph."),
    Reason.UNREADABLE: (503, "There was not enough memory to read the picture. Try a smaller one, or try again."),
}
"""By reason, one of those of `bronze.quarantine`: HTTP status, and what the page says."""

_NAMES: dict[str, str] = {name: called.name for name, called in FORMATS.items()}


def refusal(reason: str, limits: Limits) -> tuple[int, str]:
    """The HTTP status and the words for a reason, under these limits."""
    status, words = REFUSALS[Reason(reason)]
    return status, words.format(
        formats=spoken(limits.formats),
        megabytes=f"{limits.max_bytes / 2**20:.3g}",
        megapixels=f"{limits.max_pixels / 1e6:.3g}",
    )


def spoken(formats: Collection[str]) -> str:
    """Formats as one says them: JPEG, PNG or WebP."""
    *others, last = [_NAMES.get(name, name) for name in formats]
    return f"{', '.join(others)} or {last}" if others else last


def chosen_from(formats: Collection[str]) -> str:
    """What a browser's file dialogue offers, for `accept`: all that it takes for pictures, and each of these formats.

    By the ends of names too, for a system may not know that HEIC is a picture.
    """
    suffixes = (suffix for name, called in FORMATS.items() if name in formats for suffix in called.suffixes)
    return ",".join(["image/*", *suffixes])
