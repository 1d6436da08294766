"""One life of a lake under AWS's own names, by the command, on the local engine."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.aws.box import Box
from tests.aws.buckets import keys, make_bucket
from tests.aws.inside import REGION
from tests.conftest import add_photographs


class Life:
    """A bucket of photographs, one for a lake, and the command on both; it must not fail."""

    def __init__(self, box: Box, folder: Path, name: str) -> None:
        add_photographs(folder, "Apple", range(6))
        add_photographs(folder, "Kiwi", range(6, 12))
        self.images, self.lake = f"s3://{name}-photographs", f"s3://{name}-lake/lake"
        self.buckets = (f"{name}-photographs", f"{name}-lake")
        self._box = box
        box.call(make_buckets, *self.buckets, str(folder))

    def said(self, *words: str, images: bool = False) -> str:
        """What a command prints."""
        where = ["--lake", self.lake, *(["--images", self.images] if images else [])]
        done = self._box.fruits(*words, *where)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    def found(self, *words: str, images: bool = False) -> Any:
        """What a command prints, as JSON."""
        return json.loads(self.said(*words, "--format", "json", images=images))

    def hosts(self) -> set[tuple[str, str]]:
        """The hosts that were asked for the buckets, and the regions that these requests were signed for."""
        asked = [one for name in self.buckets for one in self._box.requests(name)]
        return {(one["host"], one["region"]) for one in asked}


def make_buckets(photographs: str, lake: str, folder: str) -> None:
    """The two buckets of a life."""
    make_bucket(photographs, REGION, folder)
    make_bucket(lake)


@pytest.fixture
def life(box: Box, photographs: Path, request: pytest.FixtureRequest) -> Life:
    """Photographs, and no lake yet."""
    return Life(box, photographs, f"life-{len(request.node.name)}")


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
def test_lake_lives_from_its_first_run_to_what_is_forgotten(box: Box, life: Life, tmp_path: Path) -> None:
    """All that reads, writes, corrects, examines and erases."""
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
    artifacts = [key for key in box.call(keys, life.buckets[1], "lake/mlflow/") if "/artifacts/" in key]
    assert {Path(key).name for key in artifacts} >= {"scree.png", "pc1-pc2.png", "MLmodel", "model.skops"}

    life.said("relabel", photo, "Pear")
    corrected = life.found("run", images=True)
    assert [corrected[layer]["relabelled"] for layer in ("bronze", "silver", "gold")] == [1, 1, 1]
    assert "Pear" in Path(life.said("report", "--output", str(tmp_path / "report.html")).strip()).read_text()

    life.said("forget", photo)
    left = life.found("sql", "SELECT count(*) AS n FROM gold.projections WHERE path LIKE '%/7.png'")
    assert left == [{"n": 0}]
    checks = life.found("doctor")
    assert [check for check in checks if not check["ok"]] == []
    check_hosts(life)
