"""What AWS is asked for: memory for Python, a private subnet, fleets, Spot, logs and the catalog, as boto3 takes it."""

import re
from typing import Any

import pytest

from fruits.catalog import Layer
from fruits.emr.request import run_job_flow
from fruits.emr.serverless_request import WORKER_GB, create_application, start_job_run
from fruits.emr.settings import EmrSettings, load_emr_settings
from lakehouse.errors import SettingsError
from tests.fruits.emr.conftest import valid

STACK = {
    **{"Bucket": "b", "ServiceRole": "s", "InstanceProfile": "i", "SecurityConfiguration": "c", "JobRole": "r" * 20},
    **{"Subnet": "subnet-1", "Subnets": "subnet-1,subnet-2", "SecurityGroup": "sg-1"},
    **{"KeyArn": "arn:aws:kms:eu-west-3:123456789012:key/1", "LogGroup": "/fruits/fruits"},
}


def completed(outputs: dict[str, str] | None = None, **options: Any) -> EmrSettings:
    """Settings, completed by a stack's outputs."""
    return load_emr_settings(**options).completed(STACK | (outputs or {}))


def cluster(outputs: dict[str, str] | None = None, *, standing: bool = False, **options: Any) -> dict[str, Any]:
    """The request for a cluster, which boto3 takes."""
    request = run_job_flow(completed(outputs, **options), "s3://b/code/1", standing=standing)
    assert valid("emr", "RunJobFlow", request)
    return request


def classified(request: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The properties of each classification."""
    return {one["Classification"]: one["Properties"] for one in request["Configurations"]}


def job(**options: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """The request for a job of EMR Serverless, which boto3 takes, and its Spark settings."""
    request = start_job_run(
        completed(**options), "00abc", "s3://b/code/1", "s3://b/code/environments/1.tar.gz", Layer.GOLD
    )
    assert valid("emr-serverless", "StartJobRun", {**request, "clientToken": "x"})
    line = request["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"]
    return request, dict(re.findall(r'--conf "?([\w.-]+)=(.*?)"?(?= --conf|$)', line))


def megabytes(size: str) -> int:
    """What Spark's size is in MB."""
    return int(size[:-1]) * {"m": 1, "g": 1024}[size[-1]]


@pytest.mark.parametrize(("core", "yarn"), [("m5.xlarge", 12288), ("m5.2xlarge", 24576), ("c5.xlarge", 6144)])
def test_executors_fill_a_node_and_leave_python_two_fifths(core: str, yarn: int) -> None:
    """Of what EMR gives YARN there, less the application master: by EMR's own setting Python gets a sixth."""
    spark = classified(cluster(core=core))["spark-defaults"]
    heap, overhead = megabytes(spark["spark.executor.memory"]), megabytes(spark["spark.executor.memoryOverhead"])
    on_a_node = int(spark["spark.dynamicAllocation.initialExecutors"]) // 2
    assert yarn - 1024 - 512 < on_a_node * (heap + overhead) <= yarn - 1024
    assert overhead / (heap + overhead) == pytest.approx(0.4, abs=0.02)
    assert spark["spark.executor.cores"] == "4"


def test_executors_of_a_type_that_is_not_known_are_emrs_own() -> None:
    """Nothing is guessed about a machine that the table of prices has not."""
    assert not [key for key in classified(cluster(core="x9.mega"))["spark-defaults"] if "executor.memory" in key]


def test_worker_of_emr_serverless_is_full_and_leaves_python_five_gigabytes() -> None:
    """A worker's size is heap plus overhead, which would be a tenth: 14 of the 16 GB that are paid for."""
    _, conf = job()
    for who in ("driver", "executor"):
        sizes = [megabytes(conf[f"spark.{who}.{key}"]) for key in ("memory", "memoryOverhead")]
        assert sum(sizes) == WORKER_GB * 1024
        assert sizes[1] == 5 * 1024


def test_settings_of_ones_own_for_spark_come_over_ours() -> None:
    """On a cluster in spark-defaults, which count for the driver too; on EMR Serverless as one word each."""
    own = {"spark.driver.memory": "4g", "spark.executor.memory": "5g", "spark.speculation": True}
    spark = classified(cluster(spark=own))["spark-defaults"]
    assert [spark[key] for key in own] == ["4g", "5g", "true"]
    _, conf = job(spark={**own, "spark.driver.extraJavaOptions": "-Da=1 -Db=2"})
    assert [conf[key] for key in own] == ["4g", "5g", "true"]
    assert conf["spark.driver.extraJavaOptions"] == "-Da=1 -Db=2"


def test_glue_is_sparks_catalog() -> None:
    """Spark's own is in memory, whatever client the metastore has."""
    spark = classified(cluster(glue=True))["spark-defaults"]
    assert spark["spark.sql.catalogImplementation"] == job(glue=True)[1]["spark.sql.catalogImplementation"] == "hive"
    assert "spark.sql.catalogImplementation" not in {**classified(cluster())["spark-defaults"], **job()[1]}


def test_private_subnet_names_the_group_of_emrs_service() -> None:
    """EMR demands it there beside groups of one's own; for a public subnet there is none to name."""
    assert "ServiceAccessSecurityGroup" not in cluster()["Instances"]
    private = cluster({"ServiceAccessSecurityGroup": "sg-2"})["Instances"]
    assert private["ServiceAccessSecurityGroup"] == "sg-2"


@pytest.mark.parametrize("options", [{"task_nodes": 2}, {"max_core_nodes": 8}])
def test_application_master_is_not_on_spot(options: dict[str, Any]) -> None:
    """Where it is taken away, the step begins anew."""
    assert classified(cluster(**options))["yarn-site"] == {
        "yarn.node-labels.enabled": "true",
        "yarn.node-labels.am.default-node-label-expression": "CORE",
    }
    assert "yarn-site" not in classified(cluster())


def test_disk_and_logs_are_asked_for() -> None:
    """A root volume for our packages, too; logs under the stack's key."""
    request = cluster(root_gb=40)
    assert (cluster()["EbsRootVolumeSize"], request["EbsRootVolumeSize"]) == (30, 40)
    assert request["LogEncryptionKmsKeyId"] == STACK["KeyArn"]
    assert {"Key": "stack", "Value": "fruits"} in request["Tags"]


def test_logs_of_emr_serverless_are_in_the_bucket_and_the_log_group_alone() -> None:
    """Under the stack's key: AWS's managed store, which is on by default, is neither's. A job ends some time."""
    request, _ = job()
    key = {"encryptionKeyArn": STACK["KeyArn"]}
    assert request["configurationOverrides"]["monitoringConfiguration"] == {
        "s3MonitoringConfiguration": {"logUri": "s3://b/logs/", **key},
        "managedPersistenceMonitoringConfiguration": {"enabled": False},
        "cloudWatchLoggingConfiguration": {"enabled": True, "logGroupName": "/fruits/fruits", **key},
    }
    assert request["executionTimeoutMinutes"] == 360


def test_metadata_is_asked_for_more_than_once() -> None:
    """By driver and workers: a moment without an answer is no lack of credentials. S3A knows its region."""
    request = cluster()
    (exported,) = [one for one in request["Configurations"] if one["Classification"] == "spark-env"]
    told = {"AWS_METADATA_SERVICE_NUM_ATTEMPTS": "5", "AWS_METADATA_SERVICE_TIMEOUT": "5"}
    assert exported["Configurations"] == [{"Classification": "export", "Properties": told}]
    spark = classified(request)["spark-defaults"]
    assert {name: spark[f"spark.executorEnv.{name}"] for name in told} == told
    assert classified(request)["core-site"] == {"fs.s3a.endpoint.region": "eu-west-3"}


def test_fleets_go_to_whichever_subnet_has_room() -> None:
    """Core nodes on demand, of several types; task nodes on Spot, where they are least likely to be taken away."""
    request = cluster(fleets=True, more_types=["m5a.xlarge", "m5.xlarge"], task_nodes=4, max_core_nodes=6)
    instances = request["Instances"]
    assert instances["Ec2SubnetIds"] == ["subnet-1", "subnet-2"]
    assert not {"InstanceGroups", "Ec2SubnetId"} & instances.keys()
    fleets = {fleet["InstanceFleetType"]: fleet for fleet in instances["InstanceFleets"]}
    capacity = {kind: (one["TargetOnDemandCapacity"], one["TargetSpotCapacity"]) for kind, one in fleets.items()}
    assert capacity == {"MASTER": (1, 0), "CORE": (2, 0), "TASK": (0, 4)}
    assert [one["InstanceType"] for one in fleets["CORE"]["InstanceTypeConfigs"]] == ["m5.xlarge", "m5a.xlarge"]
    spot = fleets["TASK"]["LaunchSpecifications"]["SpotSpecification"]
    assert spot["AllocationStrategy"] == "price-capacity-optimized"
    assert request["ManagedScalingPolicy"]["ComputeLimits"]["UnitType"] == "InstanceFleetUnits"


def test_fleet_stays_in_a_subnet_that_was_named() -> None:
    """The stack's others are left alone; more types than one are for fleets."""
    assert cluster(fleets=True, subnet="subnet-9")["Instances"]["Ec2SubnetIds"] == ["subnet-9"]
    with pytest.raises(SettingsError, match="`more_types` is for instance fleets alone: set `fleets: true`"):
        load_emr_settings(more_types=["m5a.xlarge"])


def test_emr_serverless_on_graviton() -> None:
    """By a setting; the packages are those of that machine."""
    request = create_application(completed(serverless_architecture="arm64"))
    assert valid("emr-serverless", "CreateApplication", {**request, "clientToken": "x"})
    assert request["architecture"] == "ARM64"
    assert create_application(completed())["architecture"] == "X86_64"


def test_notebooks_come_by_livy_and_jupyters_gateway() -> None:
    """Where they are asked for: else a cluster has Spark alone."""
    for notebooks, names in ((None, ["Spark"]), (True, ["Spark", "Livy", "JupyterEnterpriseGateway"])):
        emr = load_emr_settings(notebooks=notebooks).placeholders()
        request = run_job_flow(emr, "s3://b/code/1", standing=True)
        assert [one["Name"] for one in request["Applications"]] == names
        assert valid("emr", "RunJobFlow", request)
