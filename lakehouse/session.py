"""The one place that builds a Spark session: on a laptop, in tests, and under `spark-submit` on a cluster."""

import os
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from pyspark.sql import SparkSession

from lakehouse import jvm
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from lakehouse.storage import cache_folder, is_s3

_DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}


def spark_session(settings: Settings, java_options: str = "") -> SparkSession:
    """Start Spark with Delta, or return the session that runs.

    Args:
        settings: `spark` goes over all that is set here; `packages` are put on the driver's class path.
        java_options: more options for the driver's Java machine.

    Raises:
        LakehouseError: there is no Java to start.
    """
    under_spark_submit = _under_spark_submit()
    if not under_spark_submit:
        _need_java()
        # Workers run this interpreter, whatever `python3` is on the path.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("fruits")
    options = session_options(settings)
    if settings.packages and not under_spark_submit:
        options |= _class_path(settings, java_options)
    for key, value in options.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def session_options(settings: Settings) -> dict[str, str | bool | int | float]:
    """What Spark is told, but for the class path: Delta, how to get to S3, and over both what the settings say."""
    options: dict[str, str | bool | int | float] = {**_DELTA}
    if region := os.environ.get("AWS_REGION"):
        options["spark.executorEnv.AWS_REGION"] = region
    if settings.packages and not _under_spark_submit() and is_s3(settings.lake):
        from lakehouse.s3 import hadoop_options

        options |= hadoop_options()
    return options | settings.spark


def prepare(settings: Settings, warm_up: str) -> Path:
    """Fetch the jars and write Java's class archive, once; returns the archive.

    With the archive Spark's start takes half as long: most of it is loading some 20,000 classes.

    Args:
        settings: what Spark is to be started with.
        warm_up: the module that runs with the arguments archive, folder and packages, and leaves the archive.
    """
    _need_java()
    archive = jvm.class_archive(jvm.jars(settings.jars))
    if not archive.exists():
        print("Preparing Java's class archive (once, about a minute)…", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=cache_folder()) as work:
            staged = Path(work) / "classes.jsa"
            command = [sys.executable, "-m", warm_up, str(staged), work, *settings.jars]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if not staged.exists():
                raise LakehouseError(f"Java's class archive could not be written:\n{done.stderr[-2000:]}")
            staged.rename(archive)
    return archive


def _class_path(settings: Settings, java_options: str) -> dict[str, str]:
    jars = jvm.jars(settings.jars)
    archive = jvm.class_archive(jars)
    log = files("lakehouse.conf").joinpath("log4j2.properties")
    options = f"-Dlog4j2.configurationFile=file:{log} {java_options} "
    options += str(settings.spark.get("spark.driver.extraJavaOptions", ""))
    if archive.exists() and not java_options:
        options += f" -XX:SharedArchiveFile={archive} -Xshare:auto -Xlog:cds=off -Xlog:cds+dynamic=off"
    return {
        "spark.driver.extraClassPath": os.pathsep.join(str(jar) for jar in jars),
        "spark.driver.extraJavaOptions": options.strip(),
    }


def _under_spark_submit() -> bool:
    return "PYSPARK_GATEWAY_PORT" in os.environ


def _need_java() -> None:
    version = jvm.java_version()
    if version is None or int(version.partition(".")[0]) < 17:
        raise LakehouseError(
            f"Spark needs Java 17 or newer; found: {version or 'none'}. Install one (Debian, Ubuntu: "
            "openjdk-17-jre-headless; macOS: temurin@17) or set JAVA_HOME to it."
        )
