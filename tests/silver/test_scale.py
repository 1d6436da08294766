"""The scaler: Spark ML's numbers from moments alone, and features that stand on one scale."""

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
import sklearn.preprocessing  # noqa: F401 - else the first example imports it, and runs into its deadline
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.arrow import as_column
from silver.moments import Moments
from silver.scale import FEATURE, Scaling, fit_scaler, standard_scaler, standardness
from silver.tables import SCALED
from tests.silver.test_moments import rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_scaler_is_spark_mls(spark: "SparkSession") -> None:
    """Mean and deviation equal Spark ML's StandardScaler(withMean, withStd), which divides by n − 1."""
    from pyspark.ml.feature import StandardScaler, VectorAssembler

    one = rows(1, 50, 5)
    names = [f"f{i}" for i in range(5)]
    frame = spark.createDataFrame(one.astype(float).tolist(), names)
    vectors = VectorAssembler(inputCols=names, outputCol="features").transform(frame)
    expected = StandardScaler(inputCol="features", outputCol="scaled", withMean=True, withStd=True).fit(vectors)
    mean, scale = fit_scaler(Moments.of(one))
    np.testing.assert_allclose(mean, expected.mean.toArray(), rtol=1e-6)
    np.testing.assert_allclose(scale, expected.std.toArray(), rtol=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(1, 6))
def test_fitted_object_transforms_to_z_scores(seed: int, count: int, dimension: int) -> None:
    """scikit-learn's own `transform` of the fitted object gives mean 0 and variance 1, and its inverse the rows."""
    one = rows(seed, count, dimension).astype(np.float64)
    scaler = standard_scaler(*fit_scaler(Moments.of(one)), count)
    scaled = scaler.transform(one)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.var(axis=0, ddof=1), 1, rtol=1e-6)
    np.testing.assert_allclose(scaler.inverse_transform(scaled), one, rtol=1e-9, atol=1e-9)
    assert (scaler.n_samples_seen_, scaler.n_features_in_) == (count, dimension)


@given(st.integers(0, 2**32 - 1), st.integers(2, 60))
def test_features_are_standard_right_after_a_fit(seed: int, count: int) -> None:
    """Standardness is (0, 1) under the scaler that was fitted on the same rows."""
    moments = Moments.of(rows(seed, count, 4))
    scaler = fit_scaler(moments)
    assert standardness(moments.under(*scaler)) == pytest.approx((0, 1), abs=1e-9)


def test_standardness_says_how_far_features_have_moved() -> None:
    """Features moved by one deviation and spread twice as wide have an average squared mean of 1 and variance of 4."""
    moments = Moments.of(rows(0, 40, 4))
    deviation = np.sqrt(moments.variance)
    moved = Moments(moments.count, moments.mean + deviation, moments.scatter * 4)
    assert standardness(moved.under(moments.mean, deviation)) == pytest.approx((1, 4))


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6, -3e-5])
@pytest.mark.parametrize("parts", [1, 7])
def test_constant_feature_is_left_unscaled(value: float, parts: int) -> None:
    """A feature that does not vary gets scale 1, however rounding adds up, and standardness passes over it."""
    one = rows(2, 301, 3)
    one[:, 1] = value
    moments = sum(map(Moments.of, np.array_split(one, parts)), Moments.zero(3))
    scaler = fit_scaler(moments)
    assert scaler[1][1] == 1
    assert standardness(moments.under(*scaler)) == pytest.approx((0, 1), abs=1e-9)


def test_features_that_never_vary_are_standard() -> None:
    """Where no feature varies there is nothing to scale, and nothing that would ask for a refit."""
    moments = Moments.of(np.zeros((3, 2), np.float32))
    scaler = fit_scaler(moments)
    np.testing.assert_array_equal(scaler[1], [1, 1])
    assert standardness(moments.under(*scaler)) == (0, 1)


@pytest.mark.parametrize("rows_a_batch", [1, 4, 9])
def test_scaling_gives_the_rows_of_silver_scaled(rows_a_batch: int) -> None:
    """Rows keep path, sha256 and batch, get the scaler's version, and (features − mean) / deviation in float32."""
    one = rows(4, 9, 8)
    given_rows = {
        "path": [f"p{i}" for i in range(9)],
        "sha256": [f"s{i}" for i in range(9)],
        "batch": [*range(9)],
        "features": as_column(one),
    }
    mean, deviation = one.mean(axis=0, dtype=np.float64), one.std(axis=0, dtype=np.float64)
    scaling = pickle.loads(pickle.dumps(Scaling(mean, deviation, 7)))  # as it reaches other processes
    assert [*given_rows] == [*FEATURE]
    batches = pa.table(given_rows).to_batches(max_chunksize=rows_a_batch)
    scaled = pa.Table.from_batches(scaling(iter([*batches, batches[0].slice(0, 0)])))
    assert scaled.cast(SCALED.schema).schema.names == scaled.column_names
    assert scaled.select(["path", "sha256", "batch", "scaler_version"]).to_pylist() == [
        {"path": f"p{i}", "sha256": f"s{i}", "batch": i, "scaler_version": 7} for i in range(9)
    ]
    assert scaled.schema.field("scaled").type.value_type == pa.float32()
    np.testing.assert_allclose(scaled["scaled"].to_pylist(), (one - mean) / deviation, rtol=1e-6, atol=1e-7)
