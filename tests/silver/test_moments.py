"""Moments: exact sums, whatever the parts, their order, or what was added and taken away again."""

import pickle
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lakehouse.arrow import as_column, as_matrix
from lakehouse.tables.table import VECTOR
from silver.moments import CombinedMoments, Moments, PartialMoments, merge_moments

Rows = NDArray[np.float32]
NO_FEATURES = pa.schema([("features", VECTOR)]).empty_table()
seeds, sizes, dimensions = st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 6)


def rows(seed: int, count: int, dimension: int) -> Rows:
    """Random rows whose features differ in mean and deviation, (count, dimension)."""
    generator = np.random.default_rng(seed)
    mean, deviation = generator.normal(0, 10, dimension), generator.uniform(0.1, 5, dimension)
    return (mean + deviation * generator.normal(size=(count, dimension))).astype(np.float32)


def assert_equal(actual: Moments, expected: Moments, tolerance: float = 1e-12) -> None:
    """Equal within the tolerance, relative to the largest mean and to the sum of squares about zero."""
    squares = np.trace(expected.scatter) + expected.count * (expected.mean @ expected.mean)
    assert actual.count == expected.count
    np.testing.assert_allclose(actual.mean, expected.mean, rtol=0, atol=tolerance * (1 + np.abs(expected.mean).max()))
    np.testing.assert_allclose(actual.scatter, expected.scatter, rtol=0, atol=tolerance * (1 + squares))


@given(seeds, sizes, sizes, dimensions)
def test_sum_of_two_parts_is_the_moments_of_both(seed: int, first: int, second: int, dimension: int) -> None:
    """of(a) + of(b) = of(a ∪ b)."""
    both = rows(seed, first + second, dimension)
    assert_equal(Moments.of(both[:first]) + Moments.of(both[first:]), Moments.of(both))


@given(seeds, sizes, sizes, dimensions)
def test_what_is_added_can_be_taken_away(seed: int, first: int, second: int, dimension: int) -> None:
    """(a + b) − b = a, to what the sum can hold of it."""
    both = rows(seed, first + second, dimension)
    kept, taken = Moments.of(both[:first]), Moments.of(both[first:])
    remaining, total = (kept + taken) - taken, np.abs(both).max() ** 2 * (first + second)
    assert remaining.count == kept.count
    np.testing.assert_allclose(remaining.mean, kept.mean, atol=1e-12 * total)
    np.testing.assert_allclose(remaining.scatter, kept.scatter, atol=1e-11 * total)


@given(seeds, st.integers(2, 60), dimensions)
def test_order_of_rows_does_not_matter(seed: int, count: int, dimension: int) -> None:
    """Shuffled rows have the moments of the rows."""
    one = rows(seed, count, dimension)
    assert_equal(Moments.of(np.random.default_rng(seed).permutation(one)), Moments.of(one))


@given(seeds, dimensions, st.lists(sizes, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_parts_and_their_order_do_not_matter(seed: int, dimension: int, counts: list[int], random: Random) -> None:
    """Any number of parts, added in any order, are the moments of all rows."""
    everything = rows(seed, sum(counts), dimension)
    parts = np.split(everything, np.cumsum(counts)[:-1])
    random.shuffle(parts)
    assert_equal(sum(map(Moments.of, parts), Moments.zero(dimension)), Moments.of(everything))


@given(seeds, st.integers(2, 60), st.integers(2, 6))
def test_mean_and_scatter_are_numpys(seed: int, count: int, dimension: int) -> None:
    """Mean, covariance and variance equal numpy.mean, numpy.cov and numpy.var (n − 1)."""
    one = rows(seed, count, dimension)
    moments = Moments.of(one)
    np.testing.assert_allclose(moments.mean, one.mean(axis=0, dtype=np.float64), rtol=1e-12)
    covariance = np.cov(one.astype(np.float64), rowvar=False)
    np.testing.assert_allclose(moments.scatter / (count - 1), covariance, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(moments.variance, one.var(axis=0, dtype=np.float64, ddof=1), rtol=1e-10)


@given(seeds, sizes, dimensions)
def test_bytes_hold_every_bit(seed: int, count: int, dimension: int) -> None:
    """from_bytes(to_bytes(m)) is m, bit for bit, at eight bytes a number."""
    moments = Moments.of(rows(seed, count, dimension))
    stored = moments.to_bytes()
    back = Moments.from_bytes(*stored)
    assert (back.count, len(stored[1]), len(stored[2])) == (count, 8 * dimension, 8 * dimension**2)
    np.testing.assert_array_equal(back.mean, moments.mean)
    np.testing.assert_array_equal(back.scatter, moments.scatter)


@given(seeds, sizes, dimensions)
def test_under_a_scaler_equals_the_moments_of_scaled_rows(seed: int, count: int, dimension: int) -> None:
    """of(x).under(m, s) = of((x − m) / s)."""
    one = rows(seed, count, dimension)
    generator = np.random.default_rng(seed)
    mean, scale = generator.normal(size=dimension), generator.uniform(0.5, 2, dimension)
    assert_equal(Moments.of(one).under(mean, scale), Moments.of((one - mean) / scale))


def test_moments_leave_the_rows_alone() -> None:
    """`of` centres a copy, also where the rows are float64 already."""
    one = rows(0, 5, 3).astype(np.float64)
    before = one.copy()
    Moments.of(one)
    np.testing.assert_array_equal(one, before)


def test_no_rows_add_and_take_nothing() -> None:
    """Zero is neutral on either side, and what is left when all rows are taken away."""
    some = Moments.of(rows(0, 5, 3))
    for same in (some + Moments.zero(3), Moments.zero(3) + some, some - Moments.zero(3)):
        assert_equal(same, some)
    assert_equal(some - some, Moments.zero(3))


def test_more_rows_cannot_be_taken_than_there_are() -> None:
    """Taking away more rows than there are is a mistake that is told, not negative variance."""
    with pytest.raises(ValueError, match="5 rows cannot be taken from 4"):
        Moments.of(rows(0, 4, 3)) - Moments.of(rows(1, 5, 3))


def partials(one: Rows, parts: int) -> list[pa.RecordBatch]:
    """The partial moments of rows that are cut into parts, some of which may be empty, each into batches of two."""
    sums = pickle.loads(pickle.dumps(PartialMoments()))  # as it reaches other processes
    found = []
    for part in np.array_split(one, parts):
        features = pa.table({"features": as_column(part)}) if len(part) else NO_FEATURES
        found.append([*sums(features.to_batches(max_chunksize=2))])
    assert [len(batches) for batches in found] == [min(len(part), 1) for part in np.array_split(one, parts)]
    return [batch for batches in found for batch in batches]


@pytest.mark.parametrize("parts", [1, 3, 11])
def test_partial_moments_of_any_parts_merge_to_those_of_all_rows(parts: int) -> None:
    """Summed up part by part (some of them empty), combined or not, moments equal those of all rows."""
    one = rows(parts, 10, 8)
    batches = partials(one, parts)
    assert {*(batch.schema for batch in batches)} == {PartialMoments.schema}
    assert_equal(merge_moments(batches, 8), Moments.of(one))
    (combined,) = CombinedMoments()(iter(batches))
    assert (combined.schema, combined.num_rows) == (CombinedMoments.schema, 1)
    assert_equal(merge_moments([combined], 8), Moments.of(one))


def test_combined_moments_combine_again() -> None:
    """In a tree, as an engine does whose parts are many: of batches of several rows as well."""
    one = rows(5, 40, 8)
    batches = partials(one, 10)
    below = [*CombinedMoments()(iter(batches[:4])), *CombinedMoments()(iter(batches[4:]))]
    (above,) = CombinedMoments()(pa.Table.from_batches(below).combine_chunks().to_batches())
    assert_equal(merge_moments([above], 8), Moments.of(one))


def test_block_after_block_is_one_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows a batch has, a few at a time are held in float64."""
    monkeypatch.setattr("silver.moments._ROWS_A_BLOCK", 3)
    one = rows(6, 10, 8)
    (batch,) = PartialMoments()(pa.table({"features": as_column(one)}).to_batches())
    assert_equal(merge_moments([batch], 8), Moments.of(one))


def test_no_rows_are_the_moments_of_no_rows() -> None:
    """No rows have no partial moments, and their sum is zero."""
    for batches in ([], NO_FEATURES.to_batches(), [pa.RecordBatch.from_pylist([], NO_FEATURES.schema)]):
        assert [*PartialMoments()(iter(batches))] == []
    assert [*CombinedMoments()(iter([]))] == []
    assert_equal(merge_moments([], 8), Moments.zero(8))


@given(seeds, st.integers(0, 9), dimensions, st.integers(0, 3))
def test_matrix_survives_as_a_column(seed: int, count: int, dimension: int, start: int) -> None:
    """as_matrix(as_column(m)) is m, also for a slice of the column."""
    matrix = rows(seed, count, dimension)
    column = as_column(matrix).slice(start)
    if len(column):
        np.testing.assert_array_equal(as_matrix(column), matrix[start:])
