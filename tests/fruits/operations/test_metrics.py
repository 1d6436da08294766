"""A run's figures in CloudWatch's embedded metric format, held against the format's specification and read back."""

import json
from pathlib import Path
from typing import Any

import boto3
import jsonschema
import pytest

from fruits.operations.metrics import UNITS, embedded
from lakehouse.lease import open_lease
from tests.conftest import add_photographs
from tests.fruits.cli.test_cli import call
from tests.fruits.emr.conftest import REGION, moto_server, no_stack  # noqa: F401 - fixtures

GROUP = "/fruits/lake"
NAME = {"type": "string", "minLength": 1, "maxLength": 1024}
DIMENSIONS = {"type": "array", "items": {"type": "array", "items": {**NAME, "maxLength": 250}, "maxItems": 30}}
METRIC = {
    "type": "object",
    "required": ["Name"],
    "properties": {"Name": NAME, "Unit": {"enum": ["Count", "Seconds"]}, "StorageResolution": {"enum": [1, 60]}},
    "additionalProperties": False,
}
DIRECTIVE = {
    "type": "object",
    "required": ["Namespace", "Dimensions", "Metrics"],
    "properties": {
        "Namespace": {**NAME, "pattern": r"^[0-9A-Za-z.\-_/#:]+$"},
        "Dimensions": {**DIMENSIONS, "minItems": 1},
        "Metrics": {"type": "array", "items": METRIC, "minItems": 1, "maxItems": 100},
    },
}
SPECIFIED = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "properties": {
                "Timestamp": {"type": "integer", "minimum": 0},
                "CloudWatchMetrics": {"type": "array", "items": DIRECTIVE, "minItems": 1},
            },
        }
    },
}
"""What AWS's page "Specification: Embedded metric format" says of an event, as far as ours has it."""
RUN = {"id": "1", "status": "done", "seconds": 9.5, "photographs": 12, "ingested": 3, "quarantined": 1}


def assert_specified(event: dict[str, Any]) -> None:
    """It has the form, and each metric and dimension that it names is a value at its root."""
    jsonschema.validate(event, SPECIFIED)
    for directive in event["_aws"]["CloudWatchMetrics"]:
        assert all(isinstance(event[one["Name"]], int | float) for one in directive["Metrics"])
        assert all(isinstance(event[name], str) for names in directive["Dimensions"] for name in names)


def test_event_keeps_to_the_specification() -> None:
    """With every figure that the alarms and the dashboard ask for."""
    event = embedded(RUN, "lake", 1_700_000_000_000)
    assert_specified(event)
    assert {name: event[name] for name in UNITS} == {
        "Runs": 1, "Failed": 0, "Seconds": 9.5, "Photographs": 12, "Ingested": 3, "Quarantined": 1
    }  # fmt: skip


def test_figures_that_a_failed_run_has_not_are_left_out() -> None:
    """A null is no value of a metric."""
    event = embedded({**RUN, "status": "failed", "ingested": None, "quarantined": None}, "lake", 1)
    assert_specified(event)
    (directive,) = event["_aws"]["CloudWatchMetrics"]
    assert {one["Name"] for one in directive["Metrics"]} == {"Runs", "Failed", "Seconds", "Photographs"}
    assert event["Failed"] == 1


def events() -> list[dict[str, Any]]:
    """What is in the log group."""
    logs = boto3.client("logs", region_name=REGION)
    found = logs.filter_log_events(logGroupName=GROUP)["events"]
    return [json.loads(one["message"]) for one in found]


@pytest.fixture
def options(no_stack: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[object]:  # noqa: F811
    """Options of a run that sends its figures to a log group."""
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    boto3.client("logs", region_name=REGION).create_log_group(logGroupName=GROUP)
    add_photographs(tmp_path / "photographs", "Apple", range(3))
    (tmp_path / "photographs" / "Apple" / "none.png").write_bytes(b"no photograph")
    settings = f"images: {tmp_path}/photographs\nlake: {tmp_path}/lake\nweights: untrained\nengine: local\n"
    (tmp_path / "settings.yaml").write_text(settings)
    return ["run", "--config", tmp_path / "settings.yaml", "--metrics", GROUP]


def test_run_sends_what_its_row_says(options: list[object], tmp_path: Path) -> None:
    """Once it is over; one that was refused sends nothing, and one that failed says so."""
    assert call(*options) == 0
    (event,) = events()
    assert_specified(event)
    assert (event["Stack"], event["Ingested"], event["Quarantined"], event["Failed"]) == ("lake", 3, 1, 0)
    with open_lease(str(tmp_path / "lake")):
        assert call(*options, "--busy-status", 75) == 75
    assert len(events()) == 1
    (tmp_path / "lake" / "bronze" / "images" / "_delta_log" / "00000000000000000000.json").write_text("{")
    assert call(*options) == 1
    assert [one["Failed"] for one in events()][-1] == 1


def test_figures_that_cannot_be_sent_fail_no_run(options: list[object], capsys: pytest.CaptureFixture[str]) -> None:
    """They are told to be missing."""
    assert call(*options[:-1], "/none/there") == 0
    assert "could not be sent to the log group /none/there" in " ".join(capsys.readouterr().err.split())
