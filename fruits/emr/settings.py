"""Cluster settings: `conf/emr.yaml`, completed by the outputs of the CloudFormation stack."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lakehouse.errors import SettingsError
from lakehouse.settings import load

DEFAULT_FILE = "conf/emr.yaml"
EU = ("eu-west-1", "eu-west-3", "eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2")
"""The regions in the European Union: London (eu-west-2) and Zurich (eu-central-2) are not.

The European Sovereign Cloud (eusc-de-east-1) is a partition of its own, with other host names and policies, in which
nothing here was tried.
"""
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
OPTIONAL = {
    "subnets": "Subnets",
    "service_access_security_group": "ServiceAccessSecurityGroup",
    "key": "KeyArn",
    "log_group": "LogGroup",
    "photographs_bucket": "PhotographsBucketName",
}
"""As OUTPUTS, of what not every stack has; it stays null where the other keys are all given."""
MOST_NODES = 500
"""Core nodes, or task nodes, of one cluster."""
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
    subnets: list[Name] | None
    service_access_security_group: str | None
    key: str | None
    log_group: str | None
    photographs_bucket: str | None

    release: Name
    primary: Name
    core: Name
    core_nodes: Annotated[int, Field(ge=1)]
    max_core_nodes: Annotated[int, Field(ge=1)] | None
    task: str | None
    task_nodes: Annotated[int, Field(ge=0)]
    fleets: bool
    more_types: list[Name]
    root_gb: Annotated[int, Field(ge=15, le=100)]
    idle_minutes: Annotated[int, Field(ge=1, le=7 * 24 * 60)]
    glue: bool
    notebooks: bool
    spark: dict[str, str | bool | int | float]
    serverless_vcpus: Annotated[int, Field(ge=8)]
    serverless_architecture: Literal["x86_64", "arm64"]
    serverless_timeout_minutes: Annotated[int, Field(ge=5)]

    images_per_second_per_core: Annotated[float, Field(gt=0)]
    start_minutes: Annotated[float, Field(ge=0)]
    step_minutes: Annotated[float, Field(ge=0)]
    serverless_start_minutes: Annotated[float, Field(ge=0)]

    @field_validator("release")
    @classmethod
    def _with_delta(cls, value: str) -> str:
        if not value.startswith("emr-spark-8."):
            raise ValueError("the jobs need Spark 4.1 and Delta 4.2, which emr-spark-8.1.0 has.")
        return value

    @field_validator("core_nodes", "max_core_nodes", "task_nodes")
    @classmethod
    def _not_too_many(cls, value: int | None) -> int | None:
        if value is not None and value > MOST_NODES:
            raise ValueError(
                f"at most {MOST_NODES} nodes of a kind, for one primary node hands out all work. Name fewer, and run "
                "on a part of the photographs at a time."
            )
        return value

    @model_validator(mode="after")
    def _in_the_eu(self) -> "EmrSettings":
        if self.region not in (*EU, self.outside_eu):
            raise ValueError(
                f"the region {self.region} is not in the European Union, and the photographs are users' data. If that "
                f"is meant, name it a second time: `--outside-eu {self.region}`."
            )
        return self

    @model_validator(mode="after")
    def _more_types_in_fleets(self) -> "EmrSettings":
        if self.more_types and not self.fleets:
            raise ValueError("`more_types` is for instance fleets alone: set `fleets: true`, too.")
        return self

    @property
    def is_scaled(self) -> bool:
        """Whether EMR's managed scaling adds nodes and removes them."""
        return self.max_core_nodes is not None and self.max_core_nodes > self.core_nodes

    @property
    def uses_spot(self) -> bool:
        """Whether there are nodes that may be taken away, or may come to be."""
        return self.task_nodes > 0 or self.is_scaled

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
        outputs = [*OUTPUTS.values(), *(OPTIONAL[key] for key in ("subnets", "key", "log_group"))]
        return self.completed({output: f"<{output} of stack {self.stack}>" for output in outputs})

    def completed(self, outputs: dict[str, str]) -> "EmrSettings":
        """These settings, with the stack's outputs where a key is null.

        Raises:
            SettingsError: an output that is needed is not there.
        """
        missing = [out for key, out in OUTPUTS.items() if getattr(self, key) is None and out not in outputs]
        if missing:
            raise SettingsError(
                f"The stack {self.stack} has no output {', '.join(missing)}: was it made of this version's "
                "bootstrap/infrastructure.json? Update it, or set the keys in the settings of `fruits emr`."
            )
        known = {key: outputs[out] for key, out in (OUTPUTS | OPTIONAL).items() if out in outputs}
        found: dict[str, object] = {key: value for key, value in known.items() if getattr(self, key) is None}
        if "subnets" in found:
            found["subnets"] = [self.subnet] if self.subnet else known["subnets"].split(",")
        return self.model_copy(update=found)


def load_emr_settings(file: str | Path | None = None, **options: object) -> EmrSettings:
    """Read the settings of `fruits emr`, as `load_settings` reads those of a run.

    Raises:
        SettingsError: a key or value is wrong, or the region is outside the European Union and was not named twice.
    """
    return load(EmrSettings, DEFAULT_FILE, file, options)
