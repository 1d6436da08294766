"""What this command uses of boto3's clients for EMR, EMR Serverless and CloudFormation; boto3 has no types."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NotRequired, Protocol, TypedDict, TypeVar, overload

Page_co = TypeVar("Page_co", covariant=True)


class Status(TypedDict):
    """The state of a cluster or a step, why it is in that, and when it came into others."""

    State: str
    StateChangeReason: NotRequired[dict[Literal["Message"], str]]
    Timeline: dict[Literal["CreationDateTime"], datetime]


class Step(TypedDict):
    """A step of a cluster."""

    Id: str
    Name: str
    Status: Status


class Cluster(TypedDict):
    """A cluster."""

    Id: str
    Name: str
    Status: Status


class Pages(Protocol[Page_co]):
    """Lists something a page at a time."""

    def paginate(self, **request: object) -> Iterable[Page_co]:
        """The list's pages."""


class ElasticMapReduce(Protocol):
    """The client `emr`."""

    def run_job_flow(self, **request: object) -> dict[Literal["JobFlowId"], str]:
        """Make a cluster."""

    def add_job_flow_steps(self, **request: object) -> dict[Literal["StepIds"], list[str]]:
        """Add steps to it."""

    def describe_cluster(self, **request: object) -> dict[Literal["Cluster"], Cluster]:
        """Say what it does."""

    def terminate_job_flows(self, **request: object) -> object:
        """End it."""

    @overload
    def get_paginator(
        self, operation: Literal["list_clusters"], /
    ) -> Pages[dict[Literal["Clusters"], list[Cluster]]]: ...

    @overload
    def get_paginator(self, operation: Literal["list_steps"], /) -> Pages[dict[Literal["Steps"], list[Step]]]: ...


class Job(TypedDict):
    """A job of EMR Serverless."""

    state: str
    stateDetails: NotRequired[str]


class ListedJob(TypedDict):
    """A job in a list."""

    id: str
    state: str


class ServerlessEmr(Protocol):
    """The client `emr-serverless`."""

    def create_application(self, **request: object) -> dict[Literal["applicationId"], str]:
        """Make an application."""

    def get_application(self, **request: object) -> dict[Literal["application"], dict[Literal["state"], str]]:
        """Say what it does."""

    def stop_application(self, **request: object) -> object:
        """Stop it."""

    def delete_application(self, **request: object) -> object:
        """Remove it."""

    def start_job_run(self, **request: object) -> dict[Literal["jobRunId"], str]:
        """Run a job."""

    def get_job_run(self, **request: object) -> dict[Literal["jobRun"], Job]:
        """Say what a job does."""

    def list_job_runs(self, **request: object) -> dict[Literal["jobRuns"], list[ListedJob]]:
        """List jobs."""

    def cancel_job_run(self, **request: object) -> object:
        """Cancel a job."""


class Output(TypedDict):
    """What a stack gives to know."""

    OutputKey: str
    OutputValue: str


class CloudFormation(Protocol):
    """The client `cloudformation`."""

    def describe_stacks(
        self, **request: object
    ) -> dict[Literal["Stacks"], list[dict[Literal["Outputs"], list[Output]]]]:
        """Say what stacks have made."""
