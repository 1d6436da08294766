"""Requests to EMR Serverless, as pure functions of the settings."""

from collections.abc import Sequence
from typing import Any

from fruits.emr.configurations import CATALOG, DELTA, GLUE, spark_value
from fruits.emr.request import NAME, STACK_TAG
from fruits.emr.settings import EmrSettings

WORKER_VCPUS, WORKER_GB = 4, 16
# Both fill a worker sharply. Spark's default overhead, a tenth, is too little for Python: the model in each worker
# process, and pictures while decoded; in the driver the PCA and MLflow.
_MEMORY = {"memory": "11g", "memoryOverhead": "5g"}
_ENVIRONMENT = "./environment"


def create_application(emr: EmrSettings) -> dict[str, Any]:
    """The request that makes an application of EMR Serverless, which holds nothing while no job runs."""
    workers = emr.serverless_vcpus // WORKER_VCPUS
    return {
        "name": NAME,
        "releaseLabel": emr.release,
        "type": "SPARK",
        "architecture": emr.serverless_architecture.upper(),
        "maximumCapacity": {"cpu": f"{workers * WORKER_VCPUS} vCPU", "memory": f"{workers * WORKER_GB} GB"},
        "autoStopConfiguration": {"enabled": True, "idleTimeoutMinutes": 1},
        "tags": {"project": "fruits", STACK_TAG: emr.stack},
    }


def start_job_run(
    emr: EmrSettings, application: str, code: str, environment: str, command: str, options: Sequence[str] = ()
) -> dict[str, Any]:
    """The request that runs a command in an application.

    Args:
        emr: completed settings.
        application: its id.
        code: the s3:// prefix of the code.
        environment: the s3:// URI of an archive of installed packages and the settings, unpacked beside the driver and
            each worker. It is no virtual environment, for these do not move between machines.
        command: bronze, silver or gold; or run, which is all three.
        options: more of the command's words.
    """
    conf = _conf(emr, environment)
    return {
        "applicationId": application,
        "executionRoleArn": emr.job_role,
        "name": f"fruits {command}",
        "executionTimeoutMinutes": emr.serverless_timeout_minutes,
        "jobDriver": {
            "sparkSubmit": {
                "entryPoint": f"{code}/job.py",
                "entryPointArguments": [
                    *(command, "--config", f"{_ENVIRONMENT}/settings.yaml", "--format", "json"),
                    *options,
                ],
                "sparkSubmitParameters": " ".join(f"--conf {_word(f'{key}={value}')}" for key, value in conf.items()),
            }
        },
        "configurationOverrides": {"monitoringConfiguration": _monitoring(emr)},
        "tags": {"project": "fruits", STACK_TAG: emr.stack},
    }


def _conf(emr: EmrSettings, environment: str) -> dict[str, str]:
    python = "/usr/bin/python3.11"
    conf = {
        **DELTA,
        "spark.archives": f"{environment}#environment",
        "spark.emr-serverless.driverEnv.PYTHONPATH": _ENVIRONMENT,
        "spark.executorEnv.PYTHONPATH": _ENVIRONMENT,
        "spark.emr-serverless.driverEnv.PYSPARK_PYTHON": python,
        "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON": python,
        "spark.executorEnv.PYSPARK_PYTHON": python,
        "spark.executor.cores": str(WORKER_VCPUS),
        "spark.driver.cores": str(WORKER_VCPUS),
        **{f"spark.{who}.{key}": value for who in ("executor", "driver") for key, value in _MEMORY.items()},
        "spark.jars": "/usr/share/aws/delta/lib/delta-spark.jar,/usr/share/aws/delta/lib/delta-storage.jar",
    }
    if emr.glue:
        conf |= {**CATALOG, "spark.hadoop.hive.metastore.client.factory.class": GLUE}
    return conf | {key: spark_value(value) for key, value in emr.spark.items()}


def _word(option: str) -> str:
    """An option as one word of a line."""
    return f'"{option}"' if " " in option else option


def _monitoring(emr: EmrSettings) -> dict[str, Any]:
    """Logs go to the bucket and the log group, under the key; AWS's own store, which is neither's, gets none."""
    key = {"encryptionKeyArn": emr.key} if emr.key else {}
    found: dict[str, Any] = {
        "s3MonitoringConfiguration": {"logUri": f"s3://{emr.bucket}/logs/", **key},
        "managedPersistenceMonitoringConfiguration": {"enabled": False},
    }
    if emr.log_group:
        found["cloudWatchLoggingConfiguration"] = {"enabled": True, "logGroupName": emr.log_group, **key}
    return found
