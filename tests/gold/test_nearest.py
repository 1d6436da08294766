"""The nearest label, and what a ratio of distances means."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gold.nearest import (
    FARTHEST,
    Calibration,
    Float32,
    Labelled,
    calibrate,
    chords,
    directions,
    measure,
    measure_among_others,
    ratios,
)


def around(center: list[float], count: int, spread: float, seed: int) -> Float32:
    """Directions near one."""
    noise = np.random.default_rng(seed).normal(scale=spread, size=(count, len(center)))
    return directions((np.array(center) + noise).astype(np.float32))


@pytest.fixture
def known() -> Labelled:
    """Three labels, each around an axis, the rows in no order."""
    parts = [around(axis, 40, 0.1, seed) for seed, axis in enumerate(np.eye(4).tolist()[:3])]
    labels = [label for label in ("Apple", "Kiwi", "Lemon") for _ in range(40)]
    order = np.random.default_rng(9).permutation(120)
    return Labelled.of(np.concatenate(parts)[order], [labels[row] for row in order])


def test_directions_are_of_length_one_but_for_zero() -> None:
    """Nothing has no direction, and is no error."""
    found = directions(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0.0, 0.0]])


def test_chord_of_opposite_directions_is_the_greatest() -> None:
    """The same: 0; nothing in common: √2; opposite: 2; rounding beyond them changes nothing."""
    cosines = np.array([1.0000001, 0.0, -1.0000001], np.float32)
    np.testing.assert_allclose(chords(cosines), [0.0, np.sqrt(2), FARTHEST], atol=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 6))
def test_distances_are_those_of_a_plain_loop(seed: int, rows: int, labels: int) -> None:
    """Whatever the order of the rows, and with labels of one photograph."""
    rng = np.random.default_rng(seed)
    own = rng.integers(0, labels, rows)
    components = directions(rng.normal(size=(rows, 5)).astype(np.float32))
    asked = directions(rng.normal(size=(3, 5)).astype(np.float32))
    known = Labelled.of(components, [f"label {one}" for one in own])
    expected = [
        [min(np.linalg.norm(one - components[n]) for n in np.flatnonzero(own == label)) for label in np.unique(own)]
        for one in asked
    ]
    np.testing.assert_allclose(known.distances(asked), expected, atol=2e-3)


def test_photograph_is_not_its_own_neighbour(known: Labelled) -> None:
    """Else every photograph would be told, at distance 0."""
    found = known.distances_to_others()
    assert found.shape == (120, 3)
    assert found.min() > 0
    assert measure_among_others(known, None) == {"accuracy": 1.0}


def test_label_of_one_photograph_has_no_other() -> None:
    """It is as far as can be, and none of Arrow's or NumPy's errors."""
    known = Labelled.of(directions(np.eye(3, dtype=np.float32)), ["Apple", "Kiwi", "Lemon"])
    assert np.diag(known.distances_to_others()).tolist() == [FARTHEST] * 3


@pytest.mark.parametrize(
    ("distances", "ratio"), [([0.5, 1.0, 2.0], 0.5), ([1.0, 0.5], 0.5), ([0.0, 0.0, 1.0], 1.0), ([0.5], 0.25)]
)
def test_ratio_is_of_the_nearest_to_the_second(distances: list[float], ratio: float) -> None:
    """The same bytes under two labels are of neither; one label's second is as far as can be."""
    assert ratios(np.array([distances])).tolist() == [ratio]


def test_calibration_lies_between_what_is_known_and_what_is_not(known: Labelled) -> None:
    """What is known stays so, another view of it too, and something else is unknown."""
    calibration = calibrate(known)
    assert calibration is not None
    assert calibration.known_ratio_p98 < calibration.threshold < 1
    assert measure_among_others(known, calibration)["unknown"] <= 0.02
    assert measure(known, around([1.0, 0, 0, 0], 50, 0.15, 7), ["Apple"] * 50, calibration) == {
        "accuracy": 1.0,
        "unknown": pytest.approx(0.0, abs=0.04),
    }
    strangers = known.distances(around([0.0, 0, 0, 1.0], 50, 0.1, 8))
    assert np.mean(ratios(strangers) > calibration.threshold) > 0.9


def test_overlapping_labels_stay_known() -> None:
    """Where the ratios say nothing, refusing most of what is known would be worse."""
    rows = around([1.0, 0, 0], 90, 0.5, 3)
    calibration = calibrate(Labelled.of(rows, ["Apple", "Kiwi", "Lemon"] * 30))
    assert calibration is not None
    assert calibration.threshold >= calibration.known_ratio_p98
    assert measure_among_others(Labelled.of(rows, ["Apple", "Kiwi", "Lemon"] * 30), calibration)["unknown"] <= 0.03


def test_one_label_cannot_be_told_from_anything() -> None:
    """There is nothing that is not known."""
    assert calibrate(Labelled.of(around([1.0, 0], 10, 0.1, 0), ["Apple"] * 10)) is None


def test_confidence_is_a_half_at_the_threshold() -> None:
    """And 0.98 where 98 % of what is known lie below; it falls all the way."""
    found: Any = Calibration(0.3, 0.7).confidence(np.array([0.0, 0.3, 0.7, 1.0]))
    np.testing.assert_allclose(found[1:3], [0.98, 0.5])
    assert (np.diff(found) < 0).all()
