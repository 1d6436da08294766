"""What a cluster's programs are told: Delta, Python, memory, Glue; as pure functions of the settings."""

from typing import Any

from fruits.emr.price_table import Instance, load_prices
from fruits.emr.settings import EmrSettings

PREFIX = "/opt/fruits"
DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
GLUE = "com.amazonaws.glue.catalog.metastore.AWSGlueDataCatalogHiveClientFactory"
# Without it Spark's catalog is in memory, whatever client the metastore has, and ends with the step.
# Nor does Delta put a table's columns into the catalog by itself, where Glue's and Athena's users look for them.
CATALOG = {"spark.sql.catalogImplementation": "hive", "spark.databricks.delta.catalog.update.enabled": "true"}
# botocore asks once, and waits a second; where many workers begin at a time, that is not enough.
METADATA = {"AWS_METADATA_SERVICE_NUM_ATTEMPTS": "5", "AWS_METADATA_SERVICE_TIMEOUT": "5"}
_CORES = 4
"""Of an executor: as many Python workers share its memory."""
_YARN = 0.75
"""Of a node's memory, what EMR gives YARN: 12,288 MB of 16 GB."""
_MASTER_MB = 1024
"""What YARN's application master takes on one of the nodes: 512 MB and its overhead, rounded up."""
_PYTHON = 0.41
"""Of an executor's memory: its Python workers, each of 185 MB at rest and with photographs being decoded."""
_STEP_MB = 256


def configurations(emr: EmrSettings) -> list[dict[str, Any]]:
    """The request's Configurations: one for each file of settings that EMR writes on the nodes."""
    found: list[dict[str, Any]] = [
        {"Classification": "delta-defaults", "Properties": {"delta.enabled": "true"}},
        {"Classification": "spark-defaults", "Properties": _spark(emr)},
        {
            "Classification": "spark-env",
            "Properties": {},
            "Configurations": [{"Classification": "export", "Properties": dict(METADATA)}],
        },
        {"Classification": "core-site", "Properties": {"fs.s3a.endpoint.region": emr.region}},
    ]
    if emr.glue:
        properties = {"hive.metastore.client.factory.class": GLUE}
        found.append({"Classification": "spark-hive-site", "Properties": properties})
    if emr.uses_spot:
        # Else the application master may sit on a node that is taken away, and the step starts anew.
        labels = {"yarn.node-labels.enabled": "true", "yarn.node-labels.am.default-node-label-expression": "CORE"}
        found.append({"Classification": "yarn-site", "Properties": labels})
    return found


def spark_value(value: str | bool | int | float) -> str:
    """A value as Spark's files have it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _spark(emr: EmrSettings) -> dict[str, str]:
    python = {"spark.pyspark.python": f"{PREFIX}/bin/python", "spark.pyspark.driver.python": f"{PREFIX}/bin/python"}
    workers = {f"spark.executorEnv.{name}": value for name, value in METADATA.items()}
    found = {**DELTA, **python, **workers, **_executors(emr), **(CATALOG if emr.glue else {})}
    return found | {key: spark_value(value) for key, value in emr.spark.items()}


def _executors(emr: EmrSettings) -> dict[str, str]:
    """The size and number of the executors; EMR's own where a type is not in the table of prices.

    EMR's own give Python 1.8 of 16 GB, and the other 9.5 GB to a heap that stays empty: YARN kills such an executor
    when its workers decode large photographs.
    """
    known = load_prices(emr.region).instances
    types = [emr.core, *emr.more_types, *([emr.task_type] if emr.uses_spot else [])]
    if not all(name in known for name in types):
        return {}
    shapes = [known[name] for name in types]
    cores = min(_CORES, *(shape.vcpus for shape in shapes))
    whole = min(_executor_mb(shape, cores) for shape in shapes)
    python = int(whole * _PYTHON) // _STEP_MB * _STEP_MB
    return {
        "spark.executor.cores": str(cores),
        "spark.executor.memory": f"{whole - python}m",
        "spark.executor.memoryOverhead": f"{python}m",
        # The first job of a step would else be cut for the two tasks of a cluster without executors.
        "spark.dynamicAllocation.initialExecutors": str(emr.core_nodes * (known[emr.core].vcpus // cores)),
    }


def _executor_mb(shape: Instance, cores: int) -> int:
    return int(shape.gb * 1024 * _YARN - _MASTER_MB) // (shape.vcpus // cores) // _STEP_MB * _STEP_MB
