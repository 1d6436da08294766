"""Both engines on the same photographs: a life of a lake by either, and by both in turn, gives the same tables."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from fruits.demo.draw import draw_photographs
from fruits.operations.rollback import roll_back
from fruits.operations.run import run_layers
from fruits.settings import Settings, load_settings
from lakehouse.tables.delta import Lake
from tests.comparing import assert_same, rows_of_layers

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.usefixtures("blank_pictures")
REAL = os.environ.get("FRUITS_TEST_IMAGES")
DRAWN = 5  # photographs of each split
LIVES = {"local": ["local"], "spark first": ["spark", "local"], "local first": ["local", "spark"]}
SOAKED = {**LIVES, "spark": ["spark"]}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few drawn photographs of each split."""
    folder = tmp_path_factory.mktemp("drawn")
    draw_photographs(folder)
    for label in folder.iterdir():
        for file in sorted(path for path in label.rglob("*") if path.is_file())[DRAWN:]:
            file.unlink()
    return folder


class Life:
    """The photographs of one lake, and what happens to them; each step is run by the next engine."""

    def __init__(self, source: Path, folder: Path, engines: Sequence[str], encoder: str) -> None:
        self.photographs, self.lake = folder / "photographs", folder / "lake"
        shutil.copytree(source, self.photographs)
        self._engines, self._encoder = cycle(engines), encoder

    def steps(self) -> Iterator[Mapping[str, Any]]:
        """Go through all of it; yields what the tables hold after each step."""
        run_layers(self._settings())
        yield self._holds()
        self._change()
        run_layers(self._settings())
        yield self._holds()
        run_layers(self._settings(refit="always"))
        yield self._holds()
        roll_back(self._settings(), 1)
        yield self._holds()

    def _settings(self, **options: object) -> Settings:
        places = {"images": str(self.photographs), "lake": str(self.lake), "encoder": self._encoder}
        return load_settings(**places, removed_images="delete", engine=next(self._engines), **options)

    def _change(self) -> None:
        """New, replaced, moved, removed and broken ones."""
        files = sorted(path for path in self.photographs.rglob("*") if path.is_file())
        for file in files[:2]:
            with Image.open(file) as image:
                image.rotate(90).save(file.with_name(f"turned {file.name}"), quality=95)
        shutil.copy(
            files[2].with_name(f"turned {files[0].name}") if files[2].parent == files[0].parent else files[0], files[3]
        )
        with Image.open(files[4]) as image:
            image.rotate(180).save(files[4], quality=95)
        files[5].rename(files[-1].with_name(f"moved {files[5].name}"))
        files[6].unlink()
        files[7].write_bytes(files[7].read_bytes()[:-40])
        (self.photographs / "page.jpg").write_bytes(b"<html>404</html>")

    def _holds(self) -> Mapping[str, Any]:
        return rows_of_layers(Lake(f"file://{self.lake}"), f"file://{self.photographs}")


@pytest.mark.parametrize("source", ["drawn", pytest.param("real", marks=pytest.mark.soak)])
def test_tables_are_the_same_whether_spark_computes_them_or_not(
    source: str, drawn: Path, spark: "SparkSession", tmp_path: Path, stub_encoder: str
) -> None:
    """After a first run, an increment, a refit and a rollback: each by either in turn, and (soak) all by Spark."""
    if source == "real" and REAL is None:
        pytest.skip("FRUITS_TEST_IMAGES names no photographs")
    folder = drawn if source == "drawn" else Path(str(REAL))
    encoder = "mobilenetv2" if source == "real" else stub_encoder
    lives = {
        name: Life(folder, tmp_path / name, engines, encoder)
        for name, engines in (LIVES if source == "drawn" else SOAKED).items()
    }
    for step, holds in enumerate(zip(*(life.steps() for life in lives.values()), strict=True)):
        local, *others = holds
        for other in others:
            assert_same(other, local)
        images = len(local["bronze.images"])
        assert images == len(local["gold.projections"]) == len(local["silver.features"]), step
    assert [len(local["gold.models"]), {row["pca_version"] for row in local["gold.projections"]}] == [2, {1}]
