"""Principal components from moments: scikit-learn's and Spark ML's, with signs that stay."""

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from gold.pca import Spectrum, captured, components_needed, fit_pca, fit_spectrum
from silver.moments import Moments
from silver.scale import fit_scaler

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Float64 = NDArray[np.float64]
seeds = st.integers(0, 2**32 - 1)


def rows(seed: int, count: int = 80, dimension: int = 6) -> Float64:
    """Correlated random rows whose principal components are well apart, (count, dimension)."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, dimension)) * 2.0 ** -np.arange(dimension) @ generator.normal(
        size=(dimension, dimension)
    ) + generator.normal(size=dimension)


def spectrum_of(one: Float64) -> Spectrum:
    """The spectrum of rows under the scaler fitted on them."""
    moments = Moments.of(one)
    scaler = fit_scaler(moments)
    return fit_spectrum(moments.under(*scaler))


def with_variance(*variance: float) -> Spectrum:
    """A spectrum of these variances along the axes."""
    return Spectrum(np.array(variance), np.eye(len(variance)), np.zeros(len(variance)), 100)


def signs_aside(components: Float64) -> Float64:
    """Each component with its largest loading positive."""
    largest = components[np.arange(len(components)), np.abs(components).argmax(axis=1)]
    upright: Float64 = components * np.sign(largest)[:, np.newaxis]
    return upright


def test_spectrum_is_scikit_learns() -> None:
    """Ratios and components equal PCA's full decomposition of StandardScaler's rows."""
    one = rows(1)
    expected = PCA(svd_solver="full").fit(StandardScaler().fit_transform(one))
    spectrum = spectrum_of(one)
    np.testing.assert_allclose(spectrum.ratio, expected.explained_variance_ratio_, atol=1e-9)
    np.testing.assert_allclose(spectrum.components, signs_aside(expected.components_), atol=1e-6)


def test_spectrum_is_spark_mls(spark: "SparkSession") -> None:
    """Ratios and components equal Spark ML's StandardScaler(withMean, withStd) and PCA."""
    from pyspark.ml import feature as spark_ml

    one = rows(2)
    names = [f"f{i}" for i in range(6)]
    vectors = spark_ml.VectorAssembler(inputCols=names, outputCol="features").transform(
        spark.createDataFrame(one.tolist(), names)
    )
    scaler = spark_ml.StandardScaler(inputCol="features", outputCol="scaled", withMean=True, withStd=True).fit(vectors)
    expected = spark_ml.PCA(k=6, inputCol="scaled", outputCol="components").fit(scaler.transform(vectors))
    spectrum = spectrum_of(one)
    np.testing.assert_allclose(spectrum.ratio, expected.explainedVariance.toArray(), atol=1e-6)
    np.testing.assert_allclose(spectrum.components, signs_aside(expected.pc.toArray().T), atol=1e-6)


@given(seeds, st.integers(2, 40), st.integers(2, 8))
def test_spectrum_is_a_whole_one(seed: int, count: int, dimension: int) -> None:
    """Variances fall and are never negative, ratios sum to 1, components are orthonormal; n < d included."""
    spectrum = spectrum_of(rows(seed, count, dimension))
    assert (spectrum.variance >= 0).all()
    assert (np.diff(spectrum.variance) <= 0).all()
    assert spectrum.ratio.sum() == pytest.approx(1)
    assert spectrum.cumulative[-1] == pytest.approx(1)
    np.testing.assert_allclose(spectrum.components @ spectrum.components.T, np.eye(dimension), atol=1e-9)


@given(seeds)
def test_largest_loading_is_positive(seed: int) -> None:
    """One rule fixes the sign of each component."""
    components = spectrum_of(rows(seed)).components
    assert (components[np.arange(6), np.abs(components).argmax(axis=1)] > 0).all()


@given(seeds, st.integers(1, 7))
def test_order_and_parts_change_no_sign(seed: int, parts: int) -> None:
    """Shuffled, and summed in parts, the same rows have the same components, signs too."""
    one = rows(1)
    moments = sum(map(Moments.of, np.array_split(np.random.default_rng(seed).permutation(one), parts)), Moments.zero(6))
    scaler = fit_scaler(moments)
    spectrum = fit_spectrum(moments.under(*scaler))
    np.testing.assert_allclose(spectrum.components, spectrum_of(one).components, atol=1e-6)


@given(seeds)
def test_equal_loadings_change_no_sign(seed: int) -> None:
    """Two features under a scaler load equally, (1, ±1) / √2: rounding must not choose which of them is positive."""
    one = rows(1, dimension=2)
    shuffled = np.random.default_rng(seed).permutation(one)
    np.testing.assert_allclose(spectrum_of(shuffled).components, spectrum_of(one).components, atol=1e-6)


@pytest.mark.parametrize(
    ("threshold", "expected"), [(0.1, 1), (0.4, 1), (0.41, 2), (0.7, 2), (0.8, 3), (0.9, 3), (0.91, 4), (1.0, 4)]
)
def test_k_is_the_first_component_that_reaches_the_threshold(threshold: float, expected: int) -> None:
    """K counts components from 1, and a threshold that is met exactly is met."""
    assert components_needed(with_variance(4, 3, 2, 1), threshold) == expected


def test_k_stops_where_nothing_is_left() -> None:
    """All of the variance is explained without the components that have none."""
    assert components_needed(with_variance(0.1, 0.1, 0.1, 0, 0), 1.0) == 3


@given(seeds, st.floats(0.01, 1.0))
def test_k_components_reach_the_threshold_and_fewer_do_not(seed: int, threshold: float) -> None:
    """K is the least number that explains the threshold."""
    spectrum = spectrum_of(rows(seed))
    k = components_needed(spectrum, threshold)
    assert spectrum.cumulative[k - 1] >= threshold - 1e-9
    assert k == 1 or spectrum.cumulative[k - 2] < threshold


@given(seeds, st.integers(1, 6))
def test_components_capture_what_the_spectrum_says(seed: int, k: int) -> None:
    """On the rows of the fit, the first k components capture cumulative[k − 1] of the variance."""
    moments = Moments.of(rows(seed))
    spectrum = fit_spectrum(moments)
    assert captured(moments, spectrum.components[:k]) == pytest.approx(spectrum.cumulative[k - 1], abs=1e-9)


def test_components_capture_the_share_of_variance_along_them() -> None:
    """On other rows than those of the fit, it is the variance of the projections over that of the rows."""
    components, other = spectrum_of(rows(1)).components[:2], rows(2)
    expected = (other @ components.T).var(axis=0).sum() / other.var(axis=0).sum()
    assert captured(Moments.of(other), components) == pytest.approx(expected)


@pytest.mark.parametrize("one", [np.ones((3, 2)), np.ones((1, 2))], ids=["equal rows", "one row"])
def test_rows_that_do_not_vary_are_refused(one: Float64) -> None:
    """Without variance there is nothing to explain."""
    with pytest.raises(ValueError, match=r"rows without variance have no principal components"):
        fit_spectrum(Moments.of(one))


@pytest.mark.parametrize(("count", "k"), [(80, 3), (80, 6), (4, 2)])
def test_fitted_object_is_as_scikit_learn_would_fit_it(count: int, k: int) -> None:
    """Every fitted attribute and the transform equal those of scikit-learn's own fit on the same rows, signs aside."""
    one = rows(3, count)
    expected = PCA(n_components=k, svd_solver="full").fit(one)
    actual = fit_pca(fit_spectrum(Moments.of(one)), k)
    assert {name for name in vars(expected) if name.endswith("_")} <= set(vars(actual))
    for name in ("explained_variance_", "explained_variance_ratio_", "singular_values_", "mean_", "noise_variance_"):
        np.testing.assert_allclose(getattr(actual, name), getattr(expected, name), atol=1e-6, err_msg=name)
    assert (actual.n_components_, actual.n_features_in_, actual.n_samples_) == (k, 6, count)
    signs = np.sign((actual.components_ * expected.components_).sum(axis=1))
    np.testing.assert_allclose(actual.transform(one), expected.transform(one) * signs, atol=1e-6)
