"""Lost, damaged and foreign files are named, with what is lost and how it comes back; readers say it in a sentence."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from bronze.tables import CONTENTS, CORRECTIONS, IMAGES, QUARANTINE
from fruits.catalog import ALL_TABLES, OF_LAYERS
from fruits.identify.identifier import read_projected
from fruits.operations.health import CheckResult, examine_files, examine_lake, repair
from fruits.operations.integrity import Integrity, describe, examine_tables
from fruits.operations.run import LAYERS, run_pipeline
from fruits.query.sql import answer
from fruits.settings import Settings, load_settings
from gold.tables import CALIBRATIONS, MODELS, PCA, PROJECTIONS
from lakehouse.errors import DamagedTableError, ForeignTableError, LakehouseError
from lakehouse.models.tables import CHOICES
from lakehouse.models.tables import MODELS as REGISTERED
from lakehouse.tables import delta
from lakehouse.tables.table import DataFile, Table
from lakehouse.workspace import Workspace
from silver.encoders.base import Encoder
from silver.tables import FEATURES, MOMENTS, SCALED, SCALER
from tests.conftest import add_photographs
from tests.fruits.cli.test_cli import call
from tests.stub import STUB

pytestmark = pytest.mark.usefixtures("blank_pictures")

ROWS = 5


@pytest.fixture(scope="module")
def after_a_run(tmp_path_factory: pytest.TempPathFactory, tracking_store: Path) -> Settings:
    """Settings of a lake and photographs after a run, a copy of both beside them."""
    folder = tmp_path_factory.mktemp("integrity") / "now"
    add_photographs(folder / "photographs", "Apple", range(ROWS))
    (folder / "lake" / "mlflow").mkdir(parents=True)
    shutil.copy(tracking_store, folder / "lake" / "mlflow")
    settings = load_settings(images=str(folder / "photographs"), lake=str(folder / "lake"), weights="untrained")
    workspace = Workspace(settings)
    run_pipeline(workspace, LAYERS, lambda: STUB)
    workspace.close()
    shutil.copytree(folder, folder.with_name("kept"))
    return settings


@pytest.fixture
def photographs(after_a_run: Settings) -> Path:
    """The folder of the photographs."""
    return Path(after_a_run.source.removeprefix("file://"))


@pytest.fixture
def whole(after_a_run: Settings, photographs: Path) -> Workspace:
    """The lake as it was after the run, whatever other tests have done to it."""
    shutil.rmtree(photographs.parent)
    shutil.copytree(photographs.parent.with_name("kept"), photographs.parent)
    return Workspace(after_a_run)


def settings_of(workspace: Workspace) -> Settings:
    """The settings of a workspace."""
    return workspace.section(Settings)


def bad_files(workspace: Workspace, *, thorough: bool = False) -> list[CheckResult]:
    """What doctor says of the tables that are not well."""
    return [finding for finding in examine_files(settings_of(workspace), thorough=thorough) if not finding.ok]


def run_again(workspace: Workspace, encoder: Encoder) -> None:
    """A run by a process that has nothing open."""
    again = Workspace(workspace.settings)
    run_pipeline(again, LAYERS, lambda: encoder)
    again.close()


def data_file(workspace: Workspace, table: Table) -> Path:
    """The one data file of a table."""
    (file,) = delta.data_files(workspace.lake, table)
    return Path(file)


def entry(workspace: Workspace, table: Table) -> Path:
    """The newest commit's file."""
    return max(Path(workspace.lake.path(table)).glob("_delta_log/*.json"))


def damage(file: Path, size: int | None) -> None:
    """Cut a file off; None: remove it."""
    if size is None:
        file.unlink()
    else:
        os.truncate(file, size)


def test_whole_lake_has_nothing_amiss(whole: Workspace) -> None:
    """And examining it changes nothing."""
    before = {path: path.stat().st_mtime_ns for path in Path(whole.lake.folder("")).rglob("*")}
    (finding,) = examine_files(settings_of(whole), thorough=True)
    assert finding.ok
    assert finding.found.startswith("13 data files in 13 tables")
    assert {path: path.stat().st_mtime_ns for path in Path(whole.lake.folder("")).rglob("*")} == before


ONE_FILE = [IMAGES, CONTENTS, FEATURES, MOMENTS, SCALED, PROJECTIONS, CALIBRATIONS]


@pytest.mark.parametrize("table", ONE_FILE, ids=lambda table: table.name)
def test_lost_data_file_is_named_and_its_rows_come_back(whole: Workspace, encoder: Encoder, table: Table) -> None:
    """By a repair, which takes it out of the table, and a run, which makes the rows again."""
    lost, rows = data_file(whole, table), delta.count(whole.lake, table)
    lost.unlink()
    (finding,) = bad_files(whole)
    assert finding.found == f"{table.name}: 1 of 1 data file with {rows} rows: {lost.name} is gone"
    assert "--repair" in finding.advice
    assert "from a backup" in finding.advice
    assert repair(settings_of(whole))[0] == f"Took 1 data file out of {table.name}, with {rows} rows."
    run_again(whole, encoder)
    assert delta.count(whole.lake, table) == rows
    assert [finding for finding in [*examine_lake(settings_of(whole)), *bad_files(whole)] if not finding.ok] == []


@pytest.mark.parametrize("table", [IMAGES, QUARANTINE, FEATURES, MOMENTS, PROJECTIONS], ids=lambda one: one.name)
def test_half_a_commit_is_named_and_put_aside(whole: Workspace, encoder: Encoder, table: Table) -> None:
    """The table is then as before it, and the next run does again what it did."""
    newest = entry(whole, table)
    whole_entry = newest.read_bytes()
    os.truncate(newest, 100)
    (finding,) = bad_files(whole)
    assert finding.found.startswith(f"{table.name} cannot be relied on: _delta_log/{newest.name} ends early")
    assert "Lost is what that commit wrote; the table before it is whole." in finding.found
    for read in (delta.open_table, delta.existing, delta.snapshot):
        with pytest.raises(DamagedTableError, match=rf"{newest.name} ends early: it is half a commit\. `fruits doc"):
            read(whole.lake, table)
    assert repair(settings_of(whole))[0].startswith(f"Put {whole.lake.log(table)}/{newest.name} aside")
    assert newest.with_name(f"{newest.name}.broken").read_bytes() == whole_entry[:100]
    run_again(whole, encoder)
    assert [finding for finding in [*examine_lake(settings_of(whole)), *bad_files(whole)] if not finding.ok] == []
    assert delta.count(whole.lake, PROJECTIONS) == ROWS


def test_entry_in_the_middle_cannot_be_put_aside(whole: Workspace) -> None:
    """Later commits need it: the advice is another, and repair leaves it as it is."""
    first = entry(whole, FEATURES).with_name(f"{1:020}.json")
    for size, said in ((0, "is empty"), (None, "is gone")):
        damage(first, size)
        (finding,) = bad_files(whole)
        assert f"{first.name} {said}" in finding.found
        assert "Lost is all that was written since." in finding.found
        assert "move the table's folder away" in finding.advice
    with pytest.raises(DamagedTableError, match=rf"{first.name} is gone"):
        repair(settings_of(whole))


def test_damaged_checkpoint_is_put_aside(whole: Workspace) -> None:
    """The commits that it sums up are there."""
    DeltaTable(whole.lake.path(FEATURES)).create_checkpoint()
    (checkpoint,) = Path(whole.lake.path(FEATURES)).glob("_delta_log/*.checkpoint.parquet")
    os.truncate(checkpoint, 100)
    (finding,) = bad_files(whole)
    assert f"{checkpoint.name} is damaged. It only sums up commits that are there: nothing is lost." in finding.found
    repair(settings_of(whole))
    assert bad_files(whole) == []
    assert delta.count(whole.lake, FEATURES) == ROWS


def test_lost_log_is_named(whole: Workspace) -> None:
    """It is not taken for a table that is not there yet."""
    log = entry(whole, SCALED).parent
    log.rename(log.with_name("_delta_log of before"))
    (finding,) = bad_files(whole)
    assert finding.found == f"silver.scaled: its log, {whole.lake.log(SCALED)}, is gone"


def test_cut_or_overwritten_data_files_are_named(whole: Workspace) -> None:
    """By the size that the log says, and by the footer, which is read where files are few or that is asked for."""
    features, scaled = data_file(whole, FEATURES), data_file(whole, SCALED)
    size = features.stat().st_size
    os.truncate(features, 100)
    scaled.write_bytes(b"x" * scaled.stat().st_size)
    found = {finding.found.partition(":")[0]: finding.found for finding in bad_files(whole)}
    assert f"{features.name} is damaged (it has 100 bytes, and the log says {size:,})" in found["silver.features"]
    assert "Parquet magic bytes not found in footer" in found["silver.scaled"]


def test_footers_of_many_files_are_read_where_that_is_asked_for(
    whole: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each takes its time."""
    scaled = data_file(whole, SCALED)
    scaled.write_bytes(b"x" * scaled.stat().st_size)
    monkeypatch.setattr("fruits.operations.integrity.FEW", 0)
    assert bad_files(whole) == []
    assert [scaled.name in finding.found for finding in bad_files(whole, thorough=True)] == [True]


def test_foreign_files_are_named_and_harm_nobody(whole: Workspace) -> None:
    """No writer of Delta tables calls files so."""
    for name in ("notes.txt", "_delta_log/00000000000000000001 (copy).json", "copy/of/part.parquet"):
        path = Path(whole.lake.path(FEATURES)) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    (finding,) = examine_files(settings_of(whole))
    assert finding.ok
    for name in ("notes.txt", "_delta_log/00000000000000000001 (copy).json", "copy/of/part.parquet"):
        assert f"silver.features/{name}" in finding.found


READERS: dict[str, Callable[[Workspace], object]] = {
    "sql": lambda workspace: answer(workspace.lake, "SELECT count(components), count(path) FROM gold.projections"),
    "rows": lambda workspace: workspace.engine.arrow(workspace.engine.rows(PROJECTIONS, ["path"])),
    "identify": lambda workspace: read_projected(workspace.lake, 2),
    "columns": lambda workspace: delta.any_row(workspace.lake, PROJECTIONS, "path", "x"),
}


@pytest.mark.parametrize("reader", READERS)
def test_readers_of_a_lost_or_cut_file_say_so(whole: Workspace, reader: str) -> None:
    """In a sentence that leads to doctor."""
    file = data_file(whole, PROJECTIONS)
    for size in (100, None):
        damage(file, size)
        with pytest.raises(DamagedTableError, match=r"(?s)projections.*`fruits doctor` says what is lost"):
            READERS[reader](Workspace(whole.settings))


def protocol(workspace: Workspace, table: Table, *features: str) -> None:
    """Write a commit into the log, as another tool would, that asks readers to know features of the protocol."""
    actions: list[dict[str, object]] = [{"commitInfo": {"timestamp": 1, "operation": "UPGRADE PROTOCOL"}}]
    asked = {"readerFeatures": [*features], "writerFeatures": [*features]}
    actions += [{"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **asked}}]
    newest = entry(workspace, table)
    later = newest.with_name(f"{int(newest.stem) + 1:020}.json")
    later.write_text("\n".join(json.dumps(action) for action in actions))


@pytest.mark.parametrize("feature", ["deletionVectors", "columnMapping", "aFeatureOfTomorrow"])
def test_protocol_that_is_not_read_here_is_refused_by_all(whole: Workspace, encoder: Encoder, feature: str) -> None:
    """Readers, the job and doctor say which, and touch nothing."""
    protocol(whole, PROJECTIONS, feature)
    before = entry(whole, PROJECTIONS)
    for read in READERS.values():
        with pytest.raises(ForeignTableError, match=rf"gold\.projections .*{feature}.*not touched"):
            read(Workspace(whole.settings))
    for write in (lambda: run_again(whole, encoder), lambda: repair(settings_of(whole))):
        with pytest.raises(ForeignTableError, match=rf"gold\.projections .*{feature}.*not touched"):
            write()
    wrong = [finding for finding in examine_lake(settings_of(whole)) if not finding.ok]
    assert any(feature in finding.advice for finding in wrong)
    assert entry(whole, PROJECTIONS) == before


COMMANDS = {
    "sql": ["sql", "SELECT count(*) FROM gold.projections"],
    "report": ["report"],
    "run": ["run", "--images", "."],
    "rollback": ["rollback", "1"],
    "doctor": ["doctor", "--format", "json"],
}


def test_commands_say_it_in_a_sentence(whole: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    """With a status that says that they failed, and the file's name."""
    damaged = entry(whole, PROJECTIONS)
    os.truncate(damaged, 100)
    for command in COMMANDS.values():
        capsys.readouterr()
        assert call(*command, "--lake", whole.settings.lake) == 1
        shown = capsys.readouterr()
        assert f"{damaged.name} ends early" in shown.out + shown.err, command


def test_reasons_of_another_release_are_named_and_judged_again(
    whole: Workspace, photographs: Path, encoder: Encoder
) -> None:
    """By the rules of this one, as the next run looks at them."""
    (path,) = add_photographs(photographs, "Kiwi", range(9, 10))
    status = path.stat()
    row = {"path": f"file://{path}", "label": "Kiwi", "length": status.st_size, "reason": "too_blue", "batch": 1}
    row |= {"modification_time": status.st_mtime_ns // 1000, "detail": "It is too blue.", "quarantined_at": 0}
    delta.write_small(pa.Table.from_pylist([row], QUARANTINE.schema), whole.lake, QUARANTINE, mode="append")
    (wrong,) = [one for one in examine_lake(settings_of(whole)) if not one.ok and one.name == "quarantine"]
    assert wrong.found == "1 files held back, of them with reasons of another release: 1 too_blue"
    run_again(whole, encoder)
    assert all(finding.ok for finding in examine_lake(settings_of(whole)))
    assert (delta.count(whole.lake, IMAGES), delta.count(whole.lake, QUARANTINE)) == (ROWS + 1, 0)


def test_lake_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    """And an examination makes none."""
    assert examine_tables(delta.Lake(f"file://{tmp_path}/nowhere")) == []
    assert not (tmp_path / "nowhere").exists()


def test_models_that_are_lost_are_told_with_where_they_still_are(whole: Workspace) -> None:
    """No run writes a version's row again."""
    data_file(whole, MODELS).unlink()
    (finding,) = bad_files(whole)
    assert "MLflow still has the runs of those versions" in finding.advice
    with pytest.raises(LakehouseError, match="cannot be read"):
        answer(whole.lake, "SELECT * FROM gold.models")


@pytest.mark.parametrize("table", ALL_TABLES, ids=lambda table: table.name)
def test_each_table_says_how_lost_rows_come_back_or_that_they_do_not(table: Table) -> None:
    """Also the kernel's own, and what people have said."""
    found, advice = describe(Integrity(table, lost=[DataFile("/lake/part-0.parquet", 1, 7)], files=1))
    assert found == f"{table.name}: 1 of 1 data file with 7 rows: part-0.parquet is gone"
    assert "`fruits doctor --repair` takes them out of the table, and " in advice
    by_a_run = table in OF_LAYERS and table is not CORRECTIONS
    assert by_a_run == ("are lost" not in advice)


@pytest.mark.parametrize("loss", ["rows", "choices too", "folder"])
def test_lost_models_are_fitted_under_numbers_that_no_row_has(
    whole: Workspace, photographs: Path, encoder: Encoder, loss: str
) -> None:
    """Rows of a lost version are never taken for those of a new one: all are made again."""
    add_photographs(photographs, "Kiwi", range(ROWS, 3 * ROWS))
    if loss == "folder":
        shutil.rmtree(whole.lake.folder("registry"))
    else:
        for table in (REGISTERED, CHOICES) if loss == "choices too" else (REGISTERED,):
            for file in delta.data_files(whole.lake, table):
                Path(file).unlink()
        assert bad_files(whole)
    repair(settings_of(whole))
    run_again(whole, encoder)
    again = Workspace(whole.settings)
    for name, table, column in ((SCALER, SCALED, "scaler_version"), (PCA, PROJECTIONS, "pca_version")):
        champion = again.registry.champion(name)
        assert champion is not None
        assert min(version.number for version in again.registry.versions(name)) == 2
        assert delta.versions(again.lake, table, column) == {champion.number}
    assert [one for one in [*examine_lake(settings_of(again)), *bad_files(again)] if not one.ok] == []
