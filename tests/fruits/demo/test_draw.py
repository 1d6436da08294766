"""Drawn photographs: repeatable, of kinds that can be told apart, turning smoothly, written once."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fruits.demo.draw import KINDS, VIEWS_A_TURN, draw_photograph, draw_photographs

TURN = range(0, VIEWS_A_TURN, 3)


def pixels(kind: str, view: int, size: int = 32, seed: int = 0) -> NDArray[np.float64]:
    """A drawn photograph, (size, size, 3), 0 to 255."""
    return np.asarray(draw_photograph(kind, view, size, seed), np.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_arguments_draw_equal_photographs(kind: str) -> None:
    """Nothing but the arguments decides the pixels."""
    np.testing.assert_array_equal(pixels(kind, 7), pixels(kind, 7))


@pytest.mark.parametrize("other", [{"view": 8}, {"seed": 1}, {"view": 7 + VIEWS_A_TURN}])
def test_another_view_seed_or_turn_draws_another_photograph(other: dict[str, int]) -> None:
    """A view, a seed and a full turn each change the fruit by more than the camera's noise."""
    difference = np.abs(pixels("Pear", **{"view": 7, **other}) - pixels("Pear", 7)).mean()
    assert difference > 2


@pytest.mark.parametrize("kind", KINDS)
def test_fruit_is_centred_on_white_and_fills_the_frame(kind: str) -> None:
    """The silhouette's longer side is most of the frame, its centre is the frame's, and the corners are white."""
    photograph = draw_photograph(kind, 4, 64)
    assert (photograph.mode, photograph.size) == ("RGB", (64, 64))
    drawn = np.asarray(photograph)
    assert (drawn[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
    rows, columns = np.nonzero((drawn < 250).any(axis=2))
    assert max(np.ptp(rows), np.ptp(columns)) > 0.85 * 64
    assert [(rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2] == pytest.approx([31.5, 31.5], abs=3)


def test_kinds_are_told_apart_by_the_nearest_mean_colour_histogram() -> None:
    """A nearest-centroid classifier that learned from one turn names every photograph of fruits it has not seen."""

    def histogram(kind: str, view: int) -> NDArray[np.float64]:
        levels = (pixels(kind, view) // 64).astype(int) @ [16, 4, 1]
        return np.sqrt(np.bincount(levels.ravel(), minlength=64) / levels.size)

    centroids = np.stack([np.mean([histogram(kind, view) for view in TURN], axis=0) for kind in KINDS])
    unseen = [(kind, VIEWS_A_TURN * turn + 5 * turn) for kind in KINDS for turn in range(1, 7)]
    named = [KINDS[np.linalg.norm(centroids - histogram(*photograph), axis=1).argmin()] for photograph in unseen]
    assert named == [kind for kind, _ in unseen]


@pytest.mark.parametrize("kind", KINDS)
def test_a_fruit_turns_gradually_and_comes_round(kind: str) -> None:
    """Neighbouring views, the last and the first included, differ, but less than views a quarter turn apart."""
    views = np.stack([pixels(kind, view) for view in range(VIEWS_A_TURN)])
    next_view = np.abs(np.roll(views, -1, axis=0) - views).mean(axis=(1, 2, 3))
    quarter_turn = np.abs(np.roll(views, -VIEWS_A_TURN // 4, axis=0) - views).mean()
    assert next_view.min() > 0.5
    assert next_view.mean() < 0.75 * quarter_turn
    assert next_view.max() < 3 * next_view.mean()


def test_unknown_kind_is_refused_with_the_kinds_there_are() -> None:
    """The message names the kind that was asked for and those that can be drawn."""
    with pytest.raises(ValueError, match=r"cannot draw 'Durian': the kinds are Apple Red, Banana, "):
        draw_photograph("Durian", 0)


def test_data_set_has_the_layout_of_fruits_360(tmp_path: Path) -> None:
    """Labels are folders below Training and Test, and every fourth view is a test image."""
    assert draw_photographs(tmp_path, views=5, kinds=("Apple Red", "Kiwi"), size=24) == 10
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*"))
    assert written == sorted(
        f"{split}/{kind}/{view}_100.jpg"
        for kind in ("Apple Red", "Kiwi")
        for view, split in enumerate(["Training", "Training", "Training", "Test", "Training"])
    )
    with Image.open(tmp_path / "Test" / "Kiwi" / "3_100.jpg") as photograph:
        assert (photograph.format, photograph.mode, photograph.size) == ("JPEG", "RGB", (24, 24))


def test_second_call_writes_only_what_is_missing(tmp_path: Path) -> None:
    """Files that are there keep their content and modification time."""
    draw_photographs(tmp_path, views=4, kinds=("Lemon",), size=24)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")}
    assert draw_photographs(tmp_path, views=4, kinds=("Lemon",), size=24) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")} == before
    (tmp_path / "Test" / "Lemon" / "3_100.jpg").unlink()
    assert draw_photographs(tmp_path, views=4, kinds=("Lemon",), size=24) == 1
