"""The whole lakehouse on 3,936 real photographs: `fruits run` three times, and what stands in the lake after each.

About two minutes on two cores; every fourth photograph of each folder takes a quarter of it, and is what `make test`
takes. Each run's outcome is kept as it was after the run, so that the tests may come in any order.
"""

import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from numpy.typing import NDArray
from PIL import Image
from pyspark.ml import feature as spark_ml
from pyspark.ml.functions import array_to_vector
from pyspark.sql import SparkSession
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from bench.unknown import KNOWN, UNKNOWN, ask_about, read_photographs
from bronze.tables import CORRECTIONS
from fruits.catalog import TABLES
from fruits.query.sql import answer
from gold.tables import EXPLAINED_VARIANCE, PROJECTIONS
from gold.tables import PCA as PCA_NAME
from lakehouse.models.registry import Registry
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import Table
from silver.encoders.mobilenet.weights import keras_weights
from silver.moments import Moments
from silver.statistics import read_moments
from silver.tables import FEATURES, SCALED, SCALER
from tests.fitted import fitted_champions

IMAGES = os.environ.get("FRUITS_TEST_IMAGES")
pytestmark = pytest.mark.skipif(
    not IMAGES or not keras_weights().is_file(),
    reason="needs 3,936 photographs under FRUITS_TEST_IMAGES and MobileNetV2's weights under KERAS_HOME",
)
Float64 = NDArray[np.float64]
NEW = 40


@dataclass(frozen=True)
class Sample:
    """So many photographs, every so many-th of each folder's, and the components that explain 80 % of them."""

    every: int
    count: int
    components: int

    def copy_to(self, folder: Path) -> None:
        """Copy its photographs."""
        shutil.copytree(str(IMAGES), folder, ignore=self._left_out)

    def _left_out(self, folder: str, names: list[str]) -> set[str]:
        files = sorted(name for name in names if Path(folder, name).is_file())
        return {*files} - {*files[:: self.every]}


ALL, QUARTER = Sample(1, 3936, 81), Sample(4, 988, 73)


@dataclass(frozen=True)
class Place:
    """Where the photographs and the lake are."""

    sample: Sample
    photographs: Path
    lake: Lake

    def run(self) -> dict[str, dict[str, Any]]:
        """Call `fruits run` in a process of its own; returns the summary that it prints."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("FRUITS_", "MLFLOW_"))}
        command = [sys.executable, "-m", "fruits", "run", "--format", "json"]
        command += ["--images", str(self.photographs), "--lake", self.lake.uri]
        environment = {**inherited, "FRUITS_REMOVED_IMAGES": "delete"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        summary: dict[str, dict[str, Any]] = json.loads(done.stdout)
        return summary

    def registry(self) -> Registry:
        """The lake's model registry."""
        return Registry(self.lake)

    def state(self) -> dict[str, int]:
        """The Delta version of every table and the number of versions of both models."""
        versions = {table.name: delta.existing(self.lake, table).version() for table in TABLES}
        return {**versions, **{name: len(self.registry().versions(name)) for name in (SCALER, PCA_NAME)}}

    def rows(self, table: Table, *columns: str) -> list[dict[str, Any]]:
        """Columns of a table."""
        found: list[dict[str, Any]] = delta.existing(self.lake, table).to_pyarrow_table(columns=[*columns]).to_pylist()
        return found

    def matrix(self, table: Table, column: str) -> Float64:
        """A column of vectors as a matrix, its rows in the order of paths."""
        rows = sorted(self.rows(table, "path", column), key=lambda row: row["path"])
        return np.array([row[column] for row in rows], dtype=np.float64)


@dataclass(frozen=True)
class Outcome:
    """What stood in the lake after a run."""

    place: Place
    summary: dict[str, dict[str, Any]]
    state: dict[str, int]
    features: Float64
    scaled: Float64
    projections: Float64
    scaler: Any
    pca: Any

    @classmethod
    def of(cls, place: Place) -> "Outcome":
        """Run, and look."""
        summary = place.run()
        registry = place.registry()
        return cls(
            place,
            summary,
            place.state(),
            place.matrix(FEATURES, "features"),
            place.matrix(SCALED, "scaled"),
            place.matrix(PROJECTIONS, "components"),
            *fitted_champions(registry),
        )


@pytest.fixture(
    scope="module",
    params=[pytest.param(QUARTER, id="a quarter"), pytest.param(ALL, id="all", marks=pytest.mark.slow)],
)
def first(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The first run, over all photographs of the sample."""
    folder = tmp_path_factory.mktemp("acceptance")
    request.param.copy_to(folder / "photographs")
    return Outcome.of(Place(request.param, folder / "photographs", Lake(str(folder / "lake"))))


@pytest.fixture(scope="module")
def second(first: Outcome) -> Outcome:
    """The second run, over the same photographs."""
    return Outcome.of(first.place)


@pytest.fixture(scope="module")
def third(second: Outcome) -> Outcome:
    """The third run: forty photographs more, one replaced, one moved, one removed, one broken."""
    folder = second.place.photographs
    apples, cherries, lemons, mangoes, cocos = (
        sorted((folder / "Training" / label).iterdir()) for label in ("Apple", "Cherry", "Lemon", "Mango", "Cocos")
    )
    for number, path in enumerate(apples[:NEW]):
        path.with_name(f"turned {number}.jpg").write_bytes(turned(path))
    cherries[0].write_bytes(turned(cherries[0]))
    lemons[0].rename(folder / "Test" / "Lemon" / "moved.jpg")
    mangoes[0].unlink()
    cocos[0].write_bytes(cocos[0].read_bytes()[:400])
    return Outcome.of(second.place)


def turned(path: Path) -> bytes:
    """A photograph turned by some degrees, on white."""
    content = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").rotate(33, fillcolor="white").save(content, "JPEG", quality=95)
    return content.getvalue()


def signs_aside(components: Float64) -> Float64:
    """Each component with its largest loading positive."""
    largest = components[np.arange(len(components)), np.abs(components).argmax(axis=1)]
    upright: Float64 = components * np.sign(largest)[:, np.newaxis]
    return upright


def test_first_run_takes_all_photographs_through_all_layers(first: Outcome) -> None:
    """They become features, z-scores and the components that explain 80 %."""
    count, components = first.place.sample.count, first.place.sample.components
    bronze, silver, gold = (first.summary[layer] for layer in ("bronze", "silver", "gold"))
    assert (bronze["discovered"], bronze["ingested"], bronze["quarantined"], bronze["skipped"]) == (count, count, 0, 0)
    assert silver["featurized"] + silver["copied"] == silver["scaled"] == count
    assert silver["featurized"] == count
    assert (gold["projected"], gold["images"], gold["components"]) == (count, count, components)
    assert gold["explained_variance"] >= 0.8
    assert first.features.shape == first.scaled.shape == (count, 1280)
    assert first.projections.shape == (count, components)


def test_second_run_does_nothing(first: Outcome, second: Outcome) -> None:
    """Nothing new: no new version of any table or model, and the same champion."""
    assert second.state == first.state
    assert second.summary["bronze"]["unchanged"] == first.place.sample.count
    assert second.summary["silver"]["featurized"] == second.summary["gold"]["projected"] == 0
    assert second.summary["gold"]["pca_version"] == first.summary["gold"]["pca_version"]


def test_third_run_does_what_is_new_and_no_more(second: Outcome, third: Outcome) -> None:
    """Forty new and one replaced are computed, the moved one is copied, removed and broken ones go."""
    count = third.place.sample.count
    bronze, silver, gold = (third.summary[layer] for layer in ("bronze", "silver", "gold"))
    assert bronze["discovered"] == count + NEW - 1
    assert (bronze["ingested"], bronze["replaced"], bronze["quarantined"]) == (NEW + 2, 1, 1)
    assert bronze["unchanged"] == count - 4
    assert (silver["featurized"], silver["copied"], silver["scaled"]) == (NEW + 1, 1, NEW + 2)
    assert (silver["refit"], gold["refit"], gold["pca_version"]) == (None, None, 1)
    assert (gold["projected"], gold["images"]) == (NEW + 2, count + NEW - 2)
    for name in (SCALER, PCA_NAME):
        assert third.state[name] == second.state[name] == 1


def test_third_runs_rows_follow_the_folder(third: Outcome) -> None:
    """The moved photograph has its new label and split, the removed and the broken one have no row."""
    paths = {Path(row["path"]): row for row in third.place.rows(PROJECTIONS, "path", "label", "split")}
    names = {"/".join(path.parts[-3:]): row for path, row in paths.items()}
    assert (names["Test/Lemon/moved.jpg"]["label"], names["Test/Lemon/moved.jpg"]["split"]) == ("Lemon", "Test")
    (broken,) = answer(third.place.lake, "SELECT label, reason FROM bronze.quarantine")[1]
    assert broken == ("Cocos", "truncated")
    for label in ("Mango", "Cocos", "Lemon"):
        there = sum(name.startswith(f"Training/{label}/") for name in names)
        assert there == len([*(third.place.photographs / "Training" / label).iterdir()]) - (label == "Cocos")


def test_scaled_and_projections_are_the_champions(first: Outcome, third: Outcome) -> None:
    """After each run, each row is what the registered scikit-learn objects make of its features."""
    for outcome in (first, third):
        np.testing.assert_allclose(outcome.scaled, outcome.scaler.transform(outcome.features), atol=1e-4)
        np.testing.assert_allclose(outcome.projections, outcome.pca.transform(outcome.scaled), atol=1e-3)


def test_increments_equal_one_pass_over_everything(third: Outcome) -> None:
    """After rows were added, replaced and removed, the moments are those of all rows, and so is what is explained."""
    covered = read_moments(third.place.lake)
    assert covered is not None
    expected = Moments.of(third.features)
    assert covered.moments.count == expected.count == third.place.sample.count + NEW - 2
    np.testing.assert_allclose(covered.moments.mean, expected.mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(covered.moments.scatter, expected.scatter, atol=1e-9 * np.trace(expected.scatter))
    scaled = third.scaler.transform(third.features)
    explained = (scaled @ third.pca.components_.T).var(axis=0).sum() / scaled.var(axis=0).sum()
    assert third.summary["gold"]["explained_variance"] == pytest.approx(explained, abs=1e-9)


def test_fit_is_scikit_learns(first: Outcome) -> None:
    """Scaler, explained variance and components equal scikit-learn's on the same rows, signs aside."""
    scaler = StandardScaler().fit(first.features)
    np.testing.assert_allclose(first.scaler.mean_, scaler.mean_, atol=1e-6)
    deviations = first.features.std(axis=0, ddof=1)
    np.testing.assert_allclose(first.scaler.scale_, np.where(deviations == 0, 1, deviations), atol=1e-6)
    components = first.place.sample.components
    expected = PCA(n_components=components, svd_solver="full").fit(scaler.transform(first.features))
    np.testing.assert_allclose(first.pca.explained_variance_ratio_, expected.explained_variance_ratio_, atol=1e-6)
    np.testing.assert_allclose(first.pca.components_, signs_aside(expected.components_), atol=1e-6)
    curve = sorted(first.place.rows(EXPLAINED_VARIANCE, "component", "ratio"), key=lambda row: row["component"])
    np.testing.assert_allclose(
        [row["ratio"] for row in curve[:components]], expected.explained_variance_ratio_, atol=1e-6
    )
    assert len(curve) == 1280


@pytest.mark.slow
def test_fit_is_spark_mls(first: Outcome, spark: SparkSession) -> None:
    """Scaler, explained variance and components equal Spark ML's StandardScaler(withMean, withStd) and PCA.

    Of all photographs: of fewer than there are features Spark ML finds another spectrum than scikit-learn, which the
    test above holds us to.
    """
    if first.place.sample is not ALL:
        pytest.skip("Spark ML's PCA is compared on more photographs than features")
    frame = spark.createDataFrame([(row.tolist(),) for row in first.features], "features array<double>")
    vectors = frame.select(array_to_vector(frame["features"]).alias("features")).cache()
    scaler = spark_ml.StandardScaler(inputCol="features", outputCol="scaled", withMean=True, withStd=True).fit(vectors)
    np.testing.assert_allclose(first.scaler.mean_, scaler.mean.toArray(), atol=1e-6)
    deviations = scaler.std.toArray()
    # A feature that is the same for all is divided by 1, as scikit-learn does it, where Spark makes it 0: 0 in both.
    np.testing.assert_allclose(first.scaler.scale_, np.where(deviations == 0, 1, deviations), atol=1e-6)
    expected = spark_ml.PCA(k=first.place.sample.components, inputCol="scaled", outputCol="components").fit(
        scaler.transform(vectors)
    )
    vectors.unpersist()
    np.testing.assert_allclose(first.pca.explained_variance_ratio_, expected.explainedVariance.toArray(), atol=1e-6)
    np.testing.assert_allclose(first.pca.components_, signs_aside(expected.pc.toArray().T), atol=1e-6)


def test_photographs_of_the_test_split_are_identified(first: Outcome) -> None:
    """By those of the training split, at the fit itself: at least 99 %, and at most 2 % refused."""
    client = MlflowClient(f"sqlite:///{first.place.lake.folder('mlflow')}/mlflow.db")
    metrics = client.get_run(str(client.get_model_version(PCA_NAME, "1").run_id)).data.metrics
    assert metrics["accuracy_test"] >= 0.99
    assert metrics["unknown_test"] <= 0.02


SOAKED_LABELS = [pytest.param(label, marks=pytest.mark.soak) for label in ("Cherry", "Cocos", "Mango", "Raspberry")]


@pytest.mark.parametrize("label", ["Apple", "Lemon", *SOAKED_LABELS])
def test_photographs_of_a_label_that_is_not_known_are_unknown(first: Outcome, label: str) -> None:
    """Fitted and calibrated without it: at least 90 % of them, and at most 2 % of the others' test photographs."""
    outcome = ask_about(read_photographs(first.place.lake), label)
    assert outcome.told(outcome.calibration.threshold) >= UNKNOWN
    assert outcome.refused(outcome.calibration.threshold) <= KNOWN
    assert outcome.right >= 0.99


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_readers_without_java_read_every_table(third: Outcome, table: Table) -> None:
    """DuckDB and delta-rs agree on every table, and none is empty but that of corrections: nobody has made any."""
    columns, rows = answer(third.place.lake, f"SELECT * FROM {table.name}")
    assert columns == table.schema.names
    assert len(rows) == delta.existing(third.place.lake, table).to_pyarrow_table().num_rows
    assert (len(rows) > 0) == (table is not CORRECTIONS)
