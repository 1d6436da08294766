"""MLflow's database of a lake on a disk: whole or not there, whoever is killed, and never thrown away with content."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from lakehouse.errors import StorageError
from lakehouse.models.mirror import make_database
from lakehouse.models.tracking import open_store
from tests.lakehouse.models.mirrored import World

# Forks for each line, so that MLflow is imported once: what to do, a lake's folder, the cache, and how many bytes of
# databases there must be for the child to be killed. Says its exit status.
FORKS = """
import os, signal, sys, time
from pathlib import Path
from lakehouse.errors import StorageError
from lakehouse.models.mirror import Mirror, make_database
make_database(Path(sys.argv[1]))  # with all that it imports
print("ready", flush=True)

def size(folder):
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.stat(os.path.join(root, name)).st_size * name.endswith(".db")
            except FileNotFoundError:
                pass
    return total

for line in sys.stdin:
    call, folder, cache, limit = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if not child:
        os.environ["XDG_CACHE_HOME"] = cache
        Mirror(None, "fruits", folder).tracking_uri if call == "open" else make_database(Path(folder) / "mlflow.db")
        os._exit(0)
    still_there = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while size(Path(folder).parent) < int(limit) and os.waitid(os.P_PID, child, still_there) is None:
        time.sleep(0.0005)  # the child needs the processor
    os.kill(child, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
Kill = Callable[[str, Path, float], int]


@pytest.fixture(scope="module")
def kill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kill]:
    """Kill another process that makes a database, when this share of it is on the disk; returns its exit status."""
    first = tmp_path_factory.mktemp("imports") / "mlflow.db"
    command = [sys.executable, "-c", FORKS, str(first)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    told, said = process.stdin, process.stdout
    assert told is not None
    assert said is not None
    assert said.readline() == "ready\n"

    def kill(call: str, folder: Path, share: float) -> int:
        limit = int(share * first.stat().st_size)
        print(call, folder, folder.parent / "cache", limit, sep="\t", file=told, flush=True)
        return int(said.readline())

    yield kill
    process.kill()
    process.communicate()


def must_not_make(path: Path) -> None:
    """Take the place of making a database where one is at hand."""
    raise AssertionError(path)


def names(folder: Path) -> list[str]:
    """What is in a folder, hidden or not."""
    return sorted(path.name for path in folder.iterdir())


def open_half_made(folder: Path) -> None:
    """Open a store whose file was written to an hour ago: where it was just now, five seconds are waited."""
    hour_ago = time.time() - 3600
    os.utime(folder / "mlflow.db", (hour_ago, hour_ago))
    open_store(None, str(folder), make_database)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99, 1.0, 1.01, 2.0])
def test_lake_opens_after_a_kill_at_any_moment_of_making_its_database(
    kill: Kill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    """There is no database or a whole one, and the next process removes what the dead one left, also in the cache.

    Up to 1 the machine's empty database is made, up to 2 it is copied into the lake.
    """
    folder, cache = tmp_path / "mlflow", tmp_path / "cache"
    status = kill("open", folder, share)
    assert status == -signal.SIGKILL or share > 1
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    open_store(None, str(folder), make_database)
    assert World(tmp_path).client.search_registered_models() == []
    assert names(folder) == ["mlflow.db"]
    open_store(None, str(tmp_path / "other"), must_not_make)
    (cached,) = names(cache / "fruits")
    assert cached.startswith("mlflow-")


@pytest.mark.parametrize("share", [0, 0.1, 0.3, 0.5, 0.7, 0.9])
def test_database_that_an_older_release_left_half_made_is_made_anew(
    kill: Kill, tmp_path: Path, capsys: pytest.CaptureFixture[str], share: float
) -> None:
    """It was made in its place; the old file is kept, and one line says so, once."""
    folder = tmp_path / "mlflow"
    folder.mkdir()
    assert kill("make", folder, share) == -signal.SIGKILL
    (folder / "mlflow.db").touch()
    open_half_made(folder)
    world = World(tmp_path)
    world.fit(3)
    world.show()
    assert world.shown == [(1, "3")]
    said = capsys.readouterr().err
    assert said.count("was made anew. The old file is kept as mlflow.db.broken-") == 1
    (kept,) = folder.glob("mlflow.db.broken-*")
    assert names(folder) == ["artifacts", "mlflow.db", kept.name, "registry.json"]


def test_database_with_a_run_is_never_replaced(tmp_path: Path) -> None:
    """Whatever else is missing in it."""
    folder = tmp_path / "mlflow"
    World(tmp_path).fit(3)
    World(tmp_path).show()
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection, connection:
        connection.executescript("DELETE FROM experiments; DELETE FROM alembic_version; DELETE FROM registered_models;")
    before = (folder / "mlflow.db").read_bytes()
    open_half_made(folder)
    assert (folder / "mlflow.db").read_bytes() == before
    assert names(folder) == ["artifacts", "mlflow.db", "registry.json"]


def test_file_that_is_no_database_is_left_to_its_owner(tmp_path: Path) -> None:
    """MLflow says what is wrong with it."""
    content = b"no database, but somebody's " * 40
    (tmp_path / "mlflow.db").write_bytes(content)
    open_half_made(tmp_path)
    assert (tmp_path / "mlflow.db").read_bytes() == content
    assert names(tmp_path) == ["mlflow.db"]


def test_database_that_is_being_made_is_waited_for(tmp_path: Path) -> None:
    """An older release may be at it: its file is empty at first, and is not replaced under its hands."""
    path = tmp_path / "mlflow.db"
    path.touch()
    with ThreadPoolExecutor() as pool:
        opened = pool.submit(open_store, None, str(tmp_path), must_not_make)
        for number in range(3):
            time.sleep(2)
            with closing(sqlite3.connect(path)) as connection, connection:
                connection.execute("CREATE TABLE IF NOT EXISTS experiments (name TEXT)")
                connection.execute(f"CREATE TABLE step_{number} (name TEXT)")
        assert not opened.done()
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("INSERT INTO experiments VALUES ('Default')")
        opened.result()
    assert names(tmp_path) == ["mlflow.db"]


def test_new_lake_copies_the_empty_database_and_holds_nothing_of_another_lake(
    tmp_path: Path, tracking_store: Path
) -> None:
    """Nothing is made by MLflow; its own experiment lies in the lake, and ours is one by itself."""
    one, other = World(tmp_path / "a"), World(tmp_path / "b")
    for world in (one, other):
        open_store(None, str(world.folder), must_not_make)
    with closing(sqlite3.connect(other.folder / "mlflow.db")) as connection:
        found = connection.execute("SELECT name, artifact_location FROM experiments").fetchall()
    assert found == [("Default", f"{other.folder}/artifacts/0")]
    other.fit(3)
    other.show()
    assert other.shown == [(1, "3")]
    assert names(one.folder) == ["mlflow.db"]
    assert names(other.folder) == ["artifacts", "mlflow.db", "registry.json"]
    assert one.client.search_registered_models() == []


def test_database_is_made_in_the_lake_where_there_is_no_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracking_store: Path
) -> None:
    """As for a user without a home that can be written to."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    made = []

    def make(path: Path) -> None:
        made.append(path)
        path.write_bytes(tracking_store.read_bytes())

    open_store(None, str(tmp_path / "mlflow"), make)
    assert [path.parent.parent for path in made] == [tmp_path / "mlflow"]
    assert names(tmp_path / "mlflow") == ["mlflow.db"]


def test_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    """Nothing is made, and the reason is the system's."""
    (tmp_path / "lake").touch()
    with pytest.raises(StorageError, match=r"lake/mlflow/mlflow\.db cannot be made: Not a directory"):
        open_store(None, str(tmp_path / "lake" / "mlflow"), must_not_make)


def test_of_several_who_make_a_database_one_makes_it(tmp_path: Path, tracking_store: Path) -> None:
    """The file that the first has put in place, and may write to already, is never replaced."""
    folder = tmp_path / "mlflow"
    for _ in range(10):
        with ThreadPoolExecutor(8) as pool:

            def file(_: int) -> int:
                open_store(None, str(folder), must_not_make)
                return (folder / "mlflow.db").stat().st_ino

            assert len(set(pool.map(file, range(8)))) == 1
        assert names(folder) == ["mlflow.db"]
        (folder / "mlflow.db").unlink()
