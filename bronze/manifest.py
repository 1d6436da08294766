"""Labels from a file: `path,label[,split]` lines of a CSV, or JSON lines, for the photographs that it names."""

import csv
import hashlib
import io
import json
import posixpath
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from bronze.names import MATCHES, Names
from lakehouse.engine.port import Engine, Rows
from lakehouse.errors import SettingsError, StorageError
from lakehouse.progress import Progress
from lakehouse.storage import read_file
from lakehouse.storage.uri import check_utf8, is_relative

_COLUMNS = ("path", "label", "split")
_PATH = ("path", "file_name", "filename", "file")
"""What the column, or the key, of a photograph's name may be called."""
_JSON = (".jsonl", ".ndjson")
_SHOWN = 10
_LABELS = pa.schema([(name, pa.string()) for name in _COLUMNS])


@dataclass(frozen=True)
class Labelling:
    """What a line says: a photograph's name, and its label, its split, or both."""

    line: int
    name: str
    label: str | None
    split: str | None


@dataclass(frozen=True)
class Manifest:
    """A file's lines, and the digest of its content."""

    uri: str
    lines: Sequence[Labelling]
    sha256: str


def read_manifest(uri: str) -> Manifest:
    """Read a CSV file, or JSON lines (`.jsonl`, `.ndjson`).

    A CSV file may begin with a line of column names (`path` or `file_name`, `label`, `split`, in any order); without
    one its columns are path, label and split. A JSON line is an object with these keys. Lines that say the same of the
    same name count once.

    Raises:
        SettingsError: it cannot be read, or lines are wrong; the message names each by its number.
    """
    try:
        content = read_file(uri)
        text = content.decode("utf-8-sig")
    except (OSError, StorageError) as error:
        raise SettingsError(f"The labels in {uri} cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"The labels in {uri} are not UTF-8: {error}") from error
    wrong: list[str] = []
    found: dict[str, Labelling] = {}
    for line, row in _json_rows(text) if uri.lower().endswith(_JSON) else _csv_rows(text):
        one = row if isinstance(row, str) else _labelling(line, row)
        if isinstance(one, str):
            wrong.append(f"line {line}: {one}")
            continue
        before = found.setdefault(one.name, one)
        if (before.label, before.split) != (one.label, one.split):
            wrong.append(f"line {line}: `{one.name}` has another label or split in line {before.line}")
    if wrong:
        raise SettingsError(f"The labels in {uri} are wrong. Nothing was changed.\n" + _some(wrong, "\n"))
    return Manifest(uri, [*found.values()], hashlib.sha256(content).hexdigest())


@contextmanager
def with_manifest(
    engine: Engine, listing: Rows, manifest: Manifest | None, root: str, progress: Progress
) -> Iterator[Rows]:
    """A listing in which the files that a manifest names have its labels and splits.

    Args:
        engine: whose rows they are.
        listing: as `list_photographs` returns it, kept.
        manifest: what names files; None changes nothing.
        root: the folder that was listed, from which names are meant.
        progress: told of lines that name no file.

    Raises:
        SettingsError: a line names several files.
    """
    if manifest is None:
        yield listing
        return
    paths = _resolved(engine, listing, manifest, root)
    missing = [f"line {line.line} `{line.name}`" for line in manifest.lines if line.name not in paths]
    if missing:
        progress.log(f"{len(missing):,} lines of {manifest.uri} name no file in {root}: {_some(missing, ', ')}.")
    found = sorted((line for line in manifest.lines if line.name in paths), key=lambda line: len(line.name))
    # Of several names of one file the longest counts.
    lines = {paths[line.name]: {"path": paths[line.name], "label": line.label, "split": line.split} for line in found}
    columns = ", ".join(
        f"coalesce(lines.{name}, listing.{name}) AS {name}" if name in ("label", "split") else f"listing.{name}"
        for name in listing.columns
    )
    labelled = engine.sql(
        f"SELECT {columns} FROM listing LEFT JOIN lines ON listing.path = lines.path",
        listing=listing,
        lines=engine.of(pa.Table.from_pylist([*lines.values()], _LABELS)),
    )
    with engine.kept(labelled) as kept:
        yield kept


def _resolved(engine: Engine, listing: Rows, manifest: Manifest, root: str) -> dict[str, str]:
    """The path of each name that is one file's."""
    try:
        names = Names.of([line.name for line in manifest.lines], root)
    except ValueError as error:
        raise SettingsError(f"The labels in {manifest.uri} are wrong: {error}") from error
    matches = engine.arrow(engine.map(engine.sql("SELECT path FROM listing", listing=listing), names, MATCHES))
    paths = names.resolve(matches)
    numbers = {line.name: line.line for line in manifest.lines}
    several = [
        f"line {numbers[name]}: `{name}` names {len(found)} files: {_some(sorted(found), ', ')}"
        for name, found in paths.items()
        if len(found) > 1
    ]
    if several:
        raise SettingsError(
            f"The labels in {manifest.uri} are ambiguous; give the path from {root}. Nothing was changed.\n"
            + _some(several, "\n")
        )
    return {name: path for name, (path,) in paths.items()}


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, object] | str]]:
    """The lines that are not empty, by column names, or what is wrong with one."""
    reader = csv.reader(io.StringIO(text), skipinitialspace=True, strict=True)
    columns: Sequence[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield line, str(error)
            return
        if row is None:
            return
        if not any(row):
            continue
        if columns is None:
            header = [name.strip().lower() for name in row]
            named = "label" in header and any(name in _PATH for name in header)
            columns = header if named else _COLUMNS
            if named:
                continue
        if len(row) > len(columns) or len(row) < 2:
            yield line, f"{len(row)} columns where there are 2 to {len(columns)}"
        else:
            yield line, dict(zip(columns, row, strict=False))


def _json_rows(text: str) -> Iterator[tuple[int, dict[str, object] | str]]:
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except ValueError as error:
            yield line, f"no JSON: {error}"
            continue
        yield line, row if isinstance(row, dict) else "no JSON object"


def _labelling(line: int, row: dict[str, object]) -> Labelling | str:
    """A line, or what is wrong with it."""
    values = {key: row.get(key) for key in ("label", "split")}
    name = next((row[key] for key in _PATH if key in row), None)
    if not isinstance(name, str) or not name.strip():
        return "it names no photograph"
    if wrong := [key for key, value in values.items() if not isinstance(value, str | None)]:
        return f"its {wrong[0]} is no text"
    label, split = (value.strip() or None if isinstance(value, str) else None for value in values.values())
    try:
        for text in (name, label, split):
            check_utf8(text or "")
    except ValueError as error:
        return str(error)
    if label is None and split is None:
        return f"`{name}` has neither a label nor a split"
    return Labelling(line, _as_short(name), label, split)


def _as_short(name: str) -> str:
    """One spelling of a relative name; `./~/x` stays no one's home."""
    short = posixpath.normpath(name) if is_relative(name) else name
    return short if is_relative(short) == is_relative(name) else f"./{short}"


def _some(texts: Sequence[str], separator: str) -> str:
    more = f"{separator}… {len(texts) - _SHOWN:,} more" if len(texts) > _SHOWN else ""
    return separator.join(texts[:_SHOWN]) + more
