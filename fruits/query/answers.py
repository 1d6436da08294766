"""Print or write query results as table, CSV, JSON or Parquet."""

import base64
import csv
import sys
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from fruits.console import ERR, SqlFormat, bars, print_table, write_json
from fruits.query.sql import Answer
from lakehouse.errors import SettingsError
from lakehouse.failures import why
from lakehouse.storage.uri import followed

SHOWN = 200
"""Rows of a table for the eye; a program that wants all of them asks for another format."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What formulas begin with, the wide forms of Chinese and Japanese fonts included."""

PARQUET = "parquet"
FORMATS = (*SqlFormat, PARQUET)


def answer_format(name: str | None, output: Path | None) -> str:
    """The format of an answer: the one that is named, or a file's own, or a table.

    Raises:
        SettingsError: there is no such format, or it does not go where it should.
    """
    wanted = name or (output.suffix.removeprefix(".").lower() if output else SqlFormat.table)
    if wanted not in FORMATS:
        which = f"--format is {name!r}" if name else f"The format of {output} is not known by its name"
        raise SettingsError(f"{which}; it is one of {', '.join(FORMATS)}.")
    if wanted == PARQUET and output is None:
        raise SettingsError("Parquet is binary: name a file for it, as `--output answer.parquet`.")
    if wanted == SqlFormat.table and output is not None:
        raise SettingsError(f"A table is for the eye: write {output} with --format csv, json or parquet.")
    return wanted


def show_answer(answer: Answer, shape: SqlFormat) -> None:
    """Print an answer on stdout; of a table the first rows, and on stderr how many there are."""
    if shape != SqlFormat.table:
        _write_text(answer.columns, answer.rows(), shape, sys.stdout)
        return
    with bars("query"):
        rows, count = answer.first(SHOWN)
    print_table(answer.columns, rows)
    if count > len(rows):
        more = "--format csv, json and parquet hold them all, and LIMIT asks for fewer."
        ERR.print(f"The first {len(rows)} of {count:,} rows; {more}", soft_wrap=True)


def write_answer(answer: Answer, wanted: str, output: Path) -> int:
    """Write an answer to a file, which is there whole or not at all; returns the number of rows."""
    with _whole(output) as unfinished:
        if wanted == PARQUET:
            return _write_parquet(answer, unfinished)
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            return _write_text(answer.columns, answer.rows(), SqlFormat(wanted), file)


def print_answer(columns: Sequence[str], rows: Sequence[Sequence[object]], shape: SqlFormat) -> None:
    """Print all rows of an answer on stdout; bytes as base64 in csv and json."""
    if shape == SqlFormat.table:
        print_table(columns, rows)
    else:
        _write_text(columns, rows, shape, sys.stdout)


def _write_text(columns: Sequence[str], rows: Iterable[Sequence[object]], shape: SqlFormat, file: TextIO) -> int:
    return (_write_csv if shape == SqlFormat.csv else _write_json)(columns, rows, file)


def _write_csv(columns: Sequence[str], rows: Iterable[Sequence[object]], file: TextIO) -> int:
    writer = csv.writer(_Lines(file), lineterminator="\r\n")
    writer.writerow([_no_formula(column) for column in columns])
    written = 0
    for row in rows:
        writer.writerow([_no_formula(_plain(value)) for value in row])
        written += 1
    return written


class _Lines:
    """A file for lines of CSV that end in a line feed alone.

    The writer is told otherwise, for only what it ends lines with does it put into quotes, and readers take a carriage
    return in a name for the end of a line, too.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, line: str) -> int:
        """Write a whole line, as the writer hands them on."""
        return self._file.write(line.removesuffix("\r\n") + "\n")


def _write_json(columns: Sequence[str], rows: Iterable[Sequence[object]], file: TextIO) -> int:
    """One list of objects, written row by row: an answer may be larger than memory."""
    written = 0
    file.write("[")
    for row in rows:
        file.write(", " if written else "")
        write_json(dict(zip(columns, map(_plain, row), strict=True)), file)
        written += 1
    file.write("]\n")
    return written


def _write_parquet(answer: Answer, file: Path) -> int:
    from pyarrow import parquet

    written = 0
    with parquet.ParquetWriter(file, answer.schema) as writer:
        for batch in answer.batches:
            writer.write_batch(batch)
            written += batch.num_rows
    return written


@contextmanager
def _whole(output: Path) -> Iterator[Path]:
    """A file beside the one that is wanted, which takes its place when the block has ended well."""
    with _written(output):
        no_file = output.exists() and not output.is_file()
        output = output if no_file else followed(output)  # or a link would become a file
    if no_file:  # a device or a pipe: never a file in its place
        with _written(output):
            yield output
        return
    unfinished = output.with_name(f".{uuid.uuid4().hex}.unfinished")  # its own name may be as long as names can be
    try:
        with _written(output):
            yield unfinished
            unfinished.replace(output)
    finally:
        with suppress(OSError):  # where it cannot be made it cannot be removed, as has been said
            unfinished.unlink(missing_ok=True)


@contextmanager
def _written(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingsError(f"{output} cannot be written: {why(error)}") from error


def _plain(value: object) -> object:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _no_formula(value: object) -> object:
    """Text that a spreadsheet would compute, with an apostrophe before it: a label or a file's name may say anything.

    As OWASP advises ("CSV Injection").
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
