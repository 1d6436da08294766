"""Write Java's class archive: `python -m fruits.warmup ARCHIVE FOLDER PACKAGE…` runs all layers on a few pictures.

A process of its own, because Java writes the archive of the classes that it has loaded when it ends.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from fruits.run import LAYERS, take_through
from lakehouse.session import spark_session
from lakehouse.settings import load_settings
from lakehouse.workspace import Workspace
from silver.featurize import Encoder, Predict


def warm_up(archive: str, folder: Path, packages: list[str]) -> None:
    """Fill a lake, change what it is made of, and run on nothing new, as users do."""
    images, lake = folder / "photographs" / "label", folder / "lake"
    settings = load_settings(images=str(images.parent), lake=str(lake), removed_images="delete", packages=packages)
    spark = spark_session(settings, f"-XX:ArchiveClassesAtExit={archive}")
    images.mkdir(parents=True)
    for seed in range(12):
        _draw(images / f"{seed}.png", seed)
    take_through(Workspace(settings), LAYERS, lambda: ENCODER)
    _draw(images / "0.png", 100)
    _draw(images / "12.png", 12)
    (images / "1.png").unlink()
    (images / "2.png").write_bytes(b"")
    (images / "13.png").write_bytes((images / "3.png").read_bytes())
    take_through(Workspace(settings), LAYERS, lambda: ENCODER)
    take_through(Workspace(settings), LAYERS, lambda: ENCODER)
    spark.stop()


def _load() -> Predict:
    return lambda content: np.frombuffer(content[-15:-12], dtype=np.uint8).astype(np.float32)


ENCODER = Encoder("warm-up", 3, _load)


def _draw(path: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


if __name__ == "__main__":
    warm_up(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
