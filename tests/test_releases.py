"""What earlier releases have written is opened, read and gone on with by this one."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import lakehouse.migration
from fruits.catalog import MIGRATIONS, TABLES
from fruits.cli import app
from fruits.operations.health import repair
from fruits.operations.rollback import roll_back
from fruits.operations.run import run_layers
from fruits.settings import Settings
from lakehouse.migration import Migration
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.layout import is_declared
from lakehouse.workspace import Workspace
from tests.releases import put_photographs_back, settle, unpack

pytestmark = pytest.mark.usefixtures("blank_pictures")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The lake of 0.1.0 at another place, migrated, to be read."""
    settings = unpack(tmp_path_factory.mktemp("release"), model=True)
    repair(settings)
    return settings


def answers(settings: Settings, *arguments: str) -> list[dict[str, object]]:
    """What a command answers as JSON."""
    call = [*arguments, "--lake", settings.lake, "--format", "json"]
    found = CliRunner().invoke(app, call, catch_exceptions=False)
    assert found.exit_code == 0, found.stderr
    answer: list[dict[str, object]] = json.loads(found.stdout)
    return answer


@pytest.mark.parametrize("command", [("models",), ("identify", "{photograph}"), ("sql", "FROM gold.calibrations")])
def test_lake_that_is_not_migrated_yet_says_how(tmp_path: Path, command: tuple[str, ...]) -> None:
    """Who reads changes nothing."""
    settings = unpack(tmp_path)
    before = sorted(path.stat().st_mtime_ns for path in (tmp_path / "lake").rglob("*"))
    photograph = next((tmp_path / "photographs").rglob("*.jpg"))
    call = [*(part.format(photograph=photograph) for part in command), "--lake", settings.lake]
    found = CliRunner().invoke(app, call)
    assert "`fruits doctor --repair`" in str(found.exception)
    assert sorted(path.stat().st_mtime_ns for path in (tmp_path / "lake").rglob("*")) == before


@pytest.mark.parametrize("times", range(1, 1 + len(MIGRATIONS)))
def test_migration_that_was_killed_is_finished_by_the_next(
    tmp_path: Path, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each of its steps."""

    class DiedError(BaseException):
        pass

    left, migrated = times, lakehouse.migration._migrated

    def die(workspace: Workspace, step: Migration) -> str | None:
        nonlocal left
        said, left = migrated(workspace, step), left - 1
        if not left:
            raise DiedError
        return said

    settings = unpack(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("lakehouse.migration._migrated", die)
        with pytest.raises(DiedError):
            repair(settings)
    repair(settings)
    told = [(one["pca_version"], one["images"], one["champion"]) for one in answers(settings, "models")]
    assert told == [(1, 12, False), (2, 18, True)]


def test_lake_of_an_earlier_release_answers_sql(written: Settings) -> None:
    """With every row of every layer."""
    query = """
        SELECT label, split, count(*) AS n, count(features) AS features, count(scaled) AS scaled,
               max(pca_version) AS pca
        FROM bronze.images JOIN silver.features USING (path, label, split) JOIN silver.scaled USING (path)
        JOIN gold.projections USING (path, label, split) GROUP BY ALL ORDER BY ALL
    """
    split = {"Test": 1, "Training": 5}
    assert answers(written, "sql", query) == [
        {"label": label, "split": part, "n": n, "features": n, "scaled": n, "pca": 2}
        for label in ("Banana", "Kiwi", "Plum")
        for part, n in split.items()
    ]
    assert answers(written, "sql", "SELECT reason FROM bronze.quarantine") == [{"reason": "truncated"}]


def test_lake_of_an_earlier_release_tells_its_models(written: Settings) -> None:
    """All that were published, and the champion of then."""
    told = [(one["pca_version"], one["images"], one["champion"]) for one in answers(written, "models")]
    assert told == [(1, 12, False), (2, 18, True)]


def test_lake_of_an_earlier_release_identifies(written: Settings) -> None:
    """By its own arrays, and with the paths of its own photographs."""
    photograph = Path(str(written.images).removeprefix("file://")) / "Training" / "Kiwi" / "1_100.jpg"
    (answer,) = answers(written, "identify", str(photograph))
    assert (answer["label"], answer["known"]) == ("Kiwi", True)
    nearest = answer["neighbours"][0]  # type: ignore[index]
    assert nearest["path"] == "file:///tmp/fruits-0.1.0/photographs/Training/Kiwi/1_100.jpg"
    assert nearest["distance"] == pytest.approx(0, abs=1e-3)


def test_lake_of_an_earlier_release_is_gone_on_with(tmp_path: Path) -> None:
    """Nothing is read, computed or fitted again."""
    settings = put_photographs_back(unpack(tmp_path, model=True))
    settle(settings)
    summary = run_layers(settings)
    assert (summary["bronze"]["ingested"], summary["bronze"]["unchanged"]) == (0, 19)
    assert (summary["silver"]["featurized"], summary["silver"]["scaled"], summary["silver"]["refit"]) == (0, 0, None)
    assert (summary["gold"]["projected"], summary["gold"]["pca_version"], summary["gold"]["refit"]) == (0, 2, None)
    assert roll_back(settings, 1)["projected"] == 18
    assert all(is_declared(table, delta.existing(Lake(settings.lake), table)) for table in TABLES)
