"""`fruits emr plan`: the requests as boto3 takes them, and an honest estimate, without asking AWS."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fruits.catalog import Layer
from fruits.cli.emr import app
from fruits.emr.request import spark_submit
from fruits.emr.sent import on_cluster
from fruits.emr.settings import load_emr_settings
from fruits.settings import load_settings
from lakehouse.errors import SettingsError
from tests.fruits.emr.conftest import valid


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials, and nobody to ask."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


def printed(*options: str) -> dict[str, Any]:
    """What `fruits emr plan --format json` prints."""
    done = CliRunner().invoke(app, ["plan", "--format", "json", *options], catch_exceptions=False)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_plan_is_what_boto3_takes() -> None:
    """With all options, too."""
    found = printed()
    assert valid("emr", "RunJobFlow", found["run_job_flow"])
    assert found["run_job_flow"]["Steps"] == found["steps"]
    assert found["run_job_flow"]["Instances"]["KeepJobFlowAliveWhenNoSteps"] is False
    more = printed("--max-core-nodes", "8", "--task-nodes", "4", "--glue", "--primary", "m7g.xlarge")
    assert valid("emr", "RunJobFlow", more["run_job_flow"])
    limits = more["run_job_flow"]["ManagedScalingPolicy"]["ComputeLimits"]
    assert (limits["MinimumCapacityUnits"], limits["MaximumCoreCapacityUnits"]) == (2, 8)


def test_serverless_plan_is_what_boto3_takes() -> None:
    """An application, and a job a layer."""
    found = printed("--serverless")
    assert valid("emr-serverless", "CreateApplication", {**found["create_application"], "clientToken": "x"})
    for job in found["job_runs"]:
        assert valid(
            "emr-serverless",
            "StartJobRun",
            {**job, "executionRoleArn": "arn:aws:iam::1:role/x" * 2, "clientToken": "x"},
        )
    assert found["price"] > 0


def test_type_without_a_price_is_planned_without_one() -> None:
    """The request is right, and nothing is invented."""
    found = printed("--core", "x9.mega")
    assert (found["price"], found["hours"]) == (None, None)
    said = CliRunner().invoke(app, ["plan", "--core", "x9.mega"]).stdout
    assert "What it costs is not known" in said


def test_plan_for_people_says_what_and_how_much() -> None:
    """Nodes, Delta, the steps, the price, and that it is an estimate."""
    said = CliRunner().invoke(app, ["plan", "--photographs", "22700"]).stdout
    for words in (
        "emr-spark-8.1.0",
        "eu-west-3",
        "m5.xlarge",
        "delta.enabled=true",
        "job.py gold",
        "22,700",
        "An estimate",
    ):
        assert words in said


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-2", "eu-central-2"])
def test_region_outside_the_eu_must_be_named_twice(region: str) -> None:
    """London and Zurich are outside, whatever their names begin with."""
    with pytest.raises(SettingsError, match=f"{region} is not in the European Union.*--outside-eu {region}"):
        load_emr_settings(region=region)
    with pytest.raises(SettingsError, match="not in the European Union"):
        load_emr_settings(region=region, outside_eu="ap-south-1")
    assert load_emr_settings(region=region, outside_eu=region).region == region


def test_wrong_setting_is_named_with_its_file(tmp_path: Path) -> None:
    """As in a run's settings."""
    file = tmp_path / "emr.yaml"
    file.write_text("core_nodes: none\nnodes: 3\nrelease: emr-7.0.0\n")
    with pytest.raises(SettingsError) as caught:
        load_emr_settings(file)
    said = str(caught.value)
    assert "`core_nodes`" in said
    assert "`nodes` in" in said
    assert "the jobs need Spark 4.1" in said
    assert str(file) in said


def test_settings_for_the_cluster_leave_the_laptop_behind(tmp_path: Path) -> None:
    """No master, no memory, no jars: the platform's. What is about the data stays, and the file is a settings file."""
    own = {"spark.executor.memory": "9g", "spark.sql.files.maxPartitionBytes": None, "spark.master": "local[1]"}
    laptop = {"engine": "local", "processes": 3, "spark_local": {"spark.driver.memory": "1g"}}
    run = load_settings(images="s3://b/photographs", lake="s3a://b/lake", threshold=0.9, spark=own, **laptop)
    text = on_cluster(run, load_emr_settings(glue=True))
    (tmp_path / "settings.yaml").write_text(text)
    again = load_settings(tmp_path / "settings.yaml")
    assert not [key for key in again.spark if key.startswith(("spark.master", "spark.driver"))]
    assert again.spark["spark.sql.session.timeZone"] == "UTC"
    kept = "spark.sql.files.maxPartitionBytes" in again.spark
    assert (again.spark["spark.executor.memory"], kept) == ("9g", False)
    assert (again.engine, again.processes, again.spark_local) == ("spark", None, load_settings().spark_local)
    assert (again.packages, again.jars, again.register_tables, again.region) == ([], [], True, "eu-west-3")
    assert (again.lake, again.threshold) == ("s3://b/lake", 0.9)


def test_plan_of_a_run_shows_the_settings_that_it_would_send(tmp_path: Path) -> None:
    """From the file that all commands take; without one there are none, and what would be refused is refused now."""
    assert "settings" not in printed()
    config = tmp_path / "mine.yaml"
    config.write_text("images: s3://b/photographs\nlake: s3://b/lake\nthreshold: 0.9\n")
    for options in ((), ("--serverless",)):
        found = printed("--config", str(config), *options)
        assert found["settings"] == on_cluster(load_settings(config), load_emr_settings())
    people = CliRunner().invoke(app, ["plan", "--config", str(config)], catch_exceptions=False).stdout
    assert "  threshold: 0.9\n" in people
    with pytest.raises(SettingsError, match=r"`lake` is file:///here, which a cluster cannot reach"):
        printed("--config", str(config), "--lake", "file:///here")


def test_step_is_the_command_that_runs_anywhere() -> None:
    """The same words for a cluster and for any machine where the bootstrap action has been."""
    assert spark_submit(Layer.GOLD, "/x", {"spark.master": "local"}) == [
        *("spark-submit", "--deploy-mode", "client", "--name", "fruits gold"),
        *("--conf", "spark.pyspark.python=/x/bin/python", "--conf", "spark.pyspark.driver.python=/x/bin/python"),
        *("--conf", "spark.master=local", "/x/job.py", "gold", "--config", "/x/settings.yaml", "--format", "json"),
    ]


@pytest.mark.parametrize("key", ["core_nodes", "max_core_nodes", "task_nodes"])
def test_more_nodes_than_one_driver_can_use_are_refused(key: str) -> None:
    """An estimate for a slip of the keyboard says nothing; the sentence says how many there may be."""
    with pytest.raises(SettingsError, match=f"`{key}`.* is 501: .*at most 500 nodes of a kind") as caught:
        load_emr_settings(None, **{key: 501})
    assert len(str(caught.value).splitlines()) == 1
    assert getattr(load_emr_settings(None, **{key: 500}), key) == 500
