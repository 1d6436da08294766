"""The gold job: components that explain the threshold, every scaled row projected, a record of each version."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bronze.job
import gold.job
import silver.job
from gold.tables import EXPLAINED_VARIANCE, MODELS, PCA, PROJECTIONS, TABLES
from lakehouse.errors import SettingsError
from lakehouse.tables import delta
from lakehouse.tables.table import Table
from lakehouse.workspace import Workspace
from silver.encoders.base import Encoder
from silver.moments import Moments
from silver.tables import FEATURES, SCALED, SCALER
from tests.conftest import add_photographs, photograph
from tests.fitted import fitted_pca

pytestmark = pytest.mark.usefixtures("blank_pictures")

LENIENT = {"scaler_mean_limit": 1e6, "scaler_variance_range": (1e-6, 1e6), "threshold_slack": 0.7}


def run(workspace: Workspace, encoder: Encoder) -> gold.job.Summary:
    """Run all three layers."""
    bronze.job.run(workspace)
    silver.job.run(workspace, encoder)
    return gold.job.run(workspace)


def with_settings(workspace: Workspace, **settings: object) -> Workspace:
    """The workspace of the same lake under other settings."""
    return Workspace(workspace.settings.model_copy(update=settings), workspace.progress)


def held(workspace: Workspace, table: Table, *order: str) -> list[dict[str, Any]]:
    """The rows of a table, in order."""
    rows = delta.existing(workspace.lake, table).to_pyarrow_table().to_pylist()
    return sorted(rows, key=lambda row: [row[column] for column in order])


def state(workspace: Workspace) -> dict[str, int]:
    """The Delta version of each gold table, and the number of registered versions of each model."""
    versions = {table.name: delta.existing(workspace.lake, table).version() for table in TABLES}
    return {**versions, **{name: len(workspace.registry.versions(name)) for name in (SCALER, PCA)}}


def assert_consistent(workspace: Workspace) -> None:
    """Every scaled row is projected as scikit-learn's champion projects it, and one version holds throughout."""
    champion, pca = workspace.registry.champion(PCA), fitted_pca(workspace.registry)
    assert champion is not None
    scaled, projections = held(workspace, SCALED, "path"), held(workspace, PROJECTIONS, "path")
    same = ("path", "sha256", "scaler_version")
    assert [[row[key] for key in same] for row in projections] == [[row[key] for key in same] for row in scaled]
    expected = pca.transform(np.array([row["scaled"] for row in scaled], dtype=np.float64))
    np.testing.assert_allclose([row["components"] for row in projections], expected, rtol=1e-5, atol=1e-5)
    assert {row["pca_version"] for row in projections} == {champion.number}
    for row in projections:
        leading = [*row["components"][:3], None, None, None][:3]
        assert [row["pc1"], row["pc2"], row["pc3"]] == leading
    labels = {row["path"]: (row["label"], row["split"]) for row in held(workspace, FEATURES, "path")}
    assert {row["path"]: (row["label"], row["split"]) for row in projections} == labels


def test_first_fit_is_recorded_and_projects_every_row(
    workspace: Workspace, photographs: Path, encoder: Encoder
) -> None:
    """K explains the threshold, the tables say so, and all rows are projected as scikit-learn's own object does it."""
    add_photographs(photographs / "Training", "Apple", range(8))
    add_photographs(photographs / "Test", "Lemon", range(8, 12))
    summary = run(workspace, encoder)
    assert_consistent(workspace)

    spectrum = held(workspace, EXPLAINED_VARIANCE, "component")
    cumulative = np.array([row["cumulative"] for row in spectrum])
    assert [row["component"] for row in spectrum] == [*range(1, 9)]
    assert {row["pca_version"] for row in spectrum} == {1}
    assert (np.diff(cumulative) >= 0).all()
    assert cumulative[-1] == pytest.approx(1)
    np.testing.assert_allclose(np.cumsum([row["ratio"] for row in spectrum]), cumulative)
    k = next(row["component"] for row in spectrum if row["cumulative"] >= 0.8)
    assert summary == {
        "projected": 12,
        "relabelled": 0,
        "removed": 0,
        "images": 12,
        "components": k,
        "explained_variance": cumulative[k - 1],
        "pca_version": 1,
        "refit": "first fit",
    }

    (model,) = held(workspace, MODELS, "pca_version")
    expected = {
        "pca_version": 1,
        "scaler_version": 1,
        "feature_version": encoder.feature_version,
        "images": 12,
        "components": k,
        "explained_variance": cumulative[k - 1],
        "threshold": 0.8,
        "reason": "first fit",
    }
    assert {key: model[key] for key in expected} == expected


def test_second_run_does_nothing(workspace: Workspace, photographs: Path, encoder: Encoder) -> None:
    """Nothing new: no new version of a table or of a model, and the summary still says what the champion explains."""
    add_photographs(photographs, "Apple", range(6))
    first = run(workspace, encoder)
    before = state(workspace)
    second = run(workspace, encoder)
    assert second == {**first, "projected": 0, "refit": None}
    assert state(workspace) == before


def test_increment_is_merged_under_the_same_version(workspace: Workspace, photographs: Path, encoder: Encoder) -> None:
    """New rows are projected by the champion and merged in; replaced and removed ones follow."""
    lenient = with_settings(workspace, **LENIENT, removed_images="delete")
    first, second, *_ = add_photographs(photographs, "Apple", range(8))
    run(lenient, encoder)
    before = delta.existing(workspace.lake, PROJECTIONS).version()
    add_photographs(photographs, "Lemon", range(8, 11))
    first.write_bytes(photograph(99))
    second.unlink()
    summary = run(lenient, encoder)
    assert (summary["projected"], summary["removed"], summary["images"]) == (4, 1, 10)
    assert (summary["pca_version"], summary["refit"]) == (1, None)
    commits = [one for one in delta.existing(workspace.lake, PROJECTIONS).history() if one["version"] > before]
    modes = {str(one["operationParameters"].get("mode")).lower() for one in commits}
    assert "overwrite" not in modes
    assert "Overwrite" not in {one["operationParameters"].get("mode") for one in commits}
    assert_consistent(workspace)


def test_nothing_new_after_an_increment_is_not_measured_again_until_the_threshold_is_raised(
    workspace: Workspace, photographs: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What share of the variance the champion captures is known from the run that projected the rows."""
    lenient = with_settings(workspace, **LENIENT)
    add_photographs(photographs, "Apple", range(8))
    run(lenient, encoder)
    add_photographs(photographs, "Lemon", range(8, 11))
    increment = run(lenient, encoder)
    with monkeypatch.context() as patched:
        patched.setattr(Moments, "from_bytes", None)
        before = state(lenient)
        assert run(lenient, encoder) == {**increment, "projected": 0}
        assert state(lenient) == before
    raised = with_settings(workspace, **{**LENIENT, "threshold": 0.9999, "threshold_slack": 0.0})
    assert "less than 0.9999" in str(run(raised, encoder)["refit"])
    assert_consistent(raised)


def test_another_scaler_fits_another_pca(workspace: Workspace, photographs: Path, encoder: Encoder) -> None:
    """Components belong to a scaler: when silver has another, gold fits anew and replaces every row."""
    add_photographs(photographs, "Apple", range(6))
    run(workspace, encoder)
    for seed in range(6):
        (photographs / "Apple" / f"wide{seed}.png").write_bytes(photograph(seed, size=(64 + seed, 5)))
    summary = run(workspace, encoder)
    assert (summary["projected"], summary["images"], summary["pca_version"]) == (12, 12, 2)
    assert summary["refit"] == "the scaler changed"
    assert_consistent(workspace)
    assert [(row["pca_version"], row["scaler_version"]) for row in held(workspace, MODELS, "pca_version")] == [
        (1, 1),
        (2, 2),
    ]
    assert {row["pca_version"] for row in held(workspace, EXPLAINED_VARIANCE, "pca_version")} == {1, 2}


def test_refit_always_fits_what_is_new_once(workspace: Workspace, photographs: Path, encoder: Encoder) -> None:
    """`refit: always` fits scaler and PCA on new photographs; asked again with nothing new, it is the same fit."""
    always = with_settings(workspace, refit="always")
    add_photographs(photographs, "Apple", range(6))
    run(workspace, encoder)
    add_photographs(photographs, "Lemon", range(6, 9))
    summary = run(always, encoder)
    assert (summary["pca_version"], summary["projected"]) == (2, 9)
    assert_consistent(workspace)
    before = state(workspace)
    again = run(always, encoder)
    assert (again["pca_version"], again["projected"], again["refit"]) == (2, 0, None)
    assert state(workspace) == before


def test_another_threshold_takes_effect_when_a_fit_is_asked_for(
    workspace: Workspace, photographs: Path, encoder: Encoder
) -> None:
    """A threshold of 1 needs every component that varies, and the fit on the same rows is another version."""
    add_photographs(photographs, "Apple", range(12))
    run(workspace, encoder)
    summary = run(with_settings(workspace, threshold=1.0, refit="always"), encoder)
    assert (summary["pca_version"], summary["components"]) == (2, 6)  # width and height do not vary
    assert summary["explained_variance"] == pytest.approx(1)
    assert_consistent(workspace)


def test_photographs_that_do_not_differ_wait(workspace: Workspace, photographs: Path, encoder: Encoder) -> None:
    """Equal photographs have no components: gold waits, and fits when one differs."""
    for name in ("a", "b", "c"):
        (photographs / f"{name}.png").write_bytes(photograph(1))
    summary = run(workspace, encoder)
    assert (summary["projected"], summary["images"], summary["pca_version"]) == (0, 0, None)
    assert workspace.registry.versions(PCA) == []
    (photographs / "d.png").write_bytes(photograph(2))
    assert run(workspace, encoder)["images"] == 4
    assert_consistent(workspace)


def test_refit_never_without_a_pca_is_refused(workspace: Workspace, photographs: Path, encoder: Encoder) -> None:
    """`refit: never` cannot do without a PCA, and says what can."""
    add_photographs(photographs, "Apple", range(3))
    bronze.job.run(workspace)
    silver.job.run(workspace, encoder)
    with pytest.raises(SettingsError, match=r"A PCA must be fitted \(first fit\).*--refit auto"):
        gold.job.run(with_settings(workspace, refit="never"))


def test_empty_lake_has_nothing_to_do(workspace: Workspace) -> None:
    """Gold before silver makes its tables and waits."""
    summary = gold.job.run(workspace)
    assert (summary["projected"], summary["images"], summary["pca_version"]) == (0, 0, None)


def test_projections_go_with_the_last_photograph(workspace: Workspace, photographs: Path, encoder: Encoder) -> None:
    """An emptied lake holds no rows in gold, and still tells its champion."""
    removing = with_settings(workspace, removed_images="delete")
    paths = add_photographs(photographs, "Kiwi", range(4))
    run(removing, encoder)
    for path in paths:
        path.write_bytes(b"no photograph any more")
    summary = run(removing, encoder)
    assert (summary["removed"], summary["images"], summary["pca_version"]) == (4, 0, 1)
    assert held(removing, PROJECTIONS) == []


def test_single_photograph_is_projected_by_the_champion_there_is(
    workspace: Workspace, photographs: Path, encoder: Encoder
) -> None:
    """Of one nothing can be fitted, and nothing need be: a lake that was emptied has its models still."""
    removing = with_settings(workspace, removed_images="delete")
    paths = add_photographs(photographs, "Kiwi", range(4))
    run(removing, encoder)
    for path in paths[1:]:
        path.unlink()
    for refit in ("auto", "always"):
        workspace = with_settings(removing, refit=refit)
        summary = run(workspace, encoder)
        assert (summary["images"], summary["pca_version"], summary["refit"]) == (1, 1, None)
        assert_consistent(workspace)
