"""People's corrections: over folders and manifests, by content, taken back, refused where names are not clear."""

import json
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bronze.manifest import Labelling
from bronze.tables import CORRECTIONS, IMAGES
from fruits.operations.forget import forget
from fruits.operations.relabel import format_relabelled, relabel, undo
from fruits.operations.run import LAYERS, Summary, run_pipeline
from fruits.settings import Settings
from gold.tables import PROJECTIONS
from lakehouse.errors import LeaseHeldError, NotHeldError, SettingsError
from lakehouse.failpoint import VARIABLE
from lakehouse.lease import open_lease
from lakehouse.tables import delta
from lakehouse.tables.table import Table
from lakehouse.workspace import Workspace
from silver.tables import FEATURES
from tests.conftest import add_photographs, photograph
from tests.fruits.cli.test_cli import call, fails
from tests.lakehouse.conftest import bucket, s3, s3_server  # noqa: F401 - fixtures
from tests.points import crash_points
from tests.stub import CountingEncoder
from tests.warm_command import run_command

pytestmark = pytest.mark.usefixtures("blank_pictures")
Labels = dict[str, tuple[str | None, str | None]]
Run = Callable[..., Summary]


@pytest.fixture
def run(workspace: Workspace, tmp_path: Path) -> Run:
    """Run all layers under other settings; each photograph may be computed once in the whole test."""
    counting = CountingEncoder(tmp_path / "calls", f"stub-{tmp_path}")

    def run(**settings: object) -> Summary:
        one = Workspace(workspace.settings.model_copy(update={"threshold_slack": 0.5, **settings}))
        before = counting.calls
        try:
            summary = run_pipeline(one, LAYERS, lambda: counting.encoder)
        finally:
            one.close()
        assert counting.calls - before == summary["silver"]["featurized"]
        return summary

    return run


@pytest.fixture
def fruit(photographs: Path, run: Run) -> Path:
    """Photographs of apples and kiwis, in the lake; returns their folder."""
    add_photographs(photographs, "Apple", range(4))
    add_photographs(photographs, "Kiwi", range(4, 8))
    run()
    return photographs


@pytest.fixture
def lake_settings(workspace: Workspace) -> Settings:
    """The settings of the workspace."""
    return workspace.section(Settings)


def rows(workspace: Workspace, table: Table) -> list[dict[str, Any]]:
    """A table's rows."""
    found: list[dict[str, Any]] = delta.existing(workspace.lake, table).to_pyarrow_table().to_pylist()
    return found


def labels(workspace: Workspace) -> Labels:
    """Label and split by label's folder and name, on which the three tables agree."""
    bronze, silver, gold = (
        {row["path"].partition("/photographs/")[2]: (row["label"], row["split"]) for row in rows(workspace, table)}
        for table in (IMAGES, FEATURES, PROJECTIONS)
    )
    assert bronze == silver == gold
    return bronze


def say(*names: str, label: str | None, split: str | None = None) -> list[Labelling]:
    """What a person says of photographs."""
    return [Labelling(0, name, label, split) for name in names]


def test_correction_follows_into_every_layer_and_is_taken_back(
    run: Run, workspace: Workspace, fruit: Path, lake_settings: Settings
) -> None:
    """In one run each, without inference; the folder's label stays visible, and who corrected it when and why."""
    before, start = labels(workspace), datetime.now(UTC)
    done = relabel(lake_settings, say("Apple/0.png", str(fruit / "Kiwi" / "4.png"), label="Pear", split="Test"), "seen")
    assert done.paths == [f"file://{fruit}/Apple/0.png", f"file://{fruit}/Kiwi/4.png"]
    assert labels(workspace) == before
    summary = run()
    assert (summary["bronze"]["relabelled"], summary["silver"]["relabelled"]) == (2, 2)
    assert (summary["gold"]["relabelled"], summary["gold"]["projected"]) == (2, 0)
    assert (summary["silver"]["featurized"], summary["silver"]["copied"]) == (0, 0)
    assert summary["bronze"]["labels"] == {"labels": 3, "without_label": 0, "splits": {"Test": 2}}
    corrected: Labels = {"Apple/0.png": ("Pear", "Test"), "Kiwi/4.png": ("Pear", "Test")}
    assert labels(workspace) == before | corrected
    given = {row["path"][-11:]: (row["given_label"], row["corrected"]) for row in rows(workspace, IMAGES)}
    assert given["Apple/0.png"] == ("Apple", True)
    assert given["Apple/1.png"] == ("Apple", False)
    (one, _) = rows(workspace, CORRECTIONS)
    assert start <= one["corrected_at"] <= datetime.now(UTC)
    assert (one["reason"], "@" in one["corrected_by"]) == ("seen", True)

    run(splits=["apple"])
    assert labels(workspace)["Apple/0.png"] == ("Pear", "Test")
    run()
    assert undo(lake_settings, ["Apple/0.png", "Kiwi/4.png"]).paths == done.paths
    assert run()["bronze"]["relabelled"] == 2
    assert labels(workspace) == before
    assert run()["bronze"]["relabelled"] == 0


def test_newest_correction_counts_and_says_only_what_it_names(
    run: Run, workspace: Workspace, fruit: Path, lake_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A label without a split leaves the split of the one before; also where the clock was set back."""
    relabel(lake_settings, say("0.png", label=None, split="Test"))
    monkeypatch.setattr("fruits.operations.relabel.datetime", Yesterday)
    relabel(lake_settings, say("0.png", label="Pear"))
    run()
    assert labels(workspace)["Apple/0.png"] == ("Pear", "Test")
    before = delta.existing(workspace.lake, CORRECTIONS).version()
    done = relabel(lake_settings, say("0.png", label="Pear"))
    assert (done.paths, done.unchanged) == ([], [f"file://{fruit}/Apple/0.png"])
    assert delta.existing(workspace.lake, CORRECTIONS).version() == before
    undo(lake_settings, ["0.png"])
    run()
    assert labels(workspace)["Apple/0.png"] == ("Apple", None)
    assert undo(lake_settings, ["0.png"]).paths == []


@pytest.mark.slow
def test_lake_on_s3_is_corrected_in_the_same_way(
    run: Run,
    workspace: Workspace,
    s3: Any,  # noqa: F811
    bucket: str,  # noqa: F811
) -> None:
    """With photographs on S3: named by their keys' ends, in every layer in one run, and taken back."""
    for seed, label in enumerate(("Apple", "Apple", "Kiwi", "Kiwi")):
        s3.put_object(Bucket=bucket, Key=f"photographs/{label}/{seed}.png", Body=photograph(seed))
    places = {"images": f"s3://{bucket}/photographs", "lake": f"s3://{bucket}/lake"}
    there = Workspace(workspace.settings.model_copy(update=places))
    run(**places)
    before = labels(there)
    done = relabel(there.section(Settings), say("Apple/0.png", label="Pear", split="Test"))
    assert done.paths == [f"s3://{bucket}/photographs/Apple/0.png"]
    summary = run(**places)
    assert [summary["bronze"]["relabelled"], summary["silver"]["relabelled"], summary["gold"]["relabelled"]] == [1] * 3
    assert (summary["silver"]["featurized"], summary["gold"]["projected"]) == (0, 0)
    assert labels(there) == before | {"Apple/0.png": ("Pear", "Test")}
    assert undo(there.section(Settings), ["Apple/0.png"]).paths == done.paths
    run(**places)
    assert labels(there) == before


class Yesterday(datetime):
    """A clock that is set back."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        """A day ago."""
        return super().now(tz) - timedelta(days=1)


def test_correction_is_of_the_content(run: Run, workspace: Workspace, fruit: Path, lake_settings: Settings) -> None:
    """It goes with a moved file and with copies, old and new, and not with another photograph in the file's place."""
    (fruit / "Lemon").mkdir()
    (fruit / "Lemon" / "copy.png").write_bytes(photograph(0))
    run()
    done = relabel(lake_settings, say("Apple/0.png", label="Pear"))
    assert done.copies == [f"file://{fruit}/Lemon/copy.png"]
    assert "held under 1 other paths, which follow too" in format_relabelled(done, undone=False)
    (fruit / "Apple" / "0.png").rename(fruit / "Kiwi" / "moved.png")
    (fruit / "Apple" / "0.png").write_bytes(photograph(50, (9, 9)))
    (fruit / "Lemon" / "later.png").write_bytes(photograph(0))
    run()
    found = labels(workspace)
    assert {name for name, label in found.items() if label[0] == "Pear"} == {
        "Kiwi/moved.png",
        "Lemon/copy.png",
        "Lemon/later.png",
    }
    assert found["Apple/0.png"] == ("Apple", None)
    undo(lake_settings, ["moved.png"])
    run()
    assert labels(workspace)["Lemon/copy.png"] == ("Lemon", None)


def test_correction_reaches_photographs_that_are_gone_or_in_another_folder(
    run: Run, workspace: Workspace, fruit: Path, lake_settings: Settings
) -> None:
    """Which a run does not list: taken back, they have what the manifest of their time gave them."""
    elsewhere = fruit.parent / "elsewhere"
    add_photographs(elsewhere / "photographs", ".", range(20, 22))
    manifest = elsewhere / "labels.csv"
    manifest.write_text("20.png,Plum,Train\n")
    run(images=f"file://{elsewhere}/photographs", labels=f"file://{manifest}")
    (fruit / "Apple" / "0.png").unlink()
    relabel(lake_settings, say("Apple/0.png", "20.png", "21.png", label="Pear"))
    assert run()["bronze"]["relabelled"] == 3
    pears: Labels = {"Apple/0.png": ("Pear", None), "20.png": ("Pear", "Train"), "21.png": ("Pear", None)}
    assert pears.items() <= labels(workspace).items()
    undo(lake_settings, ["Apple/0.png", "20.png", "21.png"])
    assert run()["bronze"]["relabelled"] == 3
    before: Labels = {"Apple/0.png": ("Apple", None), "20.png": ("Plum", "Train"), "21.png": (None, None)}
    assert before.items() <= labels(workspace).items()


def test_names_that_are_not_clear_are_refused_and_nothing_is_written(
    run: Run, workspace: Workspace, fruit: Path, lake_settings: Settings
) -> None:
    """Unknown ones and ends of several paths, all at once; a whole path is clear, whatever else ends so."""
    add_photographs(fruit / "Test", "Apple", range(9, 10))
    (fruit / "Test" / "Apple" / "0.png").write_bytes(photograph(10))
    run()
    with pytest.raises(NotHeldError) as refused:
        relabel(lake_settings, say("1.png", "nowhere.png", "Apple/0.png", "ple/1.png", label="Pear"))
    for text in ("no photograph is named nowhere.png", "named ple/1.png", "Apple/0.png is the end of 2 paths"):
        assert text in str(refused.value)
    for path in ("Apple/0.png", "Test/Apple/0.png"):
        assert f"file://{fruit}/{path}" in str(refused.value)
    with pytest.raises(NotHeldError, match="Nothing was changed"):
        undo(lake_settings, ["nowhere.png"])
    with pytest.raises(SettingsError, match=r"have the same bytes, so they cannot have different labels"):
        relabel(lake_settings, [*say("1.png", label="Pear"), *say("Apple/1.png", label="Fig")])
    assert delta.count(workspace.lake, CORRECTIONS) == 0
    assert relabel(lake_settings, say(f"{fruit}/Apple/0.png", label="Pear")).paths == [f"file://{fruit}/Apple/0.png"]


def test_path_is_relative_to_the_working_folder(
    run: Run, fruit: Path, lake_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the shell completes it, also where it ends other paths too."""
    (fruit / "Kiwi" / "0.png").write_bytes(photograph(30))
    run()
    monkeypatch.chdir(fruit / "Kiwi")
    assert relabel(lake_settings, say("./0.png", label="Pear")).paths == [f"file://{fruit}/Kiwi/0.png"]
    assert relabel(lake_settings, say("../Apple/0.png", label="Pear")).paths == [f"file://{fruit}/Apple/0.png"]


def test_lake_that_somebody_writes_to_or_that_is_empty_is_refused(lake_settings: Settings, fruit: Path) -> None:
    """One writer at a time; and there must be photographs."""
    with open_lease(lake_settings.lake), pytest.raises(LeaseHeldError):
        relabel(lake_settings, say("0.png", label="Pear"))
    empty = lake_settings.model_copy(update={"lake": f"file://{fruit}/none"})
    with pytest.raises(NotHeldError, match="There are no photographs in"):
        relabel(empty, say("0.png", label="Pear"))


def test_forgotten_photographs_corrections_are_forgotten(
    run: Run, workspace: Workspace, fruit: Path, lake_settings: Settings
) -> None:
    """Also of the path that it had before; no file of the table names it, and the others stay."""
    relabel(lake_settings, say("Apple/0.png", "Kiwi/4.png", label="Pear"))
    (fruit / "Apple" / "0.png").rename(fruit / "moved.png")
    run(removed_images="delete")
    (fruit / "moved.png").unlink()
    forget(lake_settings, [f"{fruit}/moved.png"])
    assert [row["path"] for row in rows(workspace, CORRECTIONS)] == [f"file://{fruit}/Kiwi/4.png"]
    for file in Path(workspace.lake.path(CORRECTIONS)).glob("*.parquet"):
        assert b"Apple/0.png" not in file.read_bytes()


@pytest.mark.parametrize("point", crash_points("fruits/operations/relabel.py"))
def test_correction_killed_there_is_made_by_the_same_call(
    run: Run, workspace: Workspace, fruit: Path, lake_settings: Settings, point: str, tmp_path: Path
) -> None:
    """Once: no second row says the same."""
    arguments = ["relabel", "0.png", "1.png", "Pear", "--lake", lake_settings.lake]
    log = tmp_path / "log"
    assert run_command(arguments, {VARIABLE: point}, log) == -signal.SIGKILL, log.read_text()
    relabel(lake_settings, say("0.png", "1.png", label="Pear"))
    assert delta.count(workspace.lake, CORRECTIONS) == 2
    assert run()["bronze"]["relabelled"] == 2


# ---- the command ----------------------------------------------------------------------------------------------------


def test_command_corrects_reads_a_file_and_takes_back(
    workspace: Workspace, fruit: Path, lake_settings: Settings, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Each says what was done and that the next run applies it."""
    where = ("--lake", lake_settings.lake)
    assert call("relabel", "0.png", "1.png", "Pear Williams", "--split", "Test", "--reason", "seen", *where) == 0
    said = capsys.readouterr().out
    assert said.startswith("Corrected 2 photographs.\nThe next `fruits run` brings labels")
    lines = tmp_path / "labels.csv"
    lines.write_text("path,label\n2.png,Fig\n1.png,Fig\n")
    assert call("relabel", "--from", lines, "--format", "json", *where) == 0
    assert json.loads(capsys.readouterr().out)["paths"] == [f"file://{fruit}/Apple/{n}.png" for n in (1, 2)]
    assert call("relabel", "--undo", "0.png", "3.png", *where) == 0
    assert capsys.readouterr().out.startswith("Took back the corrections of 1 photographs.\n1 had no correction.\n")
    said_of = {(row["path"][-5:], row["label"], row["split"]) for row in rows(workspace, CORRECTIONS)}
    assert ("1.png", "Fig", "Test") in said_of
    assert ("0.png", None, None) in said_of


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("0.png",), "Name photographs and their label"),
        (("0.png", " "), "Name photographs and their label"),
        ((), "Name photographs and their label"),
        (("--undo",), "whose corrections to take back"),
        (("--undo", "0.png", "--split", "Test"), "whose corrections to take back"),
        (("--from", "labels.csv", "0.png", "Pear"), "give no others"),
        (("--from", "nowhere.csv"), "nowhere.csv cannot be read"),
    ],
)
def test_wrong_calls_are_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    """With exit status 2, before the lake is looked at."""
    status, said = fails(capsys, "relabel", *arguments, "--lake", tmp_path / "lake")
    assert status == 2
    assert message in said
    assert not (tmp_path / "lake").exists()


def test_wrong_lines_are_named_and_nothing_is_written(
    workspace: Workspace, fruit: Path, lake_settings: Settings, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """By their numbers."""
    lines = tmp_path / "labels.csv"
    lines.write_text("0.png,Fig\n1.png\n")
    status, said = fails(capsys, "relabel", "--from", lines, "--lake", lake_settings.lake)
    assert (status, "line 2: 1 columns" in said) == (2, True)
    assert delta.count(workspace.lake, CORRECTIONS) == 0
