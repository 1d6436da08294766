"""`fruits forget`: photographs erased from every layer, history, change feed and MLflow artifacts included."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from bronze.contents import remove_orphans
from bronze.tables import CONTENTS, IMAGES
from fruits.catalog import OF_PHOTOGRAPHS, Layer
from fruits.operations.writing import exclusive_workspace
from fruits.settings import Settings
from gold.tables import PROJECTIONS
from lakehouse.errors import NotHeldError, SettingsError
from lakehouse.failpoint import crash_point
from lakehouse.runs.erase import erase_names
from lakehouse.storage import exists, list_files, read_file, remove_file
from lakehouse.storage.uri import absolute_uri, check_utf8, native_name, on_disk
from lakehouse.tables import delta
from lakehouse.tables.erase import contents_held, erase_dead, erase_files, erase_history
from lakehouse.workspace import Workspace
from silver.statistics import read_moments, update_moments
from silver.tables import FEATURES, MOMENTS


@dataclass
class Forgotten:
    """What was erased, and what is not in this command's power.

    Attributes:
        paths: what was named, as the tables spell it.
        contents: how many different contents these paths ever had.
        rows: by table, the current rows that were deleted.
        files: by table, the data files of history, change feed and dead runs that were removed.
        artifacts: MLflow artifacts that named a photograph, and were removed.
        messages: error messages in the history of runs that named a photograph, and were replaced.
        originals: named files that are still there: the next run would take them up again.
    """

    paths: list[str]
    contents: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    artifacts: list[str] = field(default_factory=list)
    messages: int = 0
    originals: list[str] = field(default_factory=list)


def forget(settings: Settings, names: Sequence[str]) -> Forgotten:
    """Erase photographs; after a crash the same call goes on where it ended.

    Args:
        settings: of the lake.
        names: paths or URIs of photographs; the files themselves need not be there any more.

    Raises:
        SettingsError: a name is of no file that a lake could hold; nothing was changed.
        NotHeldError: the lake never held one of them, or holds the same bytes under another path that was not named;
            nothing was changed.
        LeaseHeldError: another process writes to the lake; nothing was changed.
    """
    try:
        paths = sorted({absolute_uri(check_utf8(name)) for name in names})
    except ValueError as error:
        raise SettingsError(f"A photograph's name is wrong: {error}") from error
    with exclusive_workspace(settings, "forget") as workspace:
        contents = _contents(workspace, paths)
        _refuse_copies(workspace, paths, contents)
        done = Forgotten(paths, contents=len(contents))
        _delete_rows(workspace, done, contents)
        crash_point("forget.images-deleted")
        _delete_contents(workspace, done)
        crash_point("forget.rows-deleted")
        _update_moments(workspace)
        crash_point("forget.moments-updated")
        # Two moments in a row differ by the features of what came or went between them.
        if delta.open_table(workspace.lake, MOMENTS) is not None:
            done.files[MOMENTS.name] = erase_history(workspace.lake, MOMENTS)
        done.artifacts = _erase_artifacts(workspace, paths, contents)
        done.messages = erase_names(workspace.lake, [name for path in paths for name in _names(path)])
        if CONTENTS.name in done.rows:
            done.files[CONTENTS.name] = erase_dead(workspace.lake, CONTENTS)
        # Last, for by these files a call after a crash knows what to erase.
        for table in OF_PHOTOGRAPHS:
            if delta.open_table(workspace.lake, table) is not None:
                done.files[table.name] = erase_files(workspace.lake, table, paths, contents)
                crash_point("forget.files-erased")
        workspace.summary.update(_summary(done))
    done.originals = [path for path in paths if exists(path)]
    return done


def _contents(workspace: Workspace, paths: Sequence[str]) -> list[str]:
    """The SHA-256 of all that these paths ever held."""
    held: dict[str, set[str]] = {}
    for table in OF_PHOTOGRAPHS:
        if delta.open_table(workspace.lake, table) is not None:
            for path, contents in contents_held(workspace.lake, table, paths).items():
                held.setdefault(path, set()).update(contents)
    unknown = [path for path in paths if path not in held]
    if unknown:
        raise NotHeldError(
            f"The lake {workspace.lake.uri} does not hold {', '.join(unknown)}, nor did it. Nothing was changed. Paths "
            "are as `SELECT path FROM bronze.images` gives them."
        )
    return sorted(set().union(*held.values()))


def _refuse_copies(workspace: Workspace, paths: Sequence[str], contents: Sequence[str]) -> None:
    """An image is its bytes: erased under one name and kept under another it would not be erased."""
    if delta.open_table(workspace.lake, IMAGES) is None:
        return
    rows = delta.rows_where(workspace.lake, IMAGES, "sha256", contents, columns=["path"])
    others = sorted({row["path"] for row in rows} - set(paths))
    if others:
        shown = ", ".join(others[:10]) + (" …" if len(others) > 10 else "")
        raise NotHeldError(
            f"The same bytes are held under {shown} too. Nothing was changed. Name these paths as well, and all of it "
            "is erased."
        )


def _delete_rows(workspace: Workspace, done: Forgotten, contents: Sequence[str]) -> None:
    lake = workspace.lake
    for table in OF_PHOTOGRAPHS:
        if delta.open_table(lake, table) is None:
            continue
        done.rows[table.name] = 0
        rows = delta.rows_where(lake, table, "path", done.paths, columns=table.key)
        if "sha256" in table.schema.names:  # a correction may name a path that the photograph had before
            rows += delta.rows_where(lake, table, "sha256", contents, columns=table.key)
        if rows:
            keys = pa.schema([table.schema.field(name) for name in table.key])
            found = [dict(key) for key in {tuple(row.items()) for row in rows}]
            gone = workspace.engine.of(pa.Table.from_pylist(found, keys))
            done.rows[table.name] = workspace.engine.delete(gone, table)


def _delete_contents(workspace: Workspace, done: Forgotten) -> None:
    """Delete what no photograph holds any more: theirs, and what others held before they were replaced.

    All of it: by which path a content came that was replaced long ago, nobody may be able to tell.
    """
    lake = workspace.lake
    if delta.open_table(lake, CONTENTS) is not None and delta.open_table(lake, IMAGES) is not None:
        done.rows[CONTENTS.name] = remove_orphans(workspace.engine)


def _update_moments(workspace: Workspace) -> None:
    """Take the images out of the moments while the change feed still says what they were."""
    covered = read_moments(workspace.lake) if delta.open_table(workspace.lake, MOMENTS) is not None else None
    if covered is not None:
        update_moments(workspace, covered.feature_version, len(covered.moments.mean))


def _erase_artifacts(workspace: Workspace, paths: Sequence[str], contents: Sequence[str]) -> list[str]:
    """Remove the files beside MLflow's models that name a photograph; models hold sums over all of them."""
    needles = [name.encode() for path in paths for name in _names(path)]
    needles += [content.encode() for content in contents]
    erased = []
    folder = workspace.lake.uri_of("mlflow/artifacts/")
    files = (file.path for file in list_files(workspace.lake.uri, recursive=True))
    for file in sorted(path for path in files if path.startswith(folder)):
        content = read_file(file)
        if any(needle in content for needle in needles):
            remove_file(file)
            erased.append(file)
    return erased


def _names(path: str) -> tuple[str, str]:
    """How a photograph is named: by its URI, and as other programs do."""
    return path, native_name(path)


def _summary(done: Forgotten) -> dict[str, dict[str, object]]:
    """What the history of runs keeps, which is no name."""
    layers: dict[str, dict[str, object]] = {
        layer: {"removed": done.rows.get(table.name, 0)} for layer, table in _REMOVED_FROM.items()
    }
    erased = {"paths": len(done.paths), "contents": done.contents, "files": done.files}
    return {**layers, "forget": {**erased, "artifacts": len(done.artifacts), "messages": done.messages}}


_REMOVED_FROM = {Layer.BRONZE: IMAGES, Layer.SILVER: FEATURES, Layer.GOLD: PROJECTIONS}


def format_forgotten(done: Forgotten) -> str:
    """What was done and what is left to do, for people."""
    rows, files = sum(done.rows.values()), sum(done.files.values())
    lines = [
        f"Erased {len(done.paths):,} paths with {done.contents:,} contents: {rows:,} rows, {files:,} files of history, "
        f"change feed and dead runs, {len(done.artifacts):,} artifacts, {done.messages:,} messages of failed runs.",
        "Older versions of these tables can no longer be read in full. Models that were fitted before hold sums over "
        "all images, these among them; `fruits run --refit always` fits them without.",
    ]
    if not all(on_disk(path) for path in done.paths):
        lines.append("A bucket that keeps versions keeps these objects' too, and the lake's: end them there.")
    if done.originals:
        lines.append(
            "The files themselves are yours, and still there; the next run would take them up again. Delete: "
            + " ".join(done.originals)
        )
    return "\n".join(lines)
