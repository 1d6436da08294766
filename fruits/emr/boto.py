"""Types for what is used of boto3's clients for EMR, EMR Serverless and CloudFormation; boto3 has none.

Keys and methods are AWS's own, whose API reference says what each request takes. Every call raises a ClientError where
AWS refuses it and a BotoCoreError where it is out of reach; `aws.telling` makes an AwsError of both.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NotRequired, Protocol, TypedDict, TypeVar, overload

Page_co = TypeVar("Page_co", covariant=True)


class Status(TypedDict):
    """The state of a cluster or a step, why it is in that, and when it came into others."""

    State: str
    StateChangeReason: NotRequired[dict[str, str]]
    FailureDetails: NotRequired[dict[str, str]]
    Timeline: dict[Literal["CreationDateTime"], datetime]


class Step(TypedDict):
    """A step of a cluster: for a layer, its Spark job."""

    Id: str
    Name: str
    Status: Status


class Cluster(TypedDict):
    """A cluster, as it is described and, but for its tags, as it is listed."""

    Id: str
    Name: str
    Status: Status
    Tags: NotRequired[list[dict[str, str]]]


class Release(TypedDict):
    """A release, as it is described."""

    Applications: NotRequired[list[dict[Literal["Name", "Version"], str]]]


class Pages(Protocol[Page_co]):
    """Asks for a list page by page."""

    def paginate(self, **request: object) -> Iterable[Page_co]:
        """The pages, each asked for when it is taken."""


class ElasticMapReduce(Protocol):
    """The client `emr`."""

    def run_job_flow(self, **request: object) -> dict[Literal["JobFlowId"], str]:
        """Start a cluster, with its first steps; returns its id at once, while its nodes are still to come."""

    def add_job_flow_steps(self, **request: object) -> dict[Literal["StepIds"], list[str]]:
        """Queue steps on a running cluster; returns their ids."""

    def describe_cluster(self, **request: object) -> dict[Literal["Cluster"], Cluster]:
        """A cluster's state, and why it is in that."""

    def describe_release_label(self, **request: object) -> Release:
        """A release's programs; a ClientError (InvalidRequestException) where the region does not have it."""

    def terminate_job_flows(self, **request: object) -> object:
        """Begin to end clusters, whatever they do; of one that has ended, nothing."""

    @overload
    def get_paginator(
        self, operation: Literal["list_clusters"], /
    ) -> Pages[dict[Literal["Clusters"], list[Cluster]]]: ...

    @overload
    def get_paginator(self, operation: Literal["list_steps"], /) -> Pages[dict[Literal["Steps"], list[Step]]]: ...


class Job(TypedDict):
    """A job run, as it is described."""

    state: str
    stateDetails: NotRequired[str]


class ListedJob(TypedDict):
    """A job run, as it is listed."""

    id: str
    name: str
    state: str


class ListedApplication(TypedDict):
    """An application, as it is listed."""

    id: str
    name: str
    state: str
    createdAt: datetime


class DescribedApplication(TypedDict):
    """An application, as it is described; it can be deleted in the states CREATED and STOPPED."""

    state: str
    tags: dict[str, str]


class ServerlessEmr(Protocol):
    """The client `emr-serverless`."""

    def create_application(self, **request: object) -> dict[Literal["applicationId"], str]:
        """Create an application, which costs nothing until a job runs; returns its id."""

    def get_application(self, **request: object) -> dict[Literal["application"], DescribedApplication]:
        """An application's state and tags."""

    def stop_application(self, **request: object) -> object:
        """Begin to stop an application; a ClientError (ValidationException) until its jobs are over, or cancelled."""

    def delete_application(self, **request: object) -> object:
        """Delete an application on which nothing runs."""

    def start_job_run(self, **request: object) -> dict[Literal["jobRunId"], str]:
        """Start a job; returns its id at once."""

    def get_job_run(self, **request: object) -> dict[Literal["jobRun"], Job]:
        """A job's state, with the details where it failed."""

    @overload
    def get_paginator(
        self, operation: Literal["list_applications"], /
    ) -> Pages[dict[Literal["applications"], list[ListedApplication]]]: ...

    @overload
    def get_paginator(
        self, operation: Literal["list_job_runs"], /
    ) -> Pages[dict[Literal["jobRuns"], list[ListedJob]]]: ...

    def cancel_job_run(self, **request: object) -> object:
        """Begin to cancel a job."""


class Output(TypedDict):
    """An output of a stack: a name, and what was created under it (a bucket, a role's ARN, a subnet)."""

    OutputKey: str
    OutputValue: str


class Stack(TypedDict):
    """A stack, as it is described."""

    StackStatus: str
    Outputs: NotRequired[list[Output]]


class CloudFormation(Protocol):
    """The client `cloudformation`."""

    def describe_stacks(self, **request: object) -> dict[Literal["Stacks"], list[Stack]]:
        """The stack of a name, with its outputs; a ClientError (ValidationError) where there is none."""

    def get_template(self, **request: object) -> dict[Literal["TemplateBody"], object]:
        """The template that a stack was made of: text, of JSON also what it says."""
