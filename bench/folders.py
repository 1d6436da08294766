"""Folders of photographs to measure on: hard links of the real ones, and new ones made of them."""

import io
import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

from PIL import Image


def list_photographs(folder: Path) -> list[Path]:
    """All files below a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def link_folder(source: Path, target: Path) -> None:
    """The same files under another folder: a folder that may be added to, whatever is true of the source."""
    for path in list_photographs(source):
        _link(path, target / path.relative_to(source))


def link_many(source: Path, target: Path, count: int) -> None:
    """`count` files of the source's contents, each label many times over, under a name of its own each time."""
    photographs = list_photographs(source)
    for number in range(count):
        path = photographs[number % len(photographs)].relative_to(source)
        label = f"{path.parent.name} {number // len(photographs) + 1}"
        _link(source / path, target / path.parent.with_name(label) / path.name)


def add_photographs(folder: Path, photographs: Sequence[Path], source: Path, count: int, first: int = 0) -> list[Path]:
    """Add photographs whose content is new: real ones, turned by 90 degrees and encoded again; returns their paths.

    They take as long to decode as the real ones, look like them, and lie in the folders of those they were made of.

    Args:
        folder: where they are added.
        photographs: the real ones, below `source`.
        source: their folder.
        count: how many to add.
        first: how many were added before, and are not made again.
    """
    shuffled = random.Random(0).sample(photographs, len(photographs))
    added = []
    for number in range(first, first + count):
        path = shuffled[number % len(shuffled)]
        made = folder / path.relative_to(source).with_name(f"added-{number}.jpg")
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_bytes(_turned(path, quality=95 - number // len(shuffled)))
        added.append(made)
    return added


def _turned(path: Path, quality: int) -> bytes:
    content = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").transpose(Image.Transpose.ROTATE_90).save(content, "JPEG", quality=quality)
    return content.getvalue()


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or another owner's file
        shutil.copy2(source, target)
