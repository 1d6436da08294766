"""Console output: results on stdout, progress and notes on stderr."""

import codecs
import io
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, BinaryIO, TextIO, cast

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from bronze.alike import in_quotes
from lakehouse.printable import printable


class _Terminal(Console):
    """A console whose text cannot steer the terminal, whatever names of files and labels are in it."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(_on_lines(text), **options)


# Paths and messages are shown as they stand: brackets are no markup.
OUT = _Terminal(highlight=False, markup=False)
ERR = _Terminal(stderr=True, highlight=False, markup=False)


_PATIENCE = 1.0
"""Seconds after which whoever waits is shown that something goes on."""

_COUNTED = ("labels", "images", "components")
"""Words of a summary that say what was counted, so that there may be one of it."""


class Format(StrEnum):
    """How a result is printed."""

    table = "table"
    json = "json"


class SqlFormat(StrEnum):
    """How an answer of rows and columns is written as text."""

    table = "table"
    csv = "csv"
    json = "json"


class Bars:
    """Progress bars in images on stderr; where that is no terminal, nothing but what must be read."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._stages: dict[tuple[str, int], TaskID] = {}

    def stage(self, name: str, total: int) -> Callable[[int], None]:
        """Show a bar for `total` images: the one of this stage where that is not at its end, else a new one."""
        going_on = self._stages.get((name, total))
        task = self._bars.add_task(name, total=total) if going_on is None else going_on
        self._stages[name, total] = task

        def show(done: int) -> None:
            self._bars.update(task, completed=done)
            if done >= total:
                self._stages.pop((name, total), None)

        return show

    def log(self, message: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(message)


class _Counted(MofNCompleteColumn):
    """How many of how many; nothing where nobody knows how many there are."""

    def render(self, task: Task) -> Text:
        return Text() if task.total is None else super().render(task)


class _Bars(Progress):
    """Bars, and above them, where it takes its time, how long the whole has taken."""

    def get_renderables(self) -> Iterable[RenderableType]:
        shown = [one for one in self.tasks if one.total is not None or (one.elapsed or 0) > _PATIENCE]
        yield self.make_tasks_table(shown)


_live: list[Progress] = []
"""The bars that are shown now: a terminal has room for one."""


@contextmanager
def bars(whole: str) -> Iterator[Bars]:
    """Show progress bars while the block runs, and from a second on that `whole` goes on, with or without stages.

    Within such a block it adds to the bars that are shown already. Nothing may be written to stdout meanwhile.
    """
    if _live:
        yield Bars(_live[0])
        return
    columns = (TextColumn("{task.description:<18}"), BarColumn(), _Counted(), TimeElapsedColumn())
    with _Bars(*columns, console=ERR, disable=not ERR.is_terminal, redirect_stdout=False) as progress:
        task = progress.add_task(whole, total=None)
        _live.append(progress)
        try:
            yield Bars(progress)
        finally:
            _live.clear()
            progress.remove_task(task)


class _Stdout(io.FileIO):
    """The process' standard output, whose errors say that it is."""

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except OSError as error:
            error.filename = "stdout"
            raise


def name_stdout() -> None:
    """Have errors of stdout name it, as those of files name these; one that somebody has replaced is left alone."""
    before = sys.stdout
    if before is not sys.__stdout__ or not isinstance(before, io.TextIOWrapper):  # None where it is closed
        return
    before.flush()
    raw = _Stdout(before.fileno(), "wb", closefd=False)
    sys.stdout = io.TextIOWrapper(
        cast("BinaryIO", raw) if before.write_through else io.BufferedWriter(raw),  # Python's `-u`, and not
        before.encoding,
        before.errors,
        line_buffering=before.line_buffering,
        write_through=before.write_through,
    )


def drop_stdout() -> None:
    """Drop what could not be written, which Python would try again at its end, with a message of its own."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)


def log(line: str) -> None:
    """Tell what happens, on stderr, with the time."""
    ERR.print(f"{time.strftime('%H:%M:%S')} {line}", soft_wrap=True)


def print_json(value: object) -> None:
    """Print one JSON value on stdout."""
    write_json(value, sys.stdout)
    sys.stdout.write("\n")


def write_json(value: object, file: TextIO) -> None:
    """Write one JSON value; numbers that JSON does not have, NaN and the infinite ones, as null.

    Characters that the file's encoding has not are written as JSON's codes, bytes of a name that are not UTF-8 among
    them: `os.fsencode` makes a name of what a parser reads.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, default=_as_json, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=False, default=_as_json, allow_nan=False)
    file.write(text.encode(file.encoding or "utf-8", _JSON_CODES).decode(file.encoding or "utf-8"))


_JSON_CODES = "fruits-json"


def _as_codes(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error(_JSON_CODES, _as_codes)


def _finite(value: object) -> object:
    match value:
        case float() | Decimal():
            return value if math.isfinite(value) else None
        case Mapping():
            return {key: _finite(one) for key, one in value.items()}
        case list() | tuple():
            return [_finite(one) for one in value]
        case _:
            return value


def _as_json(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else str(value)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str | None = None) -> None:
    """Print a table on stdout, as wide as the terminal: long texts are folded, and dates, numbers and words are not.

    Where there is no room for that, each of a few rows has a table of its own, a line a column.
    """
    cells = [[_shown(value) for value in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(map(_on_lines, columns), *cells, strict=True)]
    roomy = sum(min(width, _SHORT) + _MARGIN for width in widths) < OUT.width
    if not roomy and 0 < len(rows) <= _FEW and len(columns) > 2:
        if title:
            OUT.print(title, style="bold")
        for number, row in enumerate(cells, start=1):
            print_table([f"row {number}", ""], [*zip(columns, row, strict=True)])
        return
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for column, width in zip(columns, widths, strict=True):
        table.add_column(Text(column), overflow="fold", no_wrap=roomy and width <= _SHORT)
    for shown in cells:
        table.add_row(*map(Text, shown))
    OUT.print(table)


_FEW = 20
_SHORT, _MARGIN = 16, 3
"""Characters of what is not folded, as a date with its time, and those between two columns."""


def print_summary(summary: Mapping[str, object]) -> None:
    """Print a run's summary: a line a layer, with what is not zero; figures of figures have a line of their own."""
    for layer, figures in summary.items():
        assert isinstance(figures, Mapping)
        plain = {key: value for key, value in figures.items() if not isinstance(value, Mapping)}
        parts = [_counted(value, key) for key, value in plain.items() if value not in (0, None)]
        OUT.print(f"{layer:<8}{', '.join(parts) or 'nothing'}", soft_wrap=True)
        for key, value in figures.items():
            if isinstance(value, Mapping) and value:
                OUT.print(f"{in_words(key) + ' ':<8}{_all_of(value)}", soft_wrap=True)
                if alike := value.get("alike"):
                    OUT.print(f"{in_words(key)} that look alike: {'; '.join(map(in_quotes, alike))}", soft_wrap=True)


def _all_of(figures: Mapping[str, object]) -> str:
    parts = [
        f"{in_words(key)}: {_all_of(value) or 'none'}" if isinstance(value, Mapping) else _counted(value, key)
        for key, value in figures.items()
        if not isinstance(value, list)  # which has a line of its own
    ]
    return ", ".join(parts)


def format_bytes(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "B" or count >= 10 else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"


def in_words(key: str) -> str:
    """A name of ours in words; anything else, such as a pattern, as it is."""
    return key.replace("_", " ") if key.isidentifier() else key


def _on_lines(text: str) -> str:
    """As `printable`, for text whose lines are ours."""
    return "\n".join(printable(line) for line in text.split("\n"))


def _counted(value: object, key: str) -> str:
    words = in_words(key)
    return f"{_shown(value)} {words.removesuffix('s') if value == 1 and key in _COUNTED else words}"


def _shown(value: object) -> str:
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.4g}"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case bytes():
            return f"<{len(value):,} bytes>"
        case list() if len(value) > 4:
            return f"[{', '.join(_shown(one) for one in value[:3])}, … {len(value):,}]"
        case _:
            return _on_lines(str(value))
