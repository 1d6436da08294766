"""Labels and splits in every layer follow root, settings, files and people, in one run that computes nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bronze.tables import IMAGES, QUARANTINE
from fruits.operations.run import LAYERS, Summary, run_pipeline
from gold.tables import PROJECTIONS
from lakehouse.tables import delta
from lakehouse.workspace import Workspace
from silver.tables import FEATURES
from tests.conftest import SMALL_SESSION, add_photographs, photograph
from tests.stub import CountingEncoder

pytestmark = pytest.mark.usefixtures("blank_pictures")

Labels = dict[str, tuple[str | None, str | None]]
Run = Callable[..., Summary]


@pytest.fixture
def counting(tmp_path: Path) -> CountingEncoder:
    """A counting encoder of this test's own (workers keep an encoder by its version)."""
    return CountingEncoder(tmp_path / "calls", f"stub-{tmp_path}")


@pytest.fixture
def run(workspace: Workspace, counting: CountingEncoder) -> Run:
    """Run all layers under other settings, without a refit."""

    def run(**settings: object) -> Summary:
        lenient = {"scaler_mean_limit": 1e6, "scaler_variance_range": (0, 1e6), "threshold_slack": 0.5}
        changed = workspace.settings.model_copy(update={**lenient, "spark_local": SMALL_SESSION, **settings})
        one = Workspace(changed)
        try:
            return run_pipeline(one, LAYERS, lambda: counting.encoder)
        finally:
            one.close()

    return run


def labels(workspace: Workspace) -> Labels:
    """Label and split by the path below the photographs' folder, which the three tables agree on."""
    bronze, silver, gold = (
        {
            row["path"].partition("/photographs/")[2]: (row["label"], row["split"])
            for row in delta.existing(workspace.lake, table).to_pyarrow_table().to_pylist()
        }
        for table in (IMAGES, FEATURES, PROJECTIONS)
    )
    assert bronze == silver == gold
    return bronze


def data_versions(workspace: Workspace) -> dict[str, list[str]]:
    """The data files of each table with labels."""
    return {
        table.name: delta.data_files(workspace.lake, table) for table in (IMAGES, QUARANTINE, FEATURES, PROJECTIONS)
    }


def test_labels_follow_another_root(
    run: Run, workspace: Workspace, photographs: Path, counting: CountingEncoder
) -> None:
    """A folder that is a root says nothing of its files; below another root it is their label."""
    add_photographs(photographs, "Apple", range(4))
    run(images=f"file://{photographs}/Apple")
    assert labels(workspace) == {f"Apple/{n}.png": (None, None) for n in range(4)}
    summary = run()
    assert (summary["bronze"]["relabelled"], summary["bronze"]["unchanged"]) == (4, 4)
    assert summary["bronze"]["labels"] == {"labels": 1, "without_label": 0, "splits": {}}
    assert (summary["silver"]["relabelled"], summary["silver"]["featurized"], summary["silver"]["copied"]) == (4, 0, 0)
    assert (summary["gold"]["relabelled"], summary["gold"]["projected"]) == (4, 0)
    assert labels(workspace) == {f"Apple/{n}.png": ("Apple", None) for n in range(4)}
    assert counting.calls == 4
    before = data_versions(workspace)
    assert run()["bronze"]["relabelled"] == 0
    assert data_versions(workspace) == before


def test_labels_follow_other_splits_on_either_engine(
    run: Run, workspace: Workspace, photographs: Path, counting: CountingEncoder, engine_name: str
) -> None:
    """Photographs, and files in quarantine, take the label that the settings make of their folders now."""
    add_photographs(photographs, "lesson/Apple", range(3))
    add_photographs(photographs, "Kiwi", range(3, 5))
    (photographs / "lesson" / "page.png").write_bytes(b"no photograph")
    run()
    assert labels(workspace)["lesson/Apple/0.png"] == ("Apple", None)
    summary = run(splits=["lesson"], engine=engine_name)
    assert (summary["bronze"]["relabelled"], summary["silver"]["relabelled"], counting.calls) == (3, 3, 5)
    assert summary["bronze"]["labels"] == {"labels": 2, "without_label": 0, "splits": {"lesson": 3}}
    assert labels(workspace) == {
        **{f"lesson/Apple/{n}.png": ("Apple", "lesson") for n in range(3)},
        **{f"Kiwi/{n}.png": ("Kiwi", None) for n in (3, 4)},
    }
    (held,) = delta.existing(workspace.lake, QUARANTINE).to_pyarrow_table().to_pylist()
    assert held["label"] is None
    assert run(splits=["lesson"], engine=engine_name)["bronze"]["relabelled"] == 0


def test_labels_follow_a_moved_photograph(run: Run, workspace: Workspace, photographs: Path) -> None:
    """Its features are copied."""
    add_photographs(photographs, "Apple", range(4))
    run()
    (photographs / "Test" / "Pear").mkdir(parents=True)
    (photographs / "Apple" / "0.png").rename(photographs / "Test" / "Pear" / "0.png")
    summary = run(removed_images="delete")
    assert (summary["silver"]["featurized"], summary["silver"]["copied"]) == (0, 1)
    assert labels(workspace)["Test/Pear/0.png"] == ("Pear", "Test")
    assert len(labels(workspace)) == 4


def test_label_and_content_may_change_in_one_run(
    run: Run, workspace: Workspace, photographs: Path, counting: CountingEncoder
) -> None:
    """New, replaced, touched and unchanged photographs each take the labels of now; two are computed."""
    add_photographs(photographs, "lesson/Apple", range(4))
    run()
    (photographs / "lesson" / "Apple" / "0.png").write_bytes(photograph(70, (9, 9)))
    (photographs / "lesson" / "Apple" / "1.png").touch()
    add_photographs(photographs, "lesson/Kiwi", range(10, 11))
    summary = run(splits=["lesson"])
    assert (summary["silver"]["featurized"], counting.calls) == (2, 6)
    assert {split for _, split in labels(workspace).values()} == {"lesson"}


@pytest.mark.parametrize(
    ("paths", "counts"),
    [
        (["Apple/train/0.png", "Apple/test/1.png", "Kiwi/train/2.png"], (2, 0, {"test": 1, "train": 2})),
        (["Test/Apple/closeups/0.png", "Train/Apple/1.png"], (1, 0, {"Test": 1, "Train": 1})),
        (["training_set/cats/0.png", "test_set/dogs/1.png"], (2, 0, {"test_set": 1, "training_set": 1})),
        (["train/cat.0.png", "train/dog.0.png", "test/1.png"], (0, 3, {"test": 1, "train": 2})),
        (["valid/0.png", "invalid/1.png"], (2, 0, {})),
        (["train/images/0.png", "valid/images/1.png"], (0, 2, {"train": 1, "valid": 1})),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_summary_counts_labels_and_splits_of_each_layout(
    run: Run, workspace: Workspace, photographs: Path, paths: list[str], counts: tuple[int, int, dict[str, int]]
) -> None:
    """Also when there is nothing new."""
    for seed, path in enumerate(paths):
        (photographs / path).parent.mkdir(parents=True, exist_ok=True)
        (photographs / path).write_bytes(photograph(seed))
    expected = dict(zip(("labels", "without_label", "splits"), counts, strict=True))
    assert run()["bronze"]["labels"] == expected
    assert run()["bronze"]["labels"] == expected


def test_labels_follow_a_manifest_on_either_engine(
    run: Run, workspace: Workspace, photographs: Path, counting: CountingEncoder, engine_name: str
) -> None:
    """Over the folders, in one flat folder; what it no longer names falls back to its folder."""
    add_photographs(photographs, ".", range(3))
    add_photographs(photographs, "Kiwi", range(3, 5))
    manifest = photographs.parent / "labels.csv"
    manifest.write_text("path,label,split\n0.png,Apple,Train\n1.png,Pear,\nKiwi/3.png,,Test\n")
    run()
    under = {"labels": f"file://{manifest}", "engine": engine_name}
    assert run(**under)["bronze"]["relabelled"] == 3
    expected: Labels = {
        "0.png": ("Apple", "Train"),
        "1.png": ("Pear", None),
        "2.png": (None, None),
        "Kiwi/3.png": ("Kiwi", "Test"),
        "Kiwi/4.png": ("Kiwi", None),
    }
    assert labels(workspace) == expected
    before = data_versions(workspace)
    assert run(**under)["bronze"]["labels"] == {"labels": 3, "without_label": 1, "splits": {"Test": 1, "Train": 1}}
    assert data_versions(workspace) == before
    manifest.write_text('{"file_name": "2.png", "label": "Fig"}\n')
    jsonl = manifest.rename(manifest.with_suffix(".jsonl"))
    assert run(**under | {"labels": f"file://{jsonl}"})["bronze"]["relabelled"] == 4
    assert labels(workspace)["2.png"] == ("Fig", None)
    assert labels(workspace)["0.png"] == (None, None)
    assert counting.calls == 5
