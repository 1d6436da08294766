"""The command: results on stdout, errors on stderr, and the exit status says which kind."""

import json
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from fruits.cli import main
from tests.conftest import add_photographs

SUMMARY = {
    "bronze": {
        "discovered",
        "ingested",
        "replaced",
        "relabelled",
        "unchanged",
        "quarantined",
        "skipped",
        "skipped_by",
        "unlisted",
        "removed",
        "batch",
        "labels",
    },
    "silver": {"featurized", "copied", "relabelled", "scaled", "removed", "feature_version", "scaler_version", "refit"},
    "gold": {
        "projected",
        "relabelled",
        "removed",
        "images",
        "components",
        "explained_variance",
        "pca_version",
        "refit",
    },
    "seconds": {"start", "bronze", "silver", "gold", "mlflow", "total"},
}
Fruits = Callable[..., int]


def call(*arguments: object) -> int:
    """Call the command in this process; returns its exit status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["fruits", *map(str, arguments)])
        try:
            main()
        except SystemExit as end:
            return int(end.code or 0)
    return 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photographs, settings for a network that needs no weights, and the lake of one run."""
    folder = tmp_path_factory.mktemp("cli")
    add_photographs(folder / "photographs", "Apple", range(6))
    (folder / "settings.yaml").write_text(
        f"images: {folder}/photographs\nlake: {folder}/lake\nweights: untrained\nthreshold: 0.9\n"
    )
    with pytest.MonkeyPatch.context() as patch, (folder / "run.json").open("w") as out:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(sys, "stdout", out)
        status = call("run", "--config", folder / "settings.yaml", "--format", "json")
    assert status == 0
    return folder


@pytest.fixture
def results(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Call the command on the lake; returns the JSON value that it prints, and nothing else, on stdout."""

    def result(*arguments: object) -> Any:
        assert call(*arguments, "--config", folder / "settings.yaml", "--format", "json") == 0
        return json.loads(capsys.readouterr().out)

    return result


def test_run_prints_its_summary_as_json(folder: Path) -> None:
    """`run --format json` prints one value with the keys that programs rely on."""
    summary = json.loads((folder / "run.json").read_text())
    assert {layer: set(figures) for layer, figures in summary.items()} == SUMMARY
    assert (summary["bronze"]["ingested"], summary["silver"]["featurized"], summary["gold"]["projected"]) == (6, 6, 6)
    assert summary["silver"]["feature_version"].startswith("mobilenetv2-untrained-")
    assert summary["gold"]["explained_variance"] >= 0.9


def test_layers_can_be_run_one_by_one(results: Callable[..., Any]) -> None:
    """`bronze`, `silver` and `gold` each run their layer, say so alone, and find nothing to do after a run."""
    bronze, silver, gold = results("bronze"), results("silver"), results("gold")
    assert bronze.keys() == {"bronze", "seconds"}
    assert (bronze["bronze"]["unchanged"], bronze["bronze"]["ingested"]) == (6, 0)
    assert (silver["silver"]["featurized"], silver["silver"]["scaled"]) == (0, 0)
    assert (gold["gold"]["projected"], gold["gold"]["images"]) == (0, 6)


def test_models_lists_versions_and_champion(results: Callable[..., Any]) -> None:
    """`models` tells each version's figures and which is champion."""
    (model,) = results("models")
    assert (model["pca_version"], model["scaler_version"], model["images"], model["champion"]) == (1, 1, 6, True)
    assert (model["threshold"], model["reason"]) == (0.9, "first fit")


def test_sql_answers_from_the_lake(results: Callable[..., Any]) -> None:
    """`sql` reads what the run wrote."""
    rows = results("sql", "SELECT label, count(*) AS n FROM gold.projections GROUP BY 1")
    assert rows == [{"label": "Apple", "n": 6}]


@pytest.mark.parametrize("shape", ["table", "csv"])
def test_sql_prints_for_people_and_spreadsheets(folder: Path, capsys: pytest.CaptureFixture[str], shape: str) -> None:
    """The other formats hold the same answer."""
    query = "SELECT label, count(*) AS n FROM gold.projections GROUP BY 1"
    assert call("sql", query, "--lake", folder / "lake", "--format", shape) == 0
    shown = capsys.readouterr().out
    assert "label" in shown
    assert "Apple" in shown
    assert shape == "table" or shown == "label,n\nApple,6\n"


def test_doctor_finds_nothing_to_mend(results: Callable[..., Any]) -> None:
    """On a good lake every finding is well, and each says what was found."""
    findings = results("doctor")
    assert [one["name"] for one in findings if not one["ok"]] == []
    names = {one["name"] for one in findings}
    assert {"python", "versions", "engine", "weights", "images", "lake", "models"} <= names
    assert names.isdisjoint({"java", "jars"})  # which this engine does without
    (lake,) = [one for one in findings if one["name"] == "lake"]
    assert "gold.projections 6" in lake["found"]


def test_doctor_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A weights file that is not there is a finding with advice, and exit status 1."""
    config = tmp_path / "settings.yaml"
    config.write_text(f"lake: {tmp_path}/lake\nweights: {tmp_path}/nowhere.h5\n")
    assert call("doctor", "--config", config, "--format", "json") == 1
    (bad,) = [one for one in json.loads(capsys.readouterr().out) if not one["ok"]]
    assert bad["name"] == "weights"
    assert "nowhere.h5" in bad["found"]
    assert bad["advice"]


def test_command_leaves_the_environment_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Looking at one lake does not make its tracking store that of the next one in the same process."""
    assert call("models", "--config", folder / "settings.yaml") == 0
    assert "MLFLOW_TRACKING_URI" not in os.environ


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Call the command; returns its exit status and what it says on stderr, stdout being empty."""
    status = call(*arguments)
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    return status, said.err


def test_unknown_setting_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt key: exit status 2, the key, the file, and the settings there are."""
    config = tmp_path / "settings.yaml"
    config.write_text("treshold: 0.5\n")
    status, said = fails(capsys, "run", "--config", config)
    assert status == 2
    for text in ("`treshold`", "settings.yaml", "threshold"):
        assert text in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--refit", "sometimes"), "--refit"),
        (("run",), "No photographs were named"),
        (("sql", "SELECT 1", "--format", "xml"), "table, csv, json"),
        (("quarantine", "--format", "xml"), "csv"),
        (("run", "--config", "/nowhere/settings.yaml"), "/nowhere/settings.yaml cannot be read"),
        (("nonsense",), "nonsense"),
        (("run", "--nonsense"), "--nonsense"),
        (("run", "--engine", "flink"), "`engine` in --engine is 'flink': Input should be 'auto', 'local' or 'spark'."),
    ],
)
def test_wrong_call_is_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    """A wrong call says what is wrong with it before any work begins."""
    lake = ("--lake", tmp_path / "lake") if arguments[0] in ("run", "sql", "quarantine") else ()
    status, said = fails(capsys, *arguments, *lake)
    assert status == 2
    assert message in said
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize(("command", "default"), [("run", "conf/local.yaml"), ("sql", "table")])
def test_help_tells_a_default_that_the_settings_have(
    capsys: pytest.CaptureFixture[str], command: str, default: str
) -> None:
    """Square brackets in a help text are markup, of which nothing is shown."""
    assert call(command, "--help") == 0
    assert f"[default: ({default})]" in " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_wrong_sql_is_status_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """DuckDB's message, as a mistake in the call."""
    status, said = fails(capsys, "sql", "SELECT nothing FROM gold.models", "--lake", folder / "lake")
    assert status == 2
    assert "nothing" in said


def test_empty_lake_is_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A right call on a lake without tables is work that failed, and says what to run."""
    status, said = fails(capsys, "sql", "SELECT 1", "--lake", tmp_path / "lake")
    assert status == 1
    assert "fruits run --images" in said


@pytest.mark.parametrize("command", ["run", "bronze"])
def test_missing_folder_is_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    """A folder of photographs that is not there is named, by every command that reads it."""
    config = tmp_path / "settings.yaml"
    config.write_text("weights: untrained\n")
    options = ("--images", tmp_path / "nowhere", "--lake", tmp_path / "lake", "--config", config)
    status, said = fails(capsys, command, *options)
    assert status == 1
    assert "nowhere" in said


# ---- first contact --------------------------------------------------------------------------------------------------


def test_version_is_the_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    """`fruits --version` names what pip knows as installed."""
    assert call("--version") == 0
    assert capsys.readouterr().out == f"fruits {version('fruits-lakehouse')}\n"


def test_command_alone_says_what_to_begin_with(capsys: pytest.CaptureFixture[str]) -> None:
    """Three commands, in their order."""
    call()
    said = capsys.readouterr()
    words = " ".join((said.out + said.err).split())
    begin = words[words.index("Begin with") :]
    assert begin.index("`fruits demo`") < begin.index("`fruits run --images FOLDER`") < begin.index("`fruits ui`")


@pytest.mark.parametrize(("wrong", "right"), [(("rum",), "'run'"), (("run", "--imges", "x"), "--images")])
def test_misspelt_word_is_answered_with_the_right_one(
    wrong: tuple[str, ...], right: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command or an option."""
    assert call(*wrong) == 2
    assert right in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_completes_commands_and_options(
    shell: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the script asks that `--show-completion` prints."""
    monkeypatch.setenv("_FRUITS_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "fruits relab")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    monkeypatch.setenv("COMP_WORDS", "fruits relab")
    monkeypatch.setenv("COMP_CWORD", "1")
    call()
    assert "relabel" in capsys.readouterr().out
