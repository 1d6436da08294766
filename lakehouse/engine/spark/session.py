"""The one place that builds a Spark session: on one machine, in tests, and under `spark-submit` on a cluster."""

import os
from importlib.resources import files
from pathlib import Path

from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from lakehouse.engine.spark import jars
from lakehouse.engine.spark.daemon import MODULE
from lakehouse.engine.spark.environment import be_on_our_own, under_spark_submit
from lakehouse.engine.spark.java import ADVICE, find_java, need_java
from lakehouse.errors import LakehouseError
from lakehouse.settings import LakeSettings
from lakehouse.storage import access, spark_options
from lakehouse.storage.uri import check_read_by_java

_DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}

Options = dict[str, str | bool | int | float]


def spark_session(settings: LakeSettings) -> SparkSession:
    """Start Spark with Delta, or return the session that runs.

    Where `spark-submit` has started this process the platform has set the master, the memory and the jars; elsewhere
    `spark_local` stands for these, and `packages` are put on the driver's class path.

    Raises:
        LakehouseError: there is no Java that Spark runs on, or the jars cannot be fetched.
        SettingsError: the lake's bucket has a name that Java cannot read.
    """
    check_read_by_java(settings.lake)
    if not under_spark_submit():
        need_java()
        be_on_our_own()
    builder = SparkSession.builder.appName("fruits")
    options = session_options(settings)
    if settings.packages and not under_spark_submit():
        options = _with_jars(settings, options)
    for key, value in options.items():
        builder = builder.config(key, value)
    try:
        return builder.getOrCreate()
    except PySparkRuntimeError as error:
        if error.getCondition() != "JAVA_GATEWAY_EXITED":
            raise
        raise LakehouseError(
            f"Java ({find_java().found}) ended before Spark had begun; what it said is above. {ADVICE}"
        ) from error


def session_options(settings: LakeSettings) -> Options:
    """What Spark is told, but for the class path: Delta, how to get to S3, and over both what the settings say."""
    options: Options = {**_DELTA}
    options |= {f"spark.executorEnv.{name}": value for name, value in access.variables().items()}
    if not under_spark_submit():
        options["spark.python.daemon.module"] = MODULE
        options |= settings.spark_local
        if settings.packages:
            options |= spark_options(settings.lake)
    return options | settings.spark


def _with_jars(settings: LakeSettings, options: Options) -> Options:
    classpath = os.pathsep.join(str(jar) for jar in jars.jars(settings.jars))
    log = Path(str(files("lakehouse.conf").joinpath("log4j2.properties"))).absolute()
    given = options.get("spark.driver.extraJavaOptions", "")
    return {
        "spark.driver.extraClassPath": classpath,
        **options,
        # As a URL, which is what Log4j reads: in a folder's name may be blanks, quotes, commas or an escape.
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={log.as_uri()} {given}".strip(),
    }
