"""Compare two fits by the principal angles between their components."""

import numpy as np

from silver.moments import Float64


def principal_angles(ours: Float64, theirs: Float64) -> Float64:
    """The principal angles between two subspaces in degrees, the smallest first, shape (min(k, l),).

    Their cosines are the singular values of V₁V₂ᵀ (Björck & Golub 1973), which tell small angles to 1e-6 degrees.
    O(k l d).

    Args:
        ours: shape (k, d), orthonormal rows.
        theirs: shape (l, d), orthonormal rows.
    """
    cosines = np.linalg.svd(ours @ theirs.T, compute_uv=False)
    degrees: Float64 = np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
    return degrees


def under_scale(components: Float64, scale: Float64, other: Float64) -> Float64:
    """What components measure, in the space of another scaler: orthonormal rows that span it, shape (k, d).

    A component v of features x scaled by s measures v · x / s but for a constant, and x is s′ z′ in the other scaler's
    space: so it measures (v s′ / s) · z′ there. Under one scaler the components span what they did. O(k² d).

    Args:
        components: shape (k, d), of full rank.
        scale: the deviations that they were fitted under, shape (d,), all positive.
        other: the other scaler's, shape (d,).
    """
    basis: Float64 = np.linalg.qr((components * (other / scale)).T)[0].T
    return basis
