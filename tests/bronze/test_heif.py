"""HEIC as phones write it: the one picture that is meant, upright and in sRGB."""

import numpy as np
import pytest
from PIL import Image

from bronze.photograph import decode
from tests.bronze.corpus import TURNS, UPRIGHT, noise
from tests.bronze.phone import display_p3, heic, of_display_p3, turned_heic
from tests.bronze.test_formats import assert_shows, drawn

OTHERS = [noise(24, 16), 255 - UPRIGHT]


@pytest.mark.parametrize("boxes", TURNS)
def test_heic_is_turned_once_by_its_boxes(boxes: int) -> None:
    """By `irot` and `imir`, whatever its EXIF data say: the same, another turn, or none."""
    for exif in (boxes, boxes % 8 + 1, 1):
        assert_shows(turned_heic(UPRIGHT, boxes, exif), UPRIGHT)


@pytest.mark.parametrize("exif", TURNS)
def test_heic_without_a_turn_in_its_boxes_is_shown_as_it_is_stored(exif: int) -> None:
    """By the standard its EXIF data only tell: they turn nothing."""
    content = turned_heic(UPRIGHT, 1, exif)
    assert b"irot" not in content
    assert b"imir" not in content
    assert_shows(content, UPRIGHT)


def test_heic_of_display_p3_is_shown_in_srgb() -> None:
    """Its colours are those that were meant; without its profile they would be duller by many levels."""
    levels = of_display_p3(UPRIGHT)
    assert np.abs(levels.astype(int) - UPRIGHT).max() > 20
    assert_shows(heic(levels, icc_profile=display_p3()), UPRIGHT, 6)


@pytest.mark.parametrize("primary", [0, 1, 2])
def test_primary_picture_is_the_one_that_is_taken(primary: int) -> None:
    """Of three, wherever it stands."""
    pictures = [UPRIGHT, *OTHERS]
    content = heic(UPRIGHT, OTHERS, primary_index=primary)
    assert_shows(content, pictures[primary])


def test_thumbnails_and_tiles_are_not_the_picture() -> None:
    """Of a picture in tiles, as phones store it, the whole is shown, whatever small one lies beside it."""
    picture = UPRIGHT.repeat(10, axis=0).repeat(10, axis=1)
    content = heic(picture, tile_size=64, thumbnails=[32])
    assert b"grid" in content
    assert b"thmb" in content
    assert_shows(content, picture, 6)


def test_depth_beside_a_picture_is_not_the_picture() -> None:
    """Nor is transparency, an auxiliary picture too: it is laid on white, and named depth it changes nothing."""
    image = Image.fromarray(UPRIGHT)
    image.putalpha(Image.fromarray(np.where(np.arange(24) < 8, 0, 255).astype(np.uint8)[None].repeat(16, axis=0)))
    seen = UPRIGHT.copy()
    seen[:, :8] = 255
    transparent = drawn(image, "HEIF")
    assert_shows(transparent, seen)
    alpha, depth = b"urn:mpeg:hevc:2015:auxid:1", b"urn:mpeg:hevc:2015:auxid:2"
    assert transparent.count(alpha) == 1
    assert_shows(transparent.replace(alpha, depth), np.asarray(image)[:, :, :3])


def test_picture_is_the_same_from_both_ends() -> None:
    """Whatever lies beside it, the pixels are those of the picture alone."""
    alone = np.asarray(decode(heic(UPRIGHT)))
    np.testing.assert_array_equal(np.asarray(decode(heic(UPRIGHT, OTHERS))), alone)
