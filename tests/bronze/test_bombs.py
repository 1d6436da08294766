"""AVIF and JPEG 2000 that cost more than their boxes or main headers say: held back before they are decoded."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bronze.job
from bronze.av1 import Work, work_of
from bronze.avif import read_header
from bronze.judgement import Limits, Problem
from bronze.photograph import decode, inspect
from bronze.settings import BronzeSettings
from bronze.tables import QUARANTINE
from lakehouse.tables import delta
from lakehouse.workspace import Workspace
from tests.bronze.bombs import (
    AVIF_LIE,
    channel_of_tiny_blocks,
    coded,
    film_frame,
    film_sequence,
    film_that_lies,
    hidden_frames,
    stream_of,
    tile_of_tiny_blocks,
    tiles_that_are_missing,
    with_stream,
)
from tests.bronze.corpus import UPRIGHT, encoded, noise
from tests.bronze.test_formats import drawn
from tests.conftest import add_photographs
from tests.processes import DriverPeak

LIMITS = Limits(["AVIF", "JPEG2000"], 1 << 27, 50_000_000)
BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "stream.avif": (lambda: AVIF_LIE, "too_many_pixels"),
    "hidden frames.avif": (lambda: hidden_frames(2000), "too_many_pixels"),
    "film.avif": (lambda: film_that_lies(50), "too_many_pixels"),
    "tiles of one pixel.j2k": (lambda: tiles_that_are_missing(2000, 1), "corrupt"),
    "many tiles.j2k": (lambda: tiles_that_are_missing(1000, 4), "corrupt"),
    "missing tiles.j2k": (lambda: tiles_that_are_missing(900, 100), "truncated"),
    "tile of tiny blocks.j2k": (tile_of_tiny_blocks, "unsupported_kind"),
    "channel of tiny blocks.j2k": (channel_of_tiny_blocks, "unsupported_kind"),
    "layers.j2k": (lambda: coded(6, b"\xff\xff", precinct_size=(256, 256)), "unsupported_kind"),
    "tiny precincts.j2k": (lambda: coded(14, b"\x11\x11\x11", precinct_size=(256, 256)), "unsupported_kind"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_is_refused_by_its_headers(name: str) -> None:
    """For its reason."""
    make, reason = BOMBS[name]
    verdict = inspect(make(), LIMITS)
    assert isinstance(verdict, Problem)
    assert verdict.reason == reason


def test_folder_of_bombs_costs_a_run_no_more_than_reading_them(workspace: Workspace, photographs: Path) -> None:
    """Each is in quarantine with its reason, and the photographs are taken."""
    add_photographs(photographs, "Apple", range(3))
    for name, (make, _) in BOMBS.items():
        (photographs / "Apple" / name).write_bytes(make())
    update = {"max_pixels": LIMITS.max_pixels, "formats": [*workspace.section(BronzeSettings).formats, "JPEG2000"]}
    workspace = Workspace(workspace.settings.model_copy(update=update))
    peak = DriverPeak()
    assert bronze.job.run(workspace)["ingested"] == 3
    assert peak.growth() < 256 << 20
    held = delta.existing(workspace.lake, QUARANTINE).to_pyarrow_table().to_pylist()
    assert {row["path"].rpartition("/")[2]: row["reason"] for row in held} == {n: why for n, (_, why) in BOMBS.items()}


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (65, 33)])
@pytest.mark.parametrize("options", [{}, {"speed": 10}, {"quality": 100, "subsampling": "4:4:4"}, {"tile_cols": 1}])
def test_stream_of_an_honest_avif_has_the_pixels_of_its_boxes(
    size: tuple[int, int], options: dict[str, object]
) -> None:
    """With and without colours and transparency, and of a film: where the size is told twice, it is the same."""
    image = Image.fromarray(noise(*size))
    transparent = image.copy()
    transparent.putalpha(100)
    for one in (image, transparent, image.convert("L")):
        for more in ({}, {"save_all": True, "append_images": [one, one]}):
            assert read_header(encoded(one, "AVIF", **options, **more)).pixels == size[0] * size[1]


def test_film_of_many_frames_shows_its_first() -> None:
    """The others are not unpacked."""
    others = [Image.new("RGB", (24, 16), "red")] * 300
    content = drawn(Image.fromarray(UPRIGHT), "AVIF", save_all=True, append_images=others)
    np.testing.assert_allclose(np.asarray(decode(content), dtype=int), UPRIGHT, atol=3)


def test_frame_with_a_size_of_its_own_counts_with_the_largest_that_it_could_have() -> None:
    """Without, with that of its sequence."""
    sequence = film_sequence(640, 480, 16)
    plain, own = film_frame(own_size=False), film_frame(own_size=True)
    assert work_of(sequence + plain * 3) == Work(640 * 480, 3 * 640 * 480)
    assert work_of(sequence + plain + own) == Work(1 << 32, (1 << 32) + 640 * 480)
    assert work_of(film_sequence(640, 480, 10) + own) == Work(1 << 20, 1 << 20)


def test_damaged_stream_is_refused() -> None:
    """One that ends in a unit, or begins without a sequence."""
    content = drawn(Image.fromarray(noise(64, 64)), "AVIF")
    _, stream = stream_of(content)
    assert not isinstance(inspect(with_stream(content, stream), LIMITS), Problem)
    for damaged in (stream[:30], film_frame(own_size=False)):
        verdict = inspect(with_stream(content, damaged), LIMITS)
        assert isinstance(verdict, Problem)
        assert verdict.reason in ("corrupt", "truncated")


OPTIONS: list[dict[str, object]] = [
    {},
    {"tile_size": (128, 128)},
    {"precinct_size": (128, 128)},
    {"precinct_size": (256, 256), "codeblock_size": (64, 64)},
    {"num_resolutions": 1},
    {"irreversible": True, "quality_mode": "rates", "quality_layers": [40, 20, 1]},
    {"progression": "RPCL", "plt": True},
    {"no_jp2": True, "mct": 0},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_jpeg_2000_as_encoders_write_it_is_taken(options: dict[str, object]) -> None:
    """Tiles, precincts, layers, orders."""
    content = encoded(noise(600, 400), "JPEG2000", **options)
    assert not isinstance(inspect(content, LIMITS), Problem)


@pytest.mark.parametrize("boxed", [False, True])
def test_jpeg_2000_without_one_of_its_tiles_is_truncated(boxed: bool) -> None:
    """OpenJPEG would make it up."""
    content = encoded(noise(256, 256), "JPEG2000", no_jp2=not boxed, tile_size=(128, 128))
    parts = content.split(b"\xff\x90\0\x0a")
    assert len(parts) == 5
    verdict = inspect(b"\xff\x90\0\x0a".join([*parts[:2], *parts[3:]]), LIMITS)
    assert isinstance(verdict, Problem)
    assert verdict.reason == "truncated"
