"""One life of a lake under AWS's own names, by the command, on the local engine, as the role of the stack."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.aws.box import Box
from tests.aws.buckets import fill, keys, make_bucket
from tests.aws.inside import LOG, REGION
from tests.aws.needed import actions_by_statement, check_needed, explained, used_by
from tests.aws.stack import make_stack


class Life:
    """Photographs and a lake on S3, and the command on both; it must not fail."""

    def __init__(self, box: Box, images: str, lake: str, **variables: str) -> None:
        self.images, self.lake = images, lake
        self.buckets = {uri.split("/")[2] for uri in (images, lake)}
        self._box, self._variables = box, variables

    def said(self, *words: str, images: bool = False) -> str:
        """What a command prints."""
        where = ["--lake", self.lake, *(["--images", self.images] if images else [])]
        done = self._box.fruits(*words, *where, **self._variables)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    def found(self, *words: str, images: bool = False) -> Any:
        """What a command prints, as JSON."""
        return json.loads(self.said(*words, "--format", "json", images=images))

    def artifacts(self) -> set[str]:
        """The names of MLflow's files in the lake."""
        bucket, _, folder = self.lake.removeprefix("s3://").partition("/")
        found = self._box.call(keys, bucket, f"{folder}/mlflow/")
        return {Path(key).name for key in found if "/artifacts/" in key}

    def hosts(self) -> set[tuple[str, str]]:
        """The hosts that were asked for the buckets, and the regions that these requests were signed for."""
        asked = [one for name in self.buckets for one in self._box.requests(name)]
        return {(one["host"], one["region"]) for one in asked}


def make_buckets(photographs: str, lake: str, folder: str) -> None:
    """The two buckets of a life."""
    make_bucket(photographs)
    fill(photographs, folder)
    make_bucket(lake)


@pytest.fixture
def life(box: Box, twelve: str) -> Life:
    """Photographs in a bucket, another one for a lake, and no lake yet."""
    box.call(make_buckets, "life-photographs", "life-lake", twelve)
    return Life(box, "s3://life-photographs", "s3://life-lake/lake")


def check_hosts(life: Life) -> None:
    """Each bucket is named by AWS's name for it in its region, and nowhere else."""
    assert life.hosts() == {(f"{bucket}.s3.{REGION}.amazonaws.com", REGION) for bucket in life.buckets}


def test_photographs_are_read(life: Life) -> None:
    """As none could be; and a second time there is nothing new."""
    assert life.found("bronze", images=True)["bronze"]["ingested"] == 12
    again = life.found("bronze", images=True)["bronze"]
    assert (again["ingested"], again["unchanged"]) == (0, 12)
    check_hosts(life)


@pytest.mark.slow
def test_lake_lives_in_the_stack_by_the_role_that_the_stack_makes(box: Box, twelve: str, tmp_path: Path) -> None:
    """All that reads, writes, corrects, examines and erases is allowed; what else is allowed has its reason."""
    stack = box.call(make_stack, "life")
    bucket, role = stack["Bucket"], stack["InstanceRole"]
    box.call(fill, bucket, twelve, "photographs/")
    life = Life(box, f"s3://{bucket}/photographs", f"s3://{bucket}/lake")
    with box.role(role):
        live(life, tmp_path)
    check_hosts(life)
    asked = [request for request in box.requests(bucket) if request["role"] == role]
    assert {request["key"].partition("/")[0] for request in asked} == {"", "lake", "photographs"}
    assert [request for request in asked if request["refused"] and not explained(request)] == []
    check_needed(box.call(actions_by_statement, role), box.call(used_by, role, str(box.folder / LOG)))


def live(life: Life, folder: Path) -> None:
    """From a first run to what is forgotten."""
    first = life.found("run", images=True)
    assert (first["silver"]["featurized"], first["gold"]["projected"], first["gold"]["pca_version"]) == (12, 12, 1)
    again = life.found("run", images=True)
    assert (again["bronze"]["unchanged"], again["silver"]["featurized"], again["gold"]["projected"]) == (12, 0, 0)
    counted = life.found("sql", "SELECT label, count(*) AS n FROM bronze.images GROUP BY label ORDER BY label")
    assert counted == [{"label": "Apple", "n": 6}, {"label": "Kiwi", "n": 6}]
    photo = f"{life.images}/Kiwi/7.png"
    (identified,) = life.found("identify", photo)
    assert identified["label"] == "Kiwi"
    assert [model["pca_version"] for model in life.found("models")] == [1]
    assert life.artifacts() >= {"scree.png", "pc1-pc2.png", "MLmodel", "model.skops"}

    life.said("relabel", photo, "Pear")
    corrected = life.found("run", images=True)
    assert [corrected[layer]["relabelled"] for layer in ("bronze", "silver", "gold")] == [1, 1, 1]
    assert "Pear" in Path(life.said("report", "--output", str(folder / "report.html")).strip()).read_text()

    life.said("forget", photo)
    left = life.found("sql", "SELECT count(*) AS n FROM gold.projections WHERE path LIKE '%/7.png'")
    assert left == [{"n": 0}]
    checks = life.found("doctor")
    assert [check for check in checks if not check["ok"]] == []
