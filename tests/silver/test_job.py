"""The silver job: exactly the work that is due, and moments, scaler and scaled rows that follow."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bronze.job
import silver.job
from lakehouse.errors import SettingsError
from lakehouse.progress import NullProgress
from lakehouse.tables import delta
from lakehouse.tables.table import Table
from lakehouse.workspace import Workspace
from silver.encoders.base import Encoder
from silver.moments import Moments
from silver.statistics import read_moments, write_moments
from silver.tables import FEATURES, MOMENTS, SCALED, SCALER, TABLES
from tests.conftest import add_photographs, photograph
from tests.fitted import fitted_scaler
from tests.stub import CountingEncoder, stub_features


class Told(NullProgress):
    """A progress that keeps what it is told to say."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def log(self, message: str) -> None:
        """Keep the message."""
        self.messages.append(message)


@pytest.fixture
def counting(tmp_path: Path) -> CountingEncoder:
    """A counting encoder of this test's own (workers keep an encoder by its version)."""
    return CountingEncoder(tmp_path / "calls", f"stub-{tmp_path}")


def run(workspace: Workspace, encoder: Encoder) -> silver.job.Summary:
    """Run bronze, then silver."""
    bronze.job.run(workspace)
    return silver.job.run(workspace, encoder)


def with_settings(workspace: Workspace, **settings: object) -> Workspace:
    """The workspace of the same lake under other settings."""
    return Workspace(workspace.settings.model_copy(update=settings), workspace.progress)


def held(workspace: Workspace, table: Table) -> list[dict[str, Any]]:
    """The rows of a table, by path."""
    rows = delta.existing(workspace.lake, table).to_pyarrow_table().to_pylist()
    return sorted(rows, key=lambda row: row["path"])


def state(workspace: Workspace) -> dict[str, int]:
    """The Delta version of each silver table, and the number of registered scalers."""
    versions = {table.name: delta.existing(workspace.lake, table).version() for table in TABLES}
    return {**versions, SCALER: len(workspace.registry.versions(SCALER))}


def assert_consistent(workspace: Workspace) -> None:
    """Moments are those of all features, and scaled holds the z-scores of all of them under one scaler."""
    features, scaled = held(workspace, FEATURES), held(workspace, SCALED)
    matrix = np.array([row["features"] for row in features], dtype=np.float32)
    covered = read_moments(workspace.lake)
    assert covered is not None
    expected = Moments.of(matrix)
    assert covered.moments.count == expected.count
    np.testing.assert_allclose(covered.moments.mean, expected.mean, rtol=1e-9)
    np.testing.assert_allclose(
        covered.moments.scatter, expected.scatter, rtol=1e-9, atol=1e-9 * np.trace(expected.scatter)
    )

    assert [(row["path"], row["sha256"]) for row in scaled] == [(row["path"], row["sha256"]) for row in features]
    (number,) = {row["scaler_version"] for row in scaled}
    champion = workspace.registry.champion(SCALER)
    assert champion is not None
    assert champion.number == number
    scaler = fitted_scaler(workspace.registry)
    np.testing.assert_allclose(
        [row["scaled"] for row in scaled], (matrix - scaler.mean_) / scaler.scale_, rtol=1e-5, atol=1e-5
    )


def test_first_run_featurizes_every_photograph(
    workspace: Workspace, photographs: Path, counting: CountingEncoder
) -> None:
    """Each photograph is computed once, as the encoder computes it, and the scaler is fitted on all of them."""
    add_photographs(photographs / "Training", "Apple", range(6))
    add_photographs(photographs / "Test", "Lemon", range(6, 12))
    summary = run(workspace, counting.encoder)
    assert summary == {
        "featurized": 12,
        "copied": 0,
        "relabelled": 0,
        "scaled": 12,
        "removed": 0,
        "feature_version": counting.encoder.feature_version,
        "scaler_version": 1,
        "refit": "first fit",
    }
    assert counting.calls == 12
    features = held(workspace, FEATURES)
    assert {(row["label"], row["split"]) for row in features} == {("Apple", "Training"), ("Lemon", "Test")}
    predict = stub_features
    for row in features:
        content = Path(row["path"].removeprefix("file://")).read_bytes()
        np.testing.assert_array_equal(np.array(row["features"], np.float32), predict(memoryview(content)))
    assert_consistent(workspace)
    scaled = np.array([row["scaled"] for row in held(workspace, SCALED)])
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled[:, :6].var(axis=0, ddof=1), 1, rtol=1e-5)


def test_second_run_does_nothing(workspace: Workspace, photographs: Path, counting: CountingEncoder) -> None:
    """Nothing new: nothing computed, no new version of a table, no new version of a model."""
    add_photographs(photographs, "Apple", range(4))
    run(workspace, counting.encoder)
    before = state(workspace)
    summary = run(workspace, counting.encoder)
    assert (summary["featurized"], summary["copied"], summary["scaled"], summary["removed"]) == (0, 0, 0, 0)
    assert (summary["scaler_version"], summary["refit"]) == (1, None)
    assert counting.calls == 4
    assert state(workspace) == before


@pytest.mark.parametrize("new", [photograph(9), photograph(1)], ids=["another", "its neighbour's"])
def test_moved_photographs_features_go_with_it_though_another_takes_its_place(
    workspace: Workspace, photographs: Path, counting: CountingEncoder, new: bytes
) -> None:
    """Also where two change places, or what takes the place is in the lake already."""
    add_photographs(photographs, "Apple", range(6))
    run(workspace, counting.encoder)
    (photographs / "Apple" / "0.png").rename(photographs / "Apple" / "moved.png")
    (photographs / "Apple" / "0.png").write_bytes(new)
    (photographs / "Apple" / "2.png").write_bytes(photograph(3))
    (photographs / "Apple" / "3.png").write_bytes(photograph(2))
    summary = run(workspace, counting.encoder)
    computed = new == photograph(9)
    assert (summary["featurized"], summary["copied"], summary["removed"]) == (computed, 4 - computed, 0)
    features = {row["path"]: row["features"] for row in held(workspace, FEATURES)}
    expected = {f"file://{path}": stub_features(memoryview(path.read_bytes())) for path in photographs.rglob("*.png")}
    assert features.keys() == expected.keys()
    for path, row in expected.items():
        np.testing.assert_array_equal(np.array(features[path], np.float32), row)
    assert_consistent(workspace)


def test_increment_costs_what_is_new(workspace: Workspace, photographs: Path, counting: CountingEncoder) -> None:
    """N new photographs are n computations, under the scaler that is there while it still fits."""
    lenient = with_settings(workspace, scaler_mean_limit=1e6, scaler_variance_range=(1e-6, 1e6))
    add_photographs(photographs, "Apple", range(8))
    run(lenient, counting.encoder)
    add_photographs(photographs, "Lemon", range(8, 11))
    summary = run(lenient, counting.encoder)
    assert (summary["featurized"], summary["scaled"], summary["refit"]) == (3, 3, None)
    assert counting.calls == 11
    assert {row["scaler_version"] for row in held(workspace, SCALED)} == {1}
    assert_consistent(workspace)


def test_nothing_new_after_an_increment_is_not_judged_again_until_the_limits_change(
    workspace: Workspace, photographs: Path, counting: CountingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moments, 13 MB of MobileNetV2's features, are read only for what an earlier run has not found out."""
    lenient = with_settings(workspace, scaler_mean_limit=1e6, scaler_variance_range=(1e-6, 1e6))
    add_photographs(photographs, "Apple", range(8))
    run(lenient, counting.encoder)
    add_photographs(photographs, "Lemon", range(8, 11))
    run(lenient, counting.encoder)
    with monkeypatch.context() as patched:
        patched.setattr(Moments, "from_bytes", None)
        before = state(lenient)
        assert run(lenient, counting.encoder)["scaler_version"] == 1
        assert state(lenient) == before
    strict = with_settings(workspace, scaler_mean_limit=1e-9)
    assert "the scaled features' average squared mean" in str(run(strict, counting.encoder)["refit"])
    assert_consistent(strict)


def test_features_that_are_no_longer_standard_get_another_scaler(
    workspace: Workspace, photographs: Path, counting: CountingEncoder
) -> None:
    """Photographs of another kind move the features: the scaler is fitted anew, and all rows are scaled by it."""
    add_photographs(photographs, "Apple", range(6))
    run(workspace, counting.encoder)
    for seed in range(6):
        (photographs / "Apple" / f"wide{seed}.png").write_bytes(photograph(seed, size=(64 + seed, 5)))
    summary = run(workspace, counting.encoder)
    assert (summary["featurized"], summary["scaled"], summary["scaler_version"]) == (6, 12, 2)
    assert "the scaled features' average" in str(summary["refit"])
    assert_consistent(workspace)


def test_equal_photographs_are_computed_once(
    workspace: Workspace, photographs: Path, counting: CountingEncoder
) -> None:
    """Of equal bytes in one batch one is computed and the others are copies."""
    add_photographs(photographs, "Apple", range(3))
    add_photographs(photographs, "Lemon", range(3))
    summary = run(workspace, counting.encoder)
    assert (summary["featurized"], summary["copied"], summary["scaled"]) == (3, 3, 6)
    assert counting.calls == 3
    features = held(workspace, FEATURES)
    assert [row["label"] for row in features] == ["Apple"] * 3 + ["Lemon"] * 3
    assert [row["features"] for row in features[:3]] == [row["features"] for row in features[3:]]
    assert_consistent(workspace)


def test_moved_photograph_is_copied(workspace: Workspace, photographs: Path, counting: CountingEncoder) -> None:
    """Known bytes at another path cost no computation; label and split follow the folder, and the old row goes."""
    deleting = with_settings(workspace, removed_images="delete")
    (path, *_) = add_photographs(photographs / "Training", "Apple", range(5))
    run(deleting, counting.encoder)
    (photographs / "Test" / "Lemon").mkdir(parents=True)
    path.rename(photographs / "Test" / "Lemon" / "moved.png")
    summary = run(deleting, counting.encoder)
    assert (summary["featurized"], summary["copied"], summary["removed"]) == (0, 1, 1)
    assert counting.calls == 5
    features = held(workspace, FEATURES)
    assert len(features) == 5
    (moved,) = [row for row in features if row["path"].endswith("/Test/Lemon/moved.png")]
    assert (moved["label"], moved["split"]) == ("Lemon", "Test")
    assert_consistent(workspace)


def test_replaced_photograph_has_one_row(workspace: Workspace, photographs: Path, counting: CountingEncoder) -> None:
    """New bytes at a known path are computed and take the old row's place."""
    (path, *_) = add_photographs(photographs, "Apple", range(5))
    run(workspace, counting.encoder)
    (before, *_) = held(workspace, FEATURES)
    path.write_bytes(photograph(99, size=(9, 8)))
    summary = run(workspace, counting.encoder)
    (after, *others) = held(workspace, FEATURES)
    assert (summary["featurized"], counting.calls, len(others)) == (1, 6, 4)
    assert after["path"] == before["path"]
    assert after["sha256"] != before["sha256"]
    assert after["features"] != before["features"]
    assert_consistent(workspace)


def test_removed_photographs_leave_every_table(
    workspace: Workspace, photographs: Path, counting: CountingEncoder
) -> None:
    """With `removed_images: delete`, what is gone from the folder is gone from features, moments and scaled."""
    deleting = with_settings(workspace, removed_images="delete")
    first, second, *_ = add_photographs(photographs, "Apple", range(8))
    run(deleting, counting.encoder)
    first.unlink()
    second.unlink()
    summary = run(deleting, counting.encoder)
    assert (summary["featurized"], summary["removed"], counting.calls) == (0, 2, 8)
    for table in (FEATURES, SCALED):
        assert [Path(row["path"]).name for row in held(workspace, table)] == [f"{seed}.png" for seed in range(2, 8)]
    assert_consistent(workspace)


def test_removed_photographs_are_kept_unless_told(
    workspace: Workspace, photographs: Path, counting: CountingEncoder
) -> None:
    """With `removed_images: keep`, the default, a photograph that is gone changes nothing."""
    (path, *_) = add_photographs(photographs, "Apple", range(4))
    run(workspace, counting.encoder)
    before = state(workspace)
    path.unlink()
    assert run(workspace, counting.encoder)["removed"] == 0
    assert state(workspace) == before


def test_another_feature_version_computes_everything_anew(
    workspace: Workspace, photographs: Path, counting: CountingEncoder, tmp_path: Path
) -> None:
    """Features of another encoder are replaced, and the scaler is fitted on the new ones."""
    add_photographs(photographs, "Apple", range(4))
    run(workspace, counting.encoder)
    other = CountingEncoder(tmp_path / "other", f"other-{tmp_path}")
    summary = run(workspace, other.encoder)
    assert (summary["featurized"], summary["scaled"], other.calls) == (4, 4, 4)
    assert (summary["scaler_version"], summary["refit"]) == (2, "the feature version changed")
    assert {row["feature_version"] for row in held(workspace, FEATURES)} == {other.encoder.feature_version}
    assert_consistent(workspace)


def test_moments_are_recomputed_where_their_history_is_lost(
    workspace: Workspace, photographs: Path, counting: CountingEncoder
) -> None:
    """When the changes since the last moments have been vacuumed, moments come from all features: never a gap."""
    deleting = with_settings(workspace, removed_images="delete")
    first, second, *_ = add_photographs(photographs, "Apple", range(6))
    run(deleting, counting.encoder)
    covered = read_moments(workspace.lake)
    first.unlink()
    run(deleting, counting.encoder)
    second.write_bytes(photograph(77))
    run(deleting, counting.encoder)
    assert covered is not None
    write_moments(workspace.lake, covered)  # as after a run that died before it wrote them
    table = delta.existing(workspace.lake, FEATURES)
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    folder = Path(workspace.lake.path(FEATURES))
    for file in (folder / "_change_data").glob("*.parquet"):
        file.unlink()
    run(deleting, counting.encoder)
    assert_consistent(workspace)


def test_moments_are_recomputed_where_the_log_has_been_cleaned(
    workspace: Workspace, photographs: Path, counting: CountingEncoder
) -> None:
    """When the log no longer reaches back to the last moments, moments come from all features."""
    (path, *_) = add_photographs(photographs, "Apple", range(6))
    run(workspace, counting.encoder)
    covered = read_moments(workspace.lake)
    path.write_bytes(photograph(77))
    run(workspace, counting.encoder)
    assert covered is not None
    write_moments(workspace.lake, covered)
    table = delta.existing(workspace.lake, FEATURES)
    table.create_checkpoint()
    for file in (Path(workspace.lake.path(FEATURES)) / "_delta_log").glob("*.json"):
        if int(file.stem) < table.version():
            file.unlink()
    add_photographs(photographs, "Lemon", range(20, 22))
    run(workspace, counting.encoder)
    assert_consistent(workspace)


def test_single_photograph_waits(workspace: Workspace, photographs: Path, encoder: Encoder) -> None:
    """One photograph has no deviation: its features wait, which is said, and the second one brings the scaler."""
    told = Told()
    telling = Workspace(workspace.settings, told)
    add_photographs(photographs, "Apple", range(1))
    summary = run(telling, encoder)
    assert (summary["featurized"], summary["scaled"], summary["scaler_version"]) == (1, 0, None)
    assert any("at least two photographs" in message for message in told.messages)
    add_photographs(photographs, "Apple", range(1, 2))
    summary = run(telling, encoder)
    assert (summary["featurized"], summary["scaled"], summary["scaler_version"]) == (1, 2, 1)
    assert_consistent(workspace)


def test_empty_lake_has_nothing_to_do(workspace: Workspace, photographs: Path, encoder: Encoder) -> None:
    """Without a photograph nothing is computed, fitted or registered."""
    summary = run(workspace, encoder)
    assert (summary["featurized"], summary["scaled"], summary["scaler_version"], summary["refit"]) == (0, 0, None, None)
    assert workspace.registry.versions(SCALER) == []


def test_refit_never_without_a_scaler_is_refused(workspace: Workspace, photographs: Path, encoder: Encoder) -> None:
    """`refit: never` cannot do without a scaler, and says what can."""
    add_photographs(photographs, "Apple", range(3))
    with pytest.raises(SettingsError, match=r"A scaler must be fitted \(first fit\).*--refit auto"):
        run(with_settings(workspace, refit="never"), encoder)


def test_refit_always_on_the_same_features_is_the_same_fit(
    workspace: Workspace, photographs: Path, encoder: Encoder
) -> None:
    """`refit: always` with nothing new finds the version that is there and registers none."""
    add_photographs(photographs, "Apple", range(3))
    run(workspace, encoder)
    before = state(workspace)
    summary = run(with_settings(workspace, refit="always"), encoder)
    assert (summary["scaler_version"], summary["refit"]) == (1, None)
    assert state(workspace) == before


def test_feature_left_constant_by_a_removal_is_left_unscaled(
    workspace: Workspace, photographs: Path, counting: CountingEncoder
) -> None:
    """A refit sums all rows anew: what a subtraction leaves of the removed ones is not scaled up to a variance of 1."""
    add_photographs(photographs, "Apple", range(12))
    odd = photographs / "Apple" / "odd.png"
    odd.write_bytes(photograph(99, size=(9, 7)))
    run(workspace, counting.encoder)
    odd.unlink()
    run(with_settings(workspace, removed_images="delete", refit="always"), counting.encoder)
    assert fitted_scaler(workspace.registry).scale_[6:].tolist() == [1, 1]  # width and height
    assert_consistent(workspace)


def test_other_labels_leave_the_moments_where_they_are(
    workspace: Workspace, photographs: Path, counting: CountingEncoder, tmp_path: Path
) -> None:
    """They are of other rows' version then, by a commit without data; what comes later is added to them."""
    path, *_ = add_photographs(photographs, "Apple", range(6))
    run(workspace, counting.encoder)
    files = delta.data_files(workspace.lake, MOMENTS)
    (tmp_path / "labels.csv").write_text(f"path,label\n{path.name},Pear\n")
    labelled = with_settings(workspace, labels=f"file://{tmp_path}/labels.csv")
    assert run(labelled, counting.encoder)["relabelled"] == 1
    assert delta.data_files(workspace.lake, MOMENTS) == files
    covered = read_moments(workspace.lake)
    assert covered is not None
    assert covered.features_version == delta.existing(workspace.lake, FEATURES).version()
    assert_consistent(labelled)
    add_photographs(photographs, "Lemon", range(20, 22))
    run(labelled, counting.encoder)
    assert delta.data_files(workspace.lake, MOMENTS) != files
    assert_consistent(labelled)
