"""`fruits identify`: label, confidence and nearest neighbours of photographs."""

from collections.abc import Iterator, Sequence
from typing import TypedDict, final

from fruits.console import print_table
from fruits.identify.identifier import Answer, Identifier, NotAPhotographError
from fruits.settings import Settings
from lakehouse.errors import StorageError
from lakehouse.storage import read_file
from lakehouse.storage.uri import absolute_uri

_SHOWN = 3  # neighbours in the table


class Neighbour(TypedDict):
    """A photograph of the lake that is like the one asked about; the distance is from 0 to 2."""

    path: str
    label: str | None
    distance: float


@final
class Told(TypedDict):
    """What a photograph is."""

    photo: str
    label: str | None
    known: bool
    confidence: float
    neighbours: list[Neighbour]


@final
class Unread(TypedDict):
    """Why a photograph could not be read."""

    photo: str
    error: str


Found = Told | Unread


def identify(settings: Settings, photos: Sequence[str]) -> Iterator[Found]:
    """Identify photographs, one after the other; one that cannot be read stops none.

    Args:
        settings: name the lake, and the limits of what is read.
        photos: paths or s3:// URIs.

    Yields:
        photo, label (None where not known), known, confidence, and neighbours of path, label and distance (0 to 2); or
        photo and error.

    Raises:
        NothingKnownError: there is nothing to compare with.
        WeightsNotFoundError: the lake has lost its model.
    """
    identifier = Identifier.open(settings)
    for photo in photos:
        try:
            content = read_file(absolute_uri(photo), settings.max_bytes + 1)
            if len(content) > settings.max_bytes:
                yield {"photo": photo, "error": f"too_large: more than {settings.max_bytes} bytes."}
                continue
            yield _to_found(photo, identifier.identify(content))
        except NotAPhotographError as error:
            yield {"photo": photo, "error": str(error)}
        except (OSError, StorageError, ValueError) as error:
            why = str(getattr(error, "strerror", None) or error).rstrip(".")
            yield {"photo": photo, "error": f"It cannot be read: {why}."}


def print_found(found: Sequence[Found]) -> None:
    """Print answers for people."""
    rows: list[tuple[str, str | None, str, str]] = []
    for one in found:
        if "error" in one:
            rows.append((one["photo"], "not read", "", one["error"]))
        else:
            label = one["label"] if one["known"] else "unknown"
            rows.append((one["photo"], label, f"{one['confidence']:.0%}", _nearest(one["neighbours"])))
    print_table(("photo", "label", "sure", "nearest"), rows)


def _nearest(neighbours: Sequence[Neighbour]) -> str:
    words = [
        f"{one['label'] or 'no label'} {one['path'].rpartition('/')[2]} ({one['distance']:.2f})" for one in neighbours
    ]
    return ", ".join(words[:_SHOWN])


def _to_found(photo: str, answer: Answer) -> Told:
    neighbours: list[Neighbour] = [
        {"path": one.path, "label": one.label, "distance": round(one.distance, 6)} for one in answer.neighbours
    ]
    return {
        "photo": photo,
        "label": answer.label,
        "known": answer.known,
        "confidence": round(answer.confidence, 6),
        "neighbours": neighbours,
    }
