"""Files in quarantine, with a thumbnail where one can be made."""

from dataclasses import dataclass

from bronze.judgement import Limits
from bronze.photograph import salvage
from bronze.reasons import Reason, advice_on
from fruits.query.quarantine import held_back
from fruits.report.thumbnails import thumbnail
from fruits.settings import Settings
from lakehouse.errors import LakehouseError
from lakehouse.storage import read_file
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import Row

SHOWN = 12
_PARTLY_VISIBLE = {reason for reason in Reason if reason.partly_visible}


@dataclass(frozen=True)
class HeldFile:
    """A file that is held back; `picture` is what can be seen of it, a WebP as base64, or None."""

    path: str
    label: str | None
    reason: str
    detail: str
    length: int
    picture: str | None


@dataclass(frozen=True)
class Held:
    """Files by reason with what to do about them, (reason, files, advice), and the newest files."""

    reasons: list[tuple[str, int, str]]
    files: list[HeldFile]

    @property
    def count(self) -> int:
        """Files in all."""
        return sum(count for _, count, _ in self.reasons)


def read_held(lake: Lake, settings: Settings) -> Held:
    """Ask `bronze.quarantine`, and look at the files themselves where they still are."""
    found = held_back(lake, most=SHOWN)
    files = [_file(dict(zip(found.columns, row, strict=True)), settings.limits) for row in found.rows]
    return Held([(reason, count, advice_on(reason)) for reason, count in found.counts.items()], files)


def _file(row: Row, limits: Limits) -> HeldFile:
    picture = _picture(row["path"], limits) if row["reason"] in _PARTLY_VISIBLE else None
    return HeldFile(row["path"], row["label"], row["reason"], row["detail"], row["length"], picture)


def _picture(path: str, limits: Limits) -> str | None:
    """What is to be seen of a file, None where that is nothing or the file is no longer there."""
    try:
        content = read_file(path, limits.max_bytes)
    except (OSError, LakehouseError):
        return None
    image = salvage(content, limits)
    return thumbnail(image) if image is not None else None
