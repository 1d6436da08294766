"""A user without a home keeps what can be made again where nobody else can write."""

import os
import tempfile
from pathlib import Path

import pytest

from lakehouse.user_folders import cache_folder, home_folder


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files, and no home."""

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_home_is_made_for_this_user_alone_and_found_again(temporary: Path) -> None:
    """So that a second run finds the model that the first one has converted."""
    assert home_folder() == home_folder() == temporary / f"home-{os.getuid()}"
    assert home_folder().stat().st_mode & 0o777 == 0o700
    assert cache_folder() == home_folder() / ".cache" / "fruits"


@pytest.mark.parametrize("made", ["folder", "link", "file"])
def test_what_somebody_else_has_put_there_is_not_used(temporary: Path, made: str) -> None:
    """Programs are loaded from there."""
    at, elsewhere = temporary / f"home-{os.getuid()}", temporary / "elsewhere"
    elsewhere.mkdir()
    match made:
        case "folder":
            at.mkdir()
            at.chmod(0o777)
        case "link":
            at.symlink_to(elsewhere)
        case "file":
            at.touch()
    home = home_folder()
    assert home not in (at, elsewhere)
    assert home.stat().st_mode & 0o777 == 0o700
