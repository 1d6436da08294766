"""Parts that sections share: names of labels and files, and photographs as cards."""

from dataclasses import dataclass

UNLABELLED = "(no label)"
LABELS_LISTED = 200


@dataclass(frozen=True)
class Card:
    """A photograph with words below it; `picture` is the base64 of a WebP, or None where none is at hand."""

    path: str
    words: str
    picture: str | None


def card(path: str, words: str, thumbnails: dict[str, str], content: str | None = None) -> Card:
    """A photograph's card; `content` is the path of the same bytes where its own picture is not at hand."""
    return Card(path, words, thumbnails.get(path) or thumbnails.get(content or path))


def label_name(label: str | None) -> str:
    """A label, or words for none."""
    return UNLABELLED if label is None else label


def file_name(path: str) -> str:
    """The last part of a path."""
    return path.rpartition("/")[2]


def short_path(path: str) -> str:
    """The last two parts of a path."""
    return "/".join(path.split("/")[-2:])
