"""Photographs and their lake at fixed places, with copies to go back to: a lake made once serves many tests."""

import shutil
from pathlib import Path


class World:
    """Fixed places, because MLflow keeps absolute ones of its artifacts."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._copies = folder / "world", folder / "copies"
        self.photographs, self.lake = self._folder / "photographs", self._folder / "lake"
        self.photographs.mkdir(parents=True)

    def keep(self, name: str) -> None:
        """Copy all that is there now."""
        shutil.copytree(self._folder, self._copies / name)

    def go_back(self, name: str) -> None:
        """Be as it was then, time stamps included."""
        shutil.rmtree(self._folder)
        shutil.copytree(self._copies / name, self._folder)
