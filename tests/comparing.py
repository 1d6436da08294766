"""What two lakes hold, compared: an interrupted life with an undisturbed one, one engine with the other."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.testing import assert_allclose

from fruits.catalog import OF_LAYERS
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake

# When it happened, and the numbers that Delta and MLflow give: a commit or a run more is no difference.
PASSING = {"ingested_at", "quarantined_at", "fitted_at", "features_version"}


def contents_of(folder: Path) -> dict[Path, str]:
    """What each file of a folder holds, as its SHA-256."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows_of_layers(lake: Lake, root: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """By table of the layers, its rows in the order of their keys, but for what passes.

    With `root`, the photographs' folder as the lake's paths have it, for lakes of different folders: paths are relative
    to it, and when files were modified passes, too.
    """
    passing = PASSING if root is None else {*PASSING, "modification_time"}
    found = {}
    for table in OF_LAYERS:
        rows = delta.existing(lake, table).to_pyarrow_table().to_pylist()
        kept = [{name: value for name, value in row.items() if name not in passing} for row in rows]
        for row in kept:
            if root is not None and "path" in row:
                row["path"] = row["path"].removeprefix(f"{root}/")
        found[table.name] = sorted(kept, key=lambda row: [str(row[name]) for name in table.key if name in row])
    return found


def assert_same(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Equal, numbers but for their rounding."""
    assert found.keys() == expected.keys()
    for name in found:
        assert len(found[name]) == len(expected[name]), name
        if name in ("models", "champions"):
            assert found[name] == expected[name]
            continue
        for row, other in zip(found[name], expected[name], strict=True):
            for column in row:
                _assert_equal(row[column], other[column], f"{name}.{column} of {row.get('path')}")


def _assert_equal(value: Any, expected: Any, where: str) -> None:
    if where.startswith("gold.calibrations.metrics"):  # a map comes as pairs
        assert [name for name, _ in value] == [name for name, _ in expected], where
        value, expected = ([number for _, number in pairs] for pairs in (value, expected))
    if where.startswith("silver.moments") and isinstance(value, bytes):
        value, expected = np.frombuffer(value), np.frombuffer(expected)
    if isinstance(value, list | float | np.ndarray):
        assert_allclose(value, expected, rtol=1e-6, atol=1e-6, err_msg=where)
    else:
        assert value == expected, where
