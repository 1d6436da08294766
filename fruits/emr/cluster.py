"""Clusters of EMR on EC2: made, followed to the end of their steps, and ended."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fruits.emr.aws import AwsError, client, telling
from fruits.emr.boto import Cluster, Status, Step
from fruits.emr.log import Log
from fruits.emr.request import NAME, STACK_TAG, Request
from fruits.emr.settings import EmrSettings

_OVER = ("COMPLETED", "CANCELLED", "FAILED", "INTERRUPTED")
_ALIVE = ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"]
_ENDED = ("TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS")


class StepFailedError(AwsError):
    """A step did not complete; the message ends with its own last lines."""


@dataclass(frozen=True)
class Running:
    """A cluster that costs money, or an application of EMR Serverless, which does while a job runs.

    Attributes:
        cluster: its id.
        state: EMR's word for what it does.
        hours: since it was asked for.
        steps: the steps or jobs that run or wait.
    """

    cluster: str
    state: str
    hours: float
    steps: list[str]


class Clusters:
    """The clusters of one region.

    Args:
        emr: completed settings.
        say: told a line when something changes.
        pause: seconds between two looks at a cluster.
        patience: seconds to wait for a failed step's log, which EMR brings to S3 every few minutes.
    """

    def __init__(self, emr: EmrSettings, say: Callable[[str], None], pause: float = 15, patience: float = 300) -> None:
        self._emr, self._say, self._pause = emr, say, pause
        self._client = client("emr", emr.region)
        self._log = Log(str(emr.bucket), pause, patience, say)

    def start(self, request: Request) -> str:
        """Make a cluster; returns its id."""
        with telling(f"The cluster could not be made in {self._emr.region}"):
            cluster = str(self._client.run_job_flow(**request)["JobFlowId"])
        self._say(
            f"Cluster {cluster} is asked for: 1 × {self._emr.primary}, {self._emr.core_nodes} × {self._emr.core}."
        )
        return cluster

    def submit(self, cluster: str, steps: Sequence[Request]) -> list[str]:
        """Add steps to a standing cluster; returns their ids."""
        with telling(f"The steps could not be added to {cluster}"):
            return list(self._client.add_job_flow_steps(JobFlowId=cluster, Steps=list(steps))["StepIds"])

    def steps(self, cluster: str) -> list[str]:
        """The ids of a cluster's steps, the first first."""
        with telling(f"The cluster {cluster} cannot be seen"):
            return [step["Id"] for step in reversed(self._listed(cluster))]

    def follow(self, cluster: str, steps: Sequence[str]) -> None:
        """Wait until steps are over.

        Raises:
            StepFailedError: one has not completed, or the cluster ended before.
            AwsError: the cluster cannot be seen any more.
        """
        told: dict[str, str] = {}
        while True:
            with telling(f"The cluster {cluster} cannot be seen"):
                status = self._client.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]
                found = [step for step in reversed(self._listed(cluster)) if step["Id"] in steps]
            self._tell(cluster, status["State"], told)
            for step in found:
                self._tell(step["Name"], step["Status"]["State"], told)
            if len(found) == len(steps) and all(step["Status"]["State"] in _OVER for step in found):
                break
            if status["State"] in _ENDED:
                break
            time.sleep(self._pause)
        self._raise_for(cluster, status, found)

    def end(self, cluster: str) -> None:
        """End a cluster; one that has ended already stays so."""
        with telling(f"The cluster {cluster} could not be ended: do it in AWS's console, for it costs by the hour"):
            self._client.terminate_job_flows(JobFlowIds=[cluster])
        self._say(f"Cluster {cluster} is told to end.")

    def running(self) -> list[Running]:
        """This stack's clusters that have not ended."""
        with telling(f"The clusters of {self._emr.region} cannot be listed"):
            pages = self._client.get_paginator("list_clusters").paginate(ClusterStates=_ALIVE)
            found = [one for page in pages for one in page["Clusters"] if one["Name"] == NAME]
            return [self._running(one) for one in found if self._is_ours(one["Id"])]

    def _is_ours(self, cluster: str) -> bool:
        """Whether a cluster is this stack's, which its tag says; a listed cluster has none."""
        tags = self._client.describe_cluster(ClusterId=cluster)["Cluster"].get("Tags", ())
        return {"Key": STACK_TAG, "Value": self._emr.stack} in tags

    def _running(self, found: Cluster) -> Running:
        created = found["Status"]["Timeline"]["CreationDateTime"]
        steps = [step for step in reversed(self._listed(found["Id"])) if step["Status"]["State"] not in _OVER]
        names = [f"{step['Name']} {step['Status']['State'].lower()}" for step in steps]
        return Running(found["Id"], found["Status"]["State"], (time.time() - created.timestamp()) / 3600, names)

    def _listed(self, cluster: str) -> list[Step]:
        pages = self._client.get_paginator("list_steps").paginate(ClusterId=cluster)
        return [step for page in pages for step in page["Steps"]]

    def _tell(self, name: str, state: str, told: dict[str, str]) -> None:
        if told.get(name) != state:
            told[name] = state
            self._say(f"{name}: {state.lower().replace('_', ' ')}")

    def _raise_for(self, cluster: str, status: Status, steps: Sequence[Step]) -> None:
        failed = [step for step in steps if step["Status"]["State"] != "COMPLETED"]
        if not failed and steps:
            return
        first = next((step for step in failed if step["Status"]["State"] == "FAILED"), None)
        if first is not None:
            lines = self._log.last_lines(f"{cluster}/steps/{first['Id']}")
            raise StepFailedError(f"The step {first['Name']} ({first['Id']}) failed.{_details(first)} {lines}")
        reason = status.get("StateChangeReason", {})
        said = reason.get("Message") or "EMR gives no reason"
        lines = self._bootstrap_lines(cluster, said) if _is_of_bootstrap(reason) else ""
        raise StepFailedError(f"The cluster {cluster} ended before its steps were done: {said}. {lines}".rstrip())

    def _bootstrap_lines(self, cluster: str, said: str) -> str:
        """The log of the node that EMR names; of a bootstrap action each node has one, and most succeeded."""
        node = re.search(r"\bi-[0-9a-f]+", said)
        folder = f"{cluster}/node/{node[0]}" if node else f"{cluster}/node"
        return self._log.last_lines(folder, "/bootstrap-actions/")


def _is_of_bootstrap(reason: Mapping[str, str]) -> bool:
    return reason.get("Code") == "BOOTSTRAP_FAILURE" or "bootstrap action" in reason.get("Message", "")


def _details(step: Step) -> str:
    """What EMR itself makes of a step's failure, where it makes something of it."""
    found = step["Status"].get("FailureDetails", {})
    said = [found[key] for key in ("Reason", "Message") if found.get(key)]
    return "".join(f" {one.rstrip('.')}." for one in said)
