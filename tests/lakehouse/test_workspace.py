"""A workspace opens what is asked for, when it is asked for."""

import threading
from pathlib import Path

import pytest

from fruits.settings import load_settings
from lakehouse.background import Background
from lakehouse.guard import no_check
from lakehouse.workspace import Workspace


def test_background_makes_its_value_once_while_other_work_goes_on() -> None:
    """The asker waits for it, not the one who starts it; whoever asks again gets the same."""
    release, made = threading.Event(), []

    def make() -> list[int]:
        release.wait(10)
        made.append(1)
        return made

    value = Background(make)
    assert made == []
    release.set()
    assert value.get() is value.get() is made
    assert made == [1]


def test_background_raises_its_error_to_every_asker() -> None:
    """Not to the one who starts it, not into nothing, and not once only."""

    def make() -> int:
        raise OSError("the store is away")

    value = Background(make)
    for _ in range(2):
        with pytest.raises(OSError, match="the store is away"):
            value.get()


def test_new_workspace_opens_nothing(tmp_path: Path) -> None:
    """Settings and champions may be looked at with no Java, no MLflow and no folder."""
    workspace = Workspace(load_settings(lake=str(tmp_path / "lake")))
    assert workspace.lake.uri == f"file://{tmp_path}/lake"
    assert workspace.lake.guard is no_check  # which tells the mirror that this is no writer
    assert workspace.registry.champion("fruits-pca") is None
    assert workspace.mirror.model_of(workspace.registry, "fruits-pca") is None
    assert [*tmp_path.iterdir()] == []
