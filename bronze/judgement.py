"""What is taken as a photograph, and what is said of content that is not; imported without a decoder."""

from collections.abc import Collection
from dataclasses import dataclass

from bronze.reasons import Reason


@dataclass(frozen=True)
class Photograph:
    """What the header says: format by content ("JPEG"), width and height in pixels as stored."""

    format: str
    width: int
    height: int


@dataclass(frozen=True)
class Problem:
    """Why content is no photograph that can be used: the reason, and the words of whoever found out."""

    reason: Reason
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
            Reason.TOO_LARGE: f"at most {self.max_bytes} are read",
            Reason.TOO_MANY_PIXELS: f"at most {self.max_pixels} are decoded",
            Reason.UNSUPPORTED_FORMAT: f"is not among the formats {', '.join(sorted(self.formats))}",
        }

    def refusal(self, reason: Reason, found: str) -> Problem:
        """What is said of content that is beyond the limits."""
        return Problem(reason, f"{found} {self.clauses[reason]}.")
