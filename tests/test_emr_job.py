"""The whole pipeline on S3 as a step of EMR runs it: the same command, in what the bootstrap action has installed.

The S3 server is versitygw and the cluster Spark's own of two executors, each a process: no AWS. What EMR's release
brings (Delta's and Hadoop's jars, the S3 client's configuration) is given here as `spark-submit` options.

There is one installation, of a worker node, which does for the primary one too: the model is converted here and put
into the lake, as it is for EMR Serverless. TensorFlow's own installation, on the primary node, is soaked.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pyspark
import pytest

import silver.job
from fruits.catalog import Layer
from fruits.emr.code import code_files, upload
from fruits.emr.request import spark_submit
from fruits.emr.sent import on_cluster
from fruits.emr.settings import load_emr_settings
from fruits.operations.run import LAYERS, run_pipeline
from fruits.settings import Settings, load_settings
from lakehouse.engine.spark import jars
from lakehouse.storage import aws, write_file
from lakehouse.tables.delta import Lake
from lakehouse.workspace import Workspace
from silver.encoders.mobilenet import converted_model, load_model
from silver.encoders.mobilenet.weights import keras_weights
from tests.bootstrap.conftest import EMR, PATH, python311  # noqa: F401 - a fixture
from tests.comparing import assert_same, rows_of_layers
from tests.conftest import add_photographs, photograph
from tests.lakehouse.conftest import s3_server  # noqa: F401 - a fixture
from tests.lakehouse.s3server import S3Server, environment

pytestmark = pytest.mark.slow
REAL = os.environ.get("FRUITS_TEST_IMAGES")
A_LABEL = 10
CLUSTER, ALONE = "local-cluster[2,1,1536]", "local[2]"  # masters
REGION = "us-east-1"  # the S3 server's
ROOT, LAKE = "s3://fruits/photographs", "s3://fruits/lake"


@dataclass(frozen=True)
class Node:
    """A machine where the bootstrap action has been.

    Attributes:
        code: the prefix that it has fetched.
        prefix: where it has installed.
        work: where Spark's workers put what is theirs.
        role: whether it is the primary node, as EMR says it.
    """

    code: str
    prefix: Path
    work: Path
    role: str

    def bootstrap(self) -> str:
        """Run the bootstrap action; returns what it says."""
        (self.work / "instance.json").write_text(self.role)
        variables = {
            **os.environ,
            "PATH": PATH,
            "FRUITS_INSTANCE_INFO": str(self.work / "instance.json"),
            "PIP_CACHE_DIR": pip_cache(),
            "PIP_COMPILE": "0",  # what a step imports is compiled then, and the rest, by far the most, never
        }
        command = [str(EMR), self.code, "--prefix", str(self.prefix)]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def run(self, layer: Layer, master: str) -> dict[str, Any]:
        """Run the step of a layer; returns what it prints."""
        home = Path(pyspark.__file__).parent
        command = spark_submit(layer, str(self.prefix), platform(master))
        variables = {"SPARK_HOME": str(home), "SPARK_WORKER_DIR": str(self.work), "PATH": os.environ["PATH"]}
        variables |= {key: value for key, value in os.environ.items() if key.startswith("AWS_")}
        done = subprocess.run(
            [f"{home}/bin/{command[0]}", *command[1:]],
            env={**variables, "HOME": str(self.work), "XDG_CACHE_HOME": str(self.work / "cache")},
            cwd=self.work,
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-4000:]  # where spark-submit puts both of Python's
        printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return printed

    def python(self, source: str, **variables: str) -> str:
        """What a program prints that the installed Python runs."""
        command = [str(self.prefix / "bin" / "python"), "-c", source]
        environment = {"PATH": os.defpath, "HOME": str(self.work), **variables}
        done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def pip_cache() -> str:
    """The folder where this user's pip keeps what it has downloaded."""
    command = [sys.executable, "-m", "pip", "cache", "dir"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def platform(master: str) -> dict[str, str]:
    """What EMR's release has set: jars, S3, and here also the cluster."""
    classpath = os.pathsep.join(map(str, jars.jars([*load_settings().packages, *load_settings().s3_packages])))
    return {
        "spark.master": master,
        "spark.driver.memory": "1g",
        "spark.executor.memory": "1g",
        "spark.driver.extraClassPath": classpath,
        "spark.executor.extraClassPath": classpath,
        # Each of these virtual machines lives for a minute, in which the better compiler only costs.
        "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m",
        "spark.executor.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        **aws.hadoop_options(),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs in a folder: real ones of each label where they are at hand."""
    folder = tmp_path_factory.mktemp("photographs")
    if REAL is None:
        add_photographs(folder, "Apple", range(20))
        add_photographs(folder, "Kiwi", range(20, 40))
        return folder
    for label in sorted((Path(REAL) / "Training").iterdir()):
        for file in sorted(label.iterdir())[:A_LABEL]:
            (folder / "Training" / label.name).mkdir(parents=True, exist_ok=True)
            (folder / "Training" / label.name / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.fixture(scope="module")
def weights() -> str | None:
    """The real weights where they are at hand, or none."""
    return str(keras_weights()) if keras_weights().is_file() else "untrained"


@pytest.fixture(scope="module")
def store(s3_server: S3Server, folder: Path, weights: str) -> Iterator[None]:  # noqa: F811
    """A bucket with the photographs and the weights, to which the environment points."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boto3, "DEFAULT_SESSION", None)  # which keeps the credentials that it found first
        for name, value in environment(s3_server.port).items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="fruits")
        for file in folder.rglob("*"):
            if file.is_file():
                write_file(f"{ROOT}/{file.relative_to(folder)}", file.read_bytes())
        if weights != "untrained":
            write_file("s3://fruits/weights.h5", Path(weights).read_bytes())
        yield


@pytest.fixture(scope="module")
def settings(store: None, weights: str) -> Settings:
    """A run's settings, all on S3."""
    place = weights if weights == "untrained" else "s3://fruits/weights.h5"
    return load_settings(images=ROOT, lake=LAKE, weights=place)


@pytest.fixture(scope="module")
def code(settings: Settings) -> str:
    """The prefix of the run's code, as `fruits emr` uploads it."""
    emr = load_emr_settings(region=REGION, outside_eu=REGION)
    return upload("fruits", code_files(on_cluster(settings.model_copy(update={"region": None}), emr)))


@pytest.fixture(scope="module")
def node(code: str, tmp_path_factory: pytest.TempPathFactory, python311: str) -> Node:  # noqa: F811
    """A worker node: the bootstrap action itself fetches the code from S3 and installs it."""
    here = tmp_path_factory.mktemp("node")
    (here / "work").mkdir()
    node = Node(code, here / "opt" / "fruits", here / "work", '{"isMaster": false}')
    node.bootstrap()
    return node


@pytest.fixture(scope="module")
def runs(node: Node, settings: Settings) -> list[dict[str, Any]]:
    """The steps, twice: what each printed for its layer. There is nothing to spread over a cluster the second time."""
    converted_model(settings.weights, f"{LAKE}/models")
    return [{layer: node.run(layer, master)[layer] for layer in LAYERS} for master in (CLUSTER, ALONE)]


def test_real_code_runs_on_what_the_cluster_brings(node: Node, tmp_path: Path) -> None:
    """Everything a job imports is there once spark-submit adds PySpark, which is not installed itself."""
    (py4j,) = (Path(pyspark.__file__).parent / "python" / "lib").glob("py4j-*.zip")
    source = (
        "import pyspark, py4j, fruits.operations.run, delta, deltalake, duckdb, mlflow; "
        "import ai_edge_litert.interpreter as i; "
        "import lakehouse.engine.spark.engine, lakehouse.engine.local.engine; print(i and 1)"
    )
    (tmp_path / "pyspark").symlink_to(Path(pyspark.__file__).parent)  # alone, not what lies beside it
    assert node.python(source, PYTHONPATH=f"{tmp_path}:{py4j}").endswith("1")
    absent = (
        "import importlib.util as u; print([n for n in ('pyspark', 'py4j', 'tensorflow', 'keras') if u.find_spec(n)])"
    )
    assert node.python(absent) == "[]"


def test_job_is_the_command(node: Node) -> None:
    """What spark-submit runs is the command `fruits`."""
    arguments: list[str | Path] = [node.prefix / "bin" / "python", node.prefix / "job.py", "--help"]
    done = subprocess.run(arguments, cwd="/", capture_output=True, text=True, check=True)
    assert "A medallion lakehouse for photographs" in done.stdout


def test_real_code_is_installed_once(node: Node) -> None:
    """A second run with the same code is over at once."""
    begun = time.monotonic()
    assert "nothing to do" in node.bootstrap()
    assert time.monotonic() - begun < 20  # it fetches the code again


@pytest.mark.soak
def test_primary_node_converts_the_model(code: str, tmp_path: Path, python311: str) -> None:  # noqa: F811
    """With the real TensorFlow of its own lock, to the features of what is converted here."""
    (tmp_path / "work").mkdir()
    node = Node(code, tmp_path / "opt" / "fruits", tmp_path / "work", '{"isMaster": true}')
    node.bootstrap()
    source = "from silver.encoders.mobilenet import converted_model as c; print(c('untrained', {!r})[1])"
    model = node.python(source.format(f"file://{tmp_path}/models")).splitlines()[-1]
    _, own = converted_model("untrained", f"file://{tmp_path}/own")
    content = [memoryview(photograph(1))]
    np.testing.assert_allclose(load_model(model)(content), load_model(own)(content), rtol=1e-6)


def test_first_run_takes_every_photograph_through_all_layers(runs: list[dict[str, Any]], folder: Path) -> None:
    """As on a laptop, in steps of their own."""
    photographs = sum(1 for file in folder.rglob("*") if file.is_file())
    first = runs[0]
    counts = (first["bronze"]["ingested"], first["silver"]["featurized"], first["gold"]["projected"])
    assert counts == (photographs,) * 3
    assert (first["silver"]["refit"], first["gold"]["refit"]) == ("first fit", "first fit")


def test_second_run_does_nothing(runs: list[dict[str, Any]]) -> None:
    """No commit, no inference, no fit."""
    second = runs[1]
    assert second["bronze"]["unchanged"] == runs[0]["bronze"]["ingested"]
    nothing = ("ingested", "replaced", "quarantined", "removed", "featurized", "copied", "scaled", "projected")
    for layer in LAYERS:
        assert {key: value for key, value in second[layer].items() if key in nothing and value} == {}
    assert (second["silver"]["refit"], second["gold"]["refit"]) == (None, None)
    assert second["gold"]["pca_version"] == 1


def test_tables_are_those_of_a_run_on_a_folder(
    runs: list[dict[str, Any]], folder: Path, tmp_path: Path, weights: str
) -> None:
    """Bytes, labels, features, models and projections, whatever the store and however many processes."""
    local = Workspace(load_settings(images=str(folder), lake=str(tmp_path / "lake"), weights=weights))
    model = silver.job.prepare_encoder(local)
    run_pipeline(local, LAYERS, model.get)
    assert_same(rows_of_layers(Lake(LAKE), ROOT), rows_of_layers(local.lake, f"file://{folder}"))
