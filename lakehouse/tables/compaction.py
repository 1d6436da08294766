"""Which small files of a table are worth being merged, by the log's sizes alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from lakehouse.tables.table import DataFile

TARGET_BYTES = 128 << 20
"""Bytes of a file that is made of small ones, about; those from half of that on are left alone."""


@dataclass(frozen=True)
class Compacted:
    """What a compaction did: files and bytes that it read, and files that it wrote instead."""

    files: int = 0
    bytes: int = 0
    written: int = 0


def small_files(files: Sequence[DataFile], target: int = TARGET_BYTES) -> list[DataFile]:
    """The files below half of the target, the oldest first: neighbours in time have much the same batches."""
    return sorted((file for file in files if file.size < target // 2), key=lambda file: (file.written, file.name))


def groups(files: Sequence[DataFile], target: int = TARGET_BYTES, at_most: int | None = None) -> list[list[DataFile]]:
    """Groups of small files, each to become one file of at most `target` bytes.

    Without `at_most` all small files are in a group, but for one at the end that has no company. So what is left has at
    most one small file, and to merge again finds nothing to do.

    Args:
        files: of the newest version.
        target: bytes.
        at_most: bytes to rewrite in all. A file that has more than all smaller ones together is left out then: to write
            it anew for so little, again and again, would write each byte many times.
    """
    chosen = small_files(files, target)
    if at_most is not None:
        chosen = _worthwhile(chosen, at_most)
    made: list[list[DataFile]] = []
    size = 0
    for file in chosen:
        if not made or size + file.size > target:
            made.append([])
            size = 0
        made[-1].append(file)
        size += file.size
    return [group for group in made if len(group) > 1]


def _worthwhile(files: Sequence[DataFile], at_most: int) -> list[DataFile]:
    taken: set[str] = set()
    total = worth = size = 0
    by_size = sorted(files, key=lambda file: file.size)
    for count, file in enumerate(by_size, 1):
        total += file.size
        if total > at_most:
            break
        if count > 1 and 2 * file.size <= total:  # no more than the smaller ones together
            worth, size = count, total
    taken = {file.name for file in by_size[:worth]}
    return [file for file in files if file.name in taken] if size else []
