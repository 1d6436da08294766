"""Requests to EMR for clusters and their steps, as pure functions of the settings."""

from collections.abc import Mapping, Sequence
from typing import Any

from fruits.catalog import Layer
from fruits.emr.configurations import PREFIX, configurations
from fruits.emr.instances import instances, limits
from fruits.emr.settings import EmrSettings

NAME = "fruits"
_NOTEBOOKS = ("Livy", "JupyterEnterpriseGateway")
"""What EMR Studio's notebooks come to a cluster by."""
STACK_TAG = "stack"
"""The tag of clusters and applications that tells one stack's from another's."""
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
        "Name": NAME,
        "ReleaseLabel": emr.release,
        "Applications": [{"Name": name} for name in ("Spark", *(_NOTEBOOKS if emr.notebooks else ()))],
        "Configurations": configurations(emr),
        "Instances": instances(emr, standing=standing),
        "EbsRootVolumeSize": emr.root_gb,
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
            {"Key": STACK_TAG, "Value": emr.stack},
        ],
        "Steps": [] if standing else steps("TERMINATE_CLUSTER"),
    }
    if emr.key:
        request["LogEncryptionKmsKeyId"] = emr.key
    if standing:
        request["AutoTerminationPolicy"] = {"IdleTimeout": 60 * emr.idle_minutes}
    if emr.is_scaled:
        request["ManagedScalingPolicy"] = {"ComputeLimits": limits(emr)}
    return request
