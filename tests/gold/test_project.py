"""Scaled vectors onto components: scikit-learn's coordinates, whatever the batches."""

import pickle

import numpy as np
import pyarrow as pa
import pytest

from gold.pca import fit_pca, fit_spectrum
from gold.project import PROJECTED, SCALED_VECTOR, Projecting
from gold.tables import PROJECTIONS
from lakehouse.arrow import as_column
from silver.moments import Float64, Moments

ROWS, DIMENSION = 9, 5


def scaled_rows() -> tuple[pa.Table, Float64]:
    """Rows of `silver.scaled` with what is projected of them, and their vectors."""
    vectors = np.random.default_rng(3).normal(size=(ROWS, DIMENSION)).astype(np.float32)
    columns = {
        "path": [f"p{i}" for i in range(ROWS)],
        "sha256": [f"s{i}" for i in range(ROWS)],
        "scaler_version": pa.array([4] * ROWS, pa.int64()),
        "batch": pa.array([1] * ROWS, pa.int64()),
        "scaled": as_column(vectors),
    }
    assert [*columns] == [*SCALED_VECTOR]
    return pa.table(columns), vectors.astype(np.float64)


@pytest.mark.parametrize("rows_a_batch", [1, 4, ROWS])
@pytest.mark.parametrize("k", [1, 2, 3, DIMENSION])
def test_projections_are_scikit_learns(k: int, rows_a_batch: int) -> None:
    """In the order of the components; the first three stand in columns of their own, null where there are fewer."""
    scaled, vectors = scaled_rows()
    pca = fit_pca(fit_spectrum(Moments.of(vectors)), k)
    projecting = pickle.loads(pickle.dumps(Projecting(pca.mean_, pca.components_, 6)))  # as it reaches other processes
    batches = scaled.to_batches(max_chunksize=rows_a_batch)
    projected = pa.Table.from_batches(projecting(iter([*batches, batches[0].slice(0, 0)])))
    assert projected.schema == PROJECTED
    expected = pca.transform(vectors)
    np.testing.assert_allclose(projected["components"].to_pylist(), expected, rtol=1e-5, atol=1e-6)
    for row in projected.to_pylist():
        assert [row["pc1"], row["pc2"], row["pc3"]] == [*row["components"], None, None][:3]
    assert projected.select(["path", "sha256", "scaler_version", "pca_version"]).to_pylist() == [
        {"path": f"p{i}", "sha256": f"s{i}", "scaler_version": 4, "pca_version": 6} for i in range(ROWS)
    ]


def test_no_rows_have_no_projections() -> None:
    """Neither of no batches nor of an empty one."""
    scaled, _ = scaled_rows()
    projecting = Projecting(np.zeros(DIMENSION), np.eye(DIMENSION), 6)
    assert [*projecting(iter([]))] == []
    assert [*projecting(iter([scaled.to_batches()[0].slice(0, 0)]))] == []


def test_projected_columns_are_those_of_the_table_but_for_label_and_split() -> None:
    """Which come from `silver.features`."""
    of_the_table = {field.name: field.type for field in PROJECTIONS.schema if field.name not in ("label", "split")}
    assert {field.name: field.type for field in PROJECTED} == of_the_table
