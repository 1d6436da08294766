"""Types for what is used of boto3's clients for schedules, as `boto.py` has them for EMR.

Keys and methods are AWS's own; every call raises a ClientError where AWS refuses it.
"""

from datetime import datetime
from typing import Literal, NotRequired, Protocol, TypedDict


class ListedSchedule(TypedDict):
    """A schedule, as it is listed."""

    Name: str


class Schedule(TypedDict):
    """A schedule, as it is described."""

    Name: str
    State: str
    ScheduleExpression: str
    ScheduleExpressionTimezone: str
    LastModificationDate: datetime
    Target: dict[Literal["Input"], str]


class Scheduler(Protocol):
    """The client `scheduler`: EventBridge Scheduler."""

    def list_schedules(self, **request: object) -> dict[Literal["Schedules"], list[ListedSchedule]]:
        """The schedules of a group, up to a hundred."""

    def get_schedule(self, **request: object) -> Schedule:
        """A schedule with its expression and its target."""

    def create_schedule(self, **request: object) -> object:
        """Make a schedule; a ClientError (ConflictException) where there is one of that name."""

    def update_schedule(self, **request: object) -> object:
        """Put another in a schedule's place."""

    def delete_schedule(self, **request: object) -> object:
        """Delete a schedule."""


class ListedExecution(TypedDict):
    """An execution of a state machine, as it is listed."""

    executionArn: str
    status: str
    startDate: datetime
    stopDate: NotRequired[datetime]


class Execution(TypedDict):
    """An execution of a state machine, as it is described."""

    status: str
    output: NotRequired[str]
    cause: NotRequired[str]
    error: NotRequired[str]


class StepFunctions(Protocol):
    """The client `stepfunctions`."""

    def list_executions(self, **request: object) -> dict[Literal["executions"], list[ListedExecution]]:
        """Executions of a state machine, the newest first."""

    def describe_execution(self, **request: object) -> Execution:
        """An execution with its output, or why it failed."""


class Sqs(Protocol):
    """The client `sqs`."""

    def get_queue_attributes(self, **request: object) -> dict[Literal["Attributes"], dict[str, str]]:
        """A queue's attributes, among them about how many messages wait."""


class Events(Protocol):
    """The client `events`: EventBridge's rules."""

    def enable_rule(self, **request: object) -> object:
        """Turn a rule on."""

    def disable_rule(self, **request: object) -> object:
        """Turn a rule off."""
