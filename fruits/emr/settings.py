"""Cluster settings: `conf/emr.yaml`, completed by the outputs of the CloudFormation stack."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from fruits.settings import DEFAULT_FILE as SHIPPED
from fruits.settings import Settings
from lakehouse.errors import SettingsError
from lakehouse.settings import load, shipped, to_yaml
from lakehouse.storage.uri import S3

DEFAULT_FILE = "conf/emr.yaml"
EU = ("eu-west-1", "eu-west-3", "eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2", "eusc-de-east-1")
"""The regions in the European Union: London (eu-west-2) and Zurich (eu-central-2) are not."""
OUTPUTS = {
    "bucket": "Bucket",
    "service_role": "ServiceRole",
    "instance_profile": "InstanceProfile",
    "security_configuration": "SecurityConfiguration",
    "subnet": "Subnet",
    "security_group": "SecurityGroup",
    "job_role": "JobRole",
}
"""By setting, the stack's output that fills it where it is null."""
_LOCAL = ("spark.master", "spark.driver.host", "spark.driver.bindAddress", "spark.ui.")
"""Settings of Spark's that are for one small machine, wherever they were put: a cluster has its own."""
_LAPTOP = {"processes", "spark_local"}
"""Settings that a cluster has no use for."""
Name = Annotated[str, Field(min_length=1)]


class EmrSettings(BaseModel):
    """See `conf/emr.yaml` for the meaning and the default of each key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    region: Name
    outside_eu: str | None
    stack: Name
    bucket: str | None
    service_role: str | None
    instance_profile: str | None
    security_configuration: str | None
    subnet: str | None
    security_group: str | None
    job_role: str | None

    release: Name
    primary: Name
    core: Name
    core_nodes: Annotated[int, Field(ge=1)]
    max_core_nodes: Annotated[int, Field(ge=1)] | None
    task: str | None
    task_nodes: Annotated[int, Field(ge=0)]
    idle_minutes: Annotated[int, Field(ge=1, le=7 * 24 * 60)]
    glue: bool
    serverless_vcpus: Annotated[int, Field(ge=8)]

    images_per_second_per_core: Annotated[float, Field(gt=0)]
    start_minutes: Annotated[float, Field(ge=0)]

    @field_validator("release")
    @classmethod
    def _with_delta(cls, value: str) -> str:
        if not value.startswith("emr-spark-8."):
            raise ValueError("the jobs need Spark 4.1 and Delta 4.2, which emr-spark-8.1.0 has.")
        return value

    @model_validator(mode="after")
    def _in_the_eu(self) -> "EmrSettings":
        if self.region not in (*EU, self.outside_eu):
            raise ValueError(
                f"the region {self.region} is not in the European Union, and the photographs are users' data. If that "
                f"is meant, name it a second time: `--outside-eu {self.region}`."
            )
        return self

    @property
    def task_type(self) -> str:
        """The instance type of task nodes."""
        return self.task or self.core

    @property
    def completed_already(self) -> bool:
        """Whether the settings name all that the stack would."""
        return all(getattr(self, key) is not None for key in OUTPUTS)

    def placeholders(self) -> "EmrSettings":
        """These settings, with words where the stack's outputs would stand: for a plan without AWS."""
        return self.completed({output: f"<{output} of stack {self.stack}>" for output in OUTPUTS.values()})

    def completed(self, outputs: dict[str, str]) -> "EmrSettings":
        """These settings, with the stack's outputs where a key is null.

        Raises:
            SettingsError: an output that is needed is not there.
        """
        missing = [out for key, out in OUTPUTS.items() if getattr(self, key) is None and out not in outputs]
        if missing:
            raise SettingsError(
                f"The stack {self.stack} has no output {', '.join(missing)}: was it made of this version's "
                "bootstrap/infrastructure.yaml? Update it, or set the keys in the settings of `fruits emr`."
            )
        return self.model_copy(update={key: outputs[out] for key, out in OUTPUTS.items() if getattr(self, key) is None})


def load_emr_settings(file: str | Path | None = None, **options: object) -> EmrSettings:
    """Read the settings of `fruits emr`, as `load_settings` reads those of a run.

    Raises:
        SettingsError: a key or value is wrong, or the region is outside the European Union and was not named twice.
    """
    return load(EmrSettings, DEFAULT_FILE, file, options)


def on_cluster(settings: Settings, emr: EmrSettings) -> str:
    """A run's settings as a file for the cluster: the engine is Spark, with the platform's jars, master and memory.

    Raises:
        SettingsError: what the cluster must reach lies in a folder of this machine.
    """
    places = {"images": settings.images, "lake": settings.lake, "weights": settings.weights, "labels": settings.labels}
    for key, uri in places.items():
        if uri not in (None, "untrained") and not str(uri).startswith(S3):
            raise SettingsError(f"`{key}` is {uri}, which a cluster cannot reach. Name an s3:// URI.")
    if settings.images is None:
        settings.source  # noqa: B018 - says that no folder was named
    # The file is laid over the shipped one on the cluster: what shall not count there is null.
    shipped_spark = shipped(SHIPPED)["spark"]
    assert isinstance(shipped_spark, dict)
    spark: dict[str, object] = dict.fromkeys(shipped_spark)
    spark |= {key: value for key, value in settings.spark.items() if not key.startswith(_LOCAL)}
    changed = {"packages": [], "s3_packages": [], "spark": spark, "region": emr.region, "register_tables": emr.glue}
    return to_yaml({**settings.model_dump(mode="json", exclude=_LAPTOP), **changed, "engine": "spark"})
