"""Requests to AWS, as pure functions of the settings."""

from collections.abc import Mapping, Sequence
from typing import Any

from fruits.catalog import Layer
from fruits.emr.settings import EmrSettings

PREFIX = "/opt/fruits"
_DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
_GLUE = "com.amazonaws.glue.catalog.metastore.AWSGlueDataCatalogHiveClientFactory"
Request = dict[str, Any]


def spark_submit(layer: Layer, prefix: str = PREFIX, conf: Mapping[str, str] | None = None) -> list[str]:
    """The command that runs a layer: on a cluster's primary node, and on any machine where `emr.sh` has been.

    Args:
        layer: bronze, silver or gold.
        prefix: where `emr.sh` has installed.
        conf: what the platform would have set otherwise.
    """
    python = f"{prefix}/bin/python"
    options = {"spark.pyspark.python": python, "spark.pyspark.driver.python": python, **(conf or {})}
    command = ["spark-submit", "--deploy-mode", "client", "--name", f"fruits {layer}"]
    for key, value in options.items():
        command += ["--conf", f"{key}={value}"]
    return [*command, f"{prefix}/job.py", layer, "--config", f"{prefix}/settings.yaml", "--format", "json"]


def steps(on_failure: str, layers: Sequence[Layer] = tuple(Layer)) -> list[Request]:
    """A step a layer; `on_failure` is EMR's ActionOnFailure."""
    return [
        {
            "Name": f"fruits {layer}",
            "ActionOnFailure": on_failure,
            "HadoopJarStep": {"Jar": "command-runner.jar", "Args": spark_submit(layer)},
        }
        for layer in layers
    ]


def run_job_flow(emr: EmrSettings, code: str, *, standing: bool) -> Request:
    """The request that makes a cluster.

    Args:
        emr: completed settings.
        code: the s3:// prefix of the code.
        standing: it waits for steps, and ends when it was idle for long; else it runs all layers and ends.
    """
    request: Request = {
        "Name": "fruits",
        "ReleaseLabel": emr.release,
        "Applications": [{"Name": "Spark"}],
        "Configurations": configurations(emr),
        "Instances": _instances(emr, standing=standing),
        "BootstrapActions": [
            {"Name": "fruits", "ScriptBootstrapAction": {"Path": f"{code}/emr.sh", "Args": [code, "--prefix", PREFIX]}}
        ],
        "ServiceRole": emr.service_role,
        "JobFlowRole": emr.instance_profile,
        "SecurityConfiguration": emr.security_configuration,
        "LogUri": f"s3://{emr.bucket}/logs/",
        "VisibleToAllUsers": True,
        "Tags": [
            {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"},
            {"Key": "project", "Value": "fruits"},
        ],
        "Steps": [] if standing else steps("TERMINATE_CLUSTER"),
    }
    if standing:
        request["AutoTerminationPolicy"] = {"IdleTimeout": 60 * emr.idle_minutes}
    if emr.max_core_nodes is not None and emr.max_core_nodes > emr.core_nodes:
        request["ManagedScalingPolicy"] = {"ComputeLimits": _limits(emr)}
    return request


def configurations(emr: EmrSettings) -> list[Request]:
    """What the cluster's programs are told: Delta on, and this project's Python."""
    python = {"spark.pyspark.python": f"{PREFIX}/bin/python", "spark.pyspark.driver.python": f"{PREFIX}/bin/python"}
    found = [
        {"Classification": "delta-defaults", "Properties": {"delta.enabled": "true"}},
        {"Classification": "spark-defaults", "Properties": {**_DELTA, **python}},
    ]
    if emr.glue:
        found.append(
            {"Classification": "spark-hive-site", "Properties": {"hive.metastore.client.factory.class": _GLUE}}
        )
    return found


def _instances(emr: EmrSettings, *, standing: bool) -> Request:
    groups = [_group("primary", "MASTER", emr.primary, 1), _group("core", "CORE", emr.core, emr.core_nodes)]
    if emr.task_nodes:
        groups.append({**_group("task", "TASK", emr.task_type, emr.task_nodes), "Market": "SPOT"})
    return {
        "InstanceGroups": groups,
        "Ec2SubnetId": emr.subnet,
        "EmrManagedMasterSecurityGroup": emr.security_group,
        "EmrManagedSlaveSecurityGroup": emr.security_group,
        "KeepJobFlowAliveWhenNoSteps": standing,
        "TerminationProtected": False,
    }


def _group(name: str, role: str, instance: str, count: int) -> Request:
    return {
        "Name": name,
        "InstanceRole": role,
        "InstanceType": instance,
        "InstanceCount": count,
        "Market": "ON_DEMAND",
    }


def _limits(emr: EmrSettings) -> Request:
    """Core nodes hold shuffled data and are on demand; what comes beyond them are task nodes, on Spot."""
    assert emr.max_core_nodes is not None
    return {
        "UnitType": "Instances",
        "MinimumCapacityUnits": emr.core_nodes,
        "MaximumCapacityUnits": emr.max_core_nodes + emr.task_nodes,
        "MaximumCoreCapacityUnits": emr.max_core_nodes,
        "MaximumOnDemandCapacityUnits": emr.max_core_nodes,
    }


# ---- EMR Serverless -------------------------------------------------------------------------------------------------

WORKER_VCPUS, WORKER_GB = 4, 16


def create_application(emr: EmrSettings) -> Request:
    """The request that makes an application of EMR Serverless, which holds nothing while no job runs."""
    workers = emr.serverless_vcpus // WORKER_VCPUS
    return {
        "name": "fruits",
        "releaseLabel": emr.release,
        "type": "SPARK",
        "maximumCapacity": {"cpu": f"{workers * WORKER_VCPUS} vCPU", "memory": f"{workers * WORKER_GB} GB"},
        "autoStopConfiguration": {"enabled": True, "idleTimeoutMinutes": 1},
        "tags": {"project": "fruits"},
    }


def start_job_run(emr: EmrSettings, application: str, code: str, layer: Layer) -> Request:
    """The request that runs a layer in an application.

    The environment is an archive of installed packages and the settings, unpacked beside the driver and each worker. It
    is no virtual environment, for these do not move between machines.
    """
    archive = "./environment"
    conf = {
        **_DELTA,
        "spark.archives": f"{code}/environment.tar.gz#environment",
        "spark.emr-serverless.driverEnv.PYTHONPATH": archive,
        "spark.executorEnv.PYTHONPATH": archive,
        "spark.emr-serverless.driverEnv.PYSPARK_PYTHON": "/usr/bin/python3.11",
        "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON": "/usr/bin/python3.11",
        "spark.executorEnv.PYSPARK_PYTHON": "/usr/bin/python3.11",
        "spark.executor.cores": str(WORKER_VCPUS),
        "spark.executor.memory": "12g",  # the rest of 16 GB is for Python: the model, and pictures while decoded
        "spark.driver.cores": str(WORKER_VCPUS),
        "spark.driver.memory": "12g",
        "spark.jars": "/usr/share/aws/delta/lib/delta-spark.jar,/usr/share/aws/delta/lib/delta-storage.jar",
    }
    if emr.glue:
        conf["spark.hadoop.hive.metastore.client.factory.class"] = _GLUE
    return {
        "applicationId": application,
        "executionRoleArn": emr.job_role,
        "name": f"fruits {layer}",
        "jobDriver": {
            "sparkSubmit": {
                "entryPoint": f"{code}/job.py",
                "entryPointArguments": [layer, "--config", f"{archive}/settings.yaml", "--format", "json"],
                "sparkSubmitParameters": " ".join(f"--conf {key}={value}" for key, value in conf.items()),
            }
        },
        "configurationOverrides": {
            "monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": f"s3://{emr.bucket}/logs/"}}
        },
        "tags": {"project": "fruits"},
    }
