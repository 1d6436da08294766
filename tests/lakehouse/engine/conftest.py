"""An engine of each kind on a lake with one table."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fruits.settings import load_settings
from lakehouse.engine import open_engine
from lakehouse.engine.port import Engine
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from tests.conftest import SMALL_SESSION
from tests.lakehouse.engine.fruit import FRUIT


class Notes:
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int]] = []
        self.shown: list[int] = []
        self.said: list[str] = []

    def stage(self, name: str, total: int) -> Callable[[int], None]:
        """Remember a stage, and what is shown of it."""
        self.stages.append((name, total))
        return self.shown.append

    def log(self, message: str) -> None:
        """Remember a line."""
        self.said.append(message)


class Guard:
    """Lets commits pass until it is told not to."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def __call__(self) -> None:
        """Raise the error, if there is one."""
        if self.error is not None:
            raise self.error


@pytest.fixture
def guard() -> Guard:
    """What is asked before each commit."""
    return Guard()


@pytest.fixture
def lake(tmp_path: Path, guard: Guard) -> Lake:
    """A lake with an empty table."""
    lake = Lake(f"file://{tmp_path}/lake", guard)
    delta.create(lake, [FRUIT])
    return lake


@pytest.fixture
def notes() -> Notes:
    """The engine's progress."""
    return Notes()


@pytest.fixture
def engine(lake: Lake, notes: Notes, engine_name: str) -> Iterator[Engine]:
    """Each engine in turn."""
    settings = load_settings(lake=lake.uri, engine=engine_name, processes=2, spark_local=SMALL_SESSION)
    engine = open_engine(settings, lake, notes)
    yield engine
    engine.close()
