"""MLflow's SQLite file: made elsewhere and put in place whole, from an empty one that is made once a machine.

Making one takes MLflow seconds of migrations, each of them committed by itself. Whoever is killed meanwhile leaves a
folder beside the file, which the next one removes, and never a part of a database under the database's name.
"""

import fcntl
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from lakehouse.errors import StorageError
from lakehouse.failures import why
from lakehouse.user_folders import cache_folder

Make = Callable[[Path], None]
"""Makes MLflow's empty database as a new file, and leaves no connection to it."""
_QUIET = 5.0
"""Seconds: MLflow commits more often than that while it makes a database."""
_CONTENT = ("runs", "registered_models", "logged_models", "trace_info")
"""The tables that hold what somebody would miss."""


def sqlite_uri(path: Path) -> str:
    """MLflow's name for a SQLite file.

    SQLAlchemy decodes it, as a URL. MLflow does not, and makes folders of the name as it stands, unless a driver is
    named.
    """
    plain = not {*"%?#"} & {*str(path)}
    return f"sqlite:///{path}" if plain else f"sqlite+pysqlite:///{quote(str(path))}"


def provide(path: Path, artifacts: str, make: Make) -> None:
    """See to it that there is a whole database, an empty one where there is none.

    One whose making was broken off, as older releases could leave it, is made anew, and the old file kept beside it.

    Args:
        path: the file.
        artifacts: where the artifacts of MLflow's own experiment, Default, belong.
        make: makes an empty database.

    Raises:
        StorageError: it cannot be made there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_overs(path)
        if not path.exists():
            with _staged(path, artifacts, make) as staged:
                _name(staged, path)
        while _is_half_made(path):
            if _is_quiet(path):
                _replace(path, artifacts, make)
    except OSError as error:
        raise StorageError(f"MLflow's database {path} cannot be made: {why(error)}") from error


def upgrade(path: Path, change: Make) -> None:
    """Put an upgraded copy in the place of a database: whoever is killed meanwhile leaves the old one whole.

    Args:
        path: the file.
        change: upgrades the copy that it is given.
    """
    with _work_folder(path) as work:
        staged = work / path.name
        with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(staged)) as new:
            old.backup(new)
        change(staged)
        _sync(staged)
        staged.replace(path)
        _sync(path.parent)


def _empty(make: Make) -> Path:
    """This machine's empty database of the MLflow that is installed, which nobody writes to."""
    path = cache_folder() / f"mlflow-{version('mlflow')}.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_overs(path)
    if not path.exists():
        with _work_folder(path) as work:
            make(work / path.name)
            _sync(work / path.name)
            _name(work / path.name, path)
    return path


@contextmanager
def _staged(path: Path, artifacts: str, make: Make) -> Iterator[Path]:
    """A whole empty database on the disk, beside the place where it is to be."""
    try:
        empty = _empty(make)
    except (OSError, RuntimeError):  # no home, or none to write to
        empty = None
    with _work_folder(path) as work:
        staged = work / path.name
        if empty is None:
            make(staged)
        else:
            shutil.copyfile(empty, staged)
        # MLflow notes an absolute folder, that of whoever has made the empty one. Ours has an experiment of its own.
        with closing(sqlite3.connect(staged)) as connection, connection:
            connection.execute("UPDATE experiments SET artifact_location = ?", [f"{artifacts}/0"])
        _sync(staged)
        yield staged


def _name(staged: Path, path: Path) -> None:
    """Give a file its name, unless another process was first: that one's may be in use already."""
    try:
        path.hardlink_to(staged)
    except FileExistsError:
        return
    except OSError:  # a disk without links
        if not path.exists():
            staged.rename(path)
    _sync(path.parent)


def _is_half_made(path: Path) -> bool:
    """Whether MLflow was killed while it made this file: it enters its own experiment last. One with content is not."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            filled = {
                name
                for name in tables.intersection(("experiments", *_CONTENT))
                if connection.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone()
            }
    except sqlite3.Error:  # no database, or busy: MLflow says what is wrong
        return False
    return not filled


def _is_quiet(path: Path) -> bool:
    """Whether nobody is making this file at present; waits to find out where it was written to just now."""
    before = path.stat().st_mtime_ns
    if time.time() - before / 1e9 < _QUIET:
        time.sleep(_QUIET)
    return path.stat().st_mtime_ns == before


def _replace(path: Path, artifacts: str, make: Make) -> None:
    """Put an empty database in the place of a half-made one, which is kept, and say so; once, whoever else does it."""
    with _staged(path, artifacts, make) as staged, path.open("rb") as old:
        fcntl.flock(old, fcntl.LOCK_EX)
        if not os.path.samestat(os.fstat(old.fileno()), path.stat()):
            return  # somebody else has done it
        kept = path.with_name(f"{path.name}.broken-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}")
        shutil.copyfile(path, kept)
        _sync(kept)
        staged.replace(path)
        _sync(path.parent)
    print(
        f"MLflow was interrupted when it made {path}, which holds no run and no model: it was made anew. The old file "
        f"is kept as {kept.name}.",
        file=sys.stderr,
    )


@contextmanager
def _work_folder(path: Path) -> Iterator[Path]:
    """A folder beside a file, locked as long as it is worked in, and removed then."""
    folder, descriptor = _locked_folder(path)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _locked_folder(path: Path) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_prefix(path), dir=path.parent))
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # taken for a left-over, as it was not locked yet
            continue
        with suppress(OSError):  # a disk without locks: then nobody removes left-overs
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if folder.exists():
            return folder, descriptor
        os.close(descriptor)


def _remove_left_overs(path: Path) -> None:
    """Remove the folders of those who have died at their work: nobody locks them any more."""
    for folder in path.parent.glob(f"{_prefix(path)}*"):
        with suppress(OSError):  # gone, in use, or on a disk without locks
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)


def _prefix(path: Path) -> str:
    return f".{path.name}-"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
