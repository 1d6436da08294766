"""`fruits relabel`: a person's labels and splits, over those of folders and manifests, and taken back again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from bronze.labels import read_corrections
from bronze.manifest import Labelling
from bronze.names import MATCHES, Names
from bronze.tables import CORRECTIONS, IMAGES
from bronze.tables import TABLES as BRONZE_TABLES
from fruits.operations.writing import exclusive_workspace
from fruits.settings import Settings
from lakehouse.errors import NotHeldError, SettingsError
from lakehouse.failpoint import crash_point
from lakehouse.lease.base import user_name
from lakehouse.storage.uri import absolute_uri, check_utf8
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import Row
from lakehouse.workspace import Workspace

_SHOWN = 10


@dataclass
class Relabelled:
    """What was written down; the tables follow in the next run.

    Attributes:
        paths: the photographs that were named and have another correction now, or none any more.
        unchanged: those that had this correction already, or none to take back.
        copies: photographs that were not named and have the same bytes as one that was: the correction is theirs too.
    """

    paths: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)


def relabel(settings: Settings, labellings: Sequence[Labelling], reason: str | None = None) -> Relabelled:
    """Write corrections of photographs down; a label or split that is None stays as corrected before, or as given.

    Raises:
        NotHeldError: a name is of no photograph in the lake, or of several; nothing was written.
        SettingsError: two names are of the same bytes, with other labels; nothing was written.
        LeaseHeldError: another process writes to the lake; nothing was written.
    """
    wanted = {one.name: (one.label, one.split) for one in labellings}
    _check_texts(reason, *(text for said in wanted.values() for text in said))
    with exclusive_workspace(settings, "relabel") as workspace:
        photographs = _find(workspace.lake, [*wanted])
        before = read_corrections(workspace.engine)
        after: dict[str, Row] = {}
        for name, photograph in photographs.items():
            label, split = wanted[name]
            old_label, old_split = before.get(photograph["sha256"], (None, None))
            correction = (old_label if label is None else label, old_split if split is None else split)
            said = {**photograph, "label": correction[0], "split": correction[1]}
            other = after.setdefault(photograph["sha256"], said)
            if (other["label"], other["split"]) != correction:
                raise SettingsError(
                    f"{other['path']} and {photograph['path']} have the same bytes, so they cannot have different "
                    "labels or splits. Nothing was changed."
                )
        return _write(workspace, photographs, [*after.values()], before, reason)


def undo(settings: Settings, names: Sequence[str], reason: str | None = None) -> Relabelled:
    """Take corrections back: the photographs' labels are again those that folder or manifest give.

    Raises:
        NotHeldError: a name is of no photograph in the lake, or of several; nothing was written.
        LeaseHeldError: another process writes to the lake; nothing was written.
    """
    _check_texts(reason)
    with exclusive_workspace(settings, "relabel --undo") as workspace:
        photographs = _find(workspace.lake, names)
        after = {row["sha256"]: {**row, "label": None, "split": None} for row in photographs.values()}
        return _write(workspace, photographs, [*after.values()], read_corrections(workspace.engine), reason)


def _check_texts(*texts: str | None) -> None:
    try:
        for text in texts:
            check_utf8(text or "")
    except ValueError as error:
        raise SettingsError(f"{error} Nothing was changed.") from error


def _find(lake: Lake, names: Sequence[str]) -> dict[str, Row]:
    """By name, the one photograph in `bronze.images` that it is of: path and sha256."""
    try:
        wanted = Names.of(names, absolute_uri(str(Path.cwd())))
    except ValueError as error:
        raise SettingsError(f"A photograph's name is wrong: {error}") from error
    if delta.open_table(lake, IMAGES) is None:
        raise NotHeldError(f"There are no photographs in {lake.uri} yet; `fruits run` takes them in.")
    delta.create(lake, BRONZE_TABLES)
    batches = (batch for rows in delta.read_columns(lake, IMAGES, ["path"]) for batch in rows.to_batches())
    found = wanted.resolve(pa.Table.from_batches(wanted(batches), MATCHES))
    problems = [f"no photograph is named {name}" for name in wanted.given if name not in found]
    problems += [
        f"{name} is the end of {len(paths)} paths: {', '.join(sorted(paths)[:_SHOWN])}"
        + (" …" if len(paths) > _SHOWN else "")
        for name, paths in found.items()
        if len(paths) > 1
    ]
    if problems:
        more = f" … {len(problems) - _SHOWN:,} more." if len(problems) > _SHOWN else ""
        raise NotHeldError(
            f"In the lake {lake.uri} {'; '.join(problems[:_SHOWN])}.{more} Nothing was changed. Name a photograph by "
            "its path, or by an end of it that no other path has; `SELECT path FROM bronze.images` lists them."
        )
    paths = {name: path for name, (path,) in found.items()}
    rows = delta.rows_where(lake, IMAGES, "path", [*paths.values()], columns=["path", "sha256"])
    photographs = {row["path"]: row for row in rows}
    return {name: photographs[path] for name, path in paths.items()}


def _write(
    workspace: Workspace,
    photographs: Mapping[str, Row],
    corrections: Sequence[Row],
    before: Mapping[str, tuple[str | None, str | None]],
    reason: str | None,
) -> Relabelled:
    """Append the corrections that are other than before, in one commit."""
    lake = workspace.lake
    news = {
        row["sha256"]: row
        for row in corrections
        if (row["label"], row["split"]) != before.get(row["sha256"], (None, None))
    }
    crash_point("relabel.found")
    if news:
        said = {"reason": reason, "corrected_by": user_name(), "corrected_at": _now(lake)}
        rows = [{**row, **said} for row in news.values()]
        delta.write_small(pa.Table.from_pylist(rows, CORRECTIONS.schema), lake, CORRECTIONS, mode="append")
        crash_point("relabel.corrections-written")
    named = {row["path"]: row["sha256"] in news for row in photographs.values()}
    held = delta.rows_where(lake, IMAGES, "sha256", [*news], columns=["path"])
    return Relabelled(
        paths=sorted(path for path, new in named.items() if new),
        unchanged=sorted(path for path, new in named.items() if not new),
        copies=sorted({row["path"] for row in held} - named.keys()),
    )


def _now(lake: Lake) -> datetime:
    """A moment after all corrections that there are, also where the clock was set back: the newest one counts."""
    moments = delta.read_columns(lake, CORRECTIONS, ["corrected_at"])
    newest = max((row["corrected_at"] for rows in moments for row in rows.to_pylist()), default=None)
    now = datetime.now(UTC)
    return now if newest is None else max(now, newest + timedelta(microseconds=1))


def format_relabelled(done: Relabelled, *, undone: bool) -> str:
    """What was done, and what makes the tables follow, for people."""
    verb = "Took back the corrections of" if undone else "Corrected"
    lines = [f"{verb} {len(done.paths):,} photographs." if done.paths else "Nothing to change."]
    if done.unchanged:
        state = "had no correction" if undone else "had this label and split already, as a correction"
        lines.append(f"{len(done.unchanged):,} {state}.")
    if done.copies:
        shown = ", ".join(done.copies[:_SHOWN]) + (" …" if len(done.copies) > _SHOWN else "")
        lines.append(f"The same bytes are held under {len(done.copies):,} other paths, which follow too: {shown}")
    if done.paths:
        lines.append("The next `fruits run` brings labels and splits into all layers, and computes no features for it.")
    return "\n".join(lines)
