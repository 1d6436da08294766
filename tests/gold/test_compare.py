"""Angles between components: laws, and SciPy's word."""

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from gold.compare import principal_angles, under_scale
from silver.moments import Float64


def orthonormal(seed: int, rows: int, columns: int) -> Float64:
    """Random orthonormal rows."""
    random = np.random.default_rng(seed).normal(size=(columns, rows))
    basis: Float64 = np.linalg.qr(random)[0].T
    return basis


@pytest.mark.parametrize(("k", "other"), [(3, 3), (5, 2), (1, 4)])
def test_angles_are_scipys(k: int, other: int) -> None:
    """As many as the smaller subspace has dimensions, the smallest first."""
    ours, theirs = orthonormal(1, k, 9), orthonormal(2, other, 9)
    expected = np.sort(np.degrees(subspace_angles(ours.T, theirs.T)))
    assert principal_angles(ours, theirs) == pytest.approx(expected, abs=1e-6)


def test_angles_are_between_subspaces_not_vectors() -> None:
    """Components in another order, with other signs or turned within their space: no angle."""
    ours = orthonormal(1, 3, 9)
    turned = orthonormal(2, 3, 3) @ ours[[2, 0, 1]]
    assert principal_angles(ours, -turned) == pytest.approx(np.zeros(3), abs=1e-5)


def test_nothing_in_common_is_a_right_angle() -> None:
    """Components that stand upright on all others."""
    all_of_them = orthonormal(3, 6, 9)
    assert principal_angles(all_of_them[:3], all_of_them[3:]) == pytest.approx(np.full(3, 90.0))


def test_under_its_own_scale_a_component_stays() -> None:
    """The span is the same."""
    ours, scale = orthonormal(1, 3, 9), np.linspace(0.5, 4.0, 9)
    assert principal_angles(under_scale(ours, scale, scale), ours) == pytest.approx(np.zeros(3), abs=1e-5)


def test_what_is_measured_stays_under_another_scale() -> None:
    """Whatever the scaler, the same numbers come out of the same features, but for a linear map."""
    random = np.random.default_rng(4)
    ours, features = orthonormal(1, 3, 9), random.normal(size=(50, 9))
    scale, other = random.uniform(0.5, 4.0, 9), random.uniform(0.5, 4.0, 9)
    theirs = under_scale(ours, scale, other)
    assert theirs @ theirs.T == pytest.approx(np.eye(3))
    measured, under_other = (features / scale) @ ours.T, (features / other) @ theirs.T
    _, residual, rank, _ = np.linalg.lstsq(under_other, measured)
    assert rank == 3
    assert residual == pytest.approx(np.zeros(3), abs=1e-20)
