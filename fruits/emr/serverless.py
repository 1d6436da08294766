"""EMR Serverless: an application is made, runs the layers, and is removed."""

import time
import uuid
from collections.abc import Callable

from fruits.catalog import Layer
from fruits.emr.aws import AwsError, client, telling
from fruits.emr.boto import Job, ListedJob
from fruits.emr.cluster import Running, StepFailedError
from fruits.emr.log import Log
from fruits.emr.request import NAME, STACK_TAG
from fruits.emr.serverless_request import create_application, start_job_run
from fruits.emr.settings import EmrSettings

_OVER = ("SUCCESS", "FAILED", "CANCELLED")
_ALIVE = ["CREATING", "CREATED", "STARTING", "STARTED", "STOPPING", "STOPPED"]
_PATIENCE = 600  # seconds for jobs to be cancelled, and for an application to stop


class Application:
    """An application of EMR Serverless; see `Clusters` for the arguments."""

    def __init__(
        self,
        emr: EmrSettings,
        say: Callable[[str], None],
        pause: float = 15,
        patience: float = 300,
        application: str = "",
    ) -> None:
        self._emr, self._say, self._pause = emr, say, pause
        self._client = client("emr-serverless", emr.region)
        self._log = Log(str(emr.bucket), pause, patience, say)
        self.id = application

    def create(self) -> None:
        """Make the application; it costs nothing while no job runs."""
        with telling(f"The application could not be made in {self._emr.region}"):
            made = self._client.create_application(**create_application(self._emr), clientToken=str(uuid.uuid4()))
        self.id = str(made["applicationId"])
        self._say(f"Application {self.id} is made.")

    def run(self, code: str, environment: str, layer: Layer) -> None:
        """Run a layer and wait for its end.

        Raises:
            StepFailedError: the job did not succeed.
        """
        request = start_job_run(self._emr, self.id, code, environment, layer)
        with telling(f"The job fruits {layer} could not be started"):
            job = str(self._client.start_job_run(**request, clientToken=str(uuid.uuid4()))["jobRunId"])
        told = ""
        while told not in _OVER:
            found = self._look(job)
            if found["state"] != told:
                told = found["state"]
                self._say(f"fruits {layer}: {told.lower()}")
            elif told not in _OVER:
                time.sleep(self._pause)
        if told != "SUCCESS":
            reason = found.get("stateDetails") or "no reason is given"
            lines = self._log.last_lines(f"applications/{self.id}/jobs/{job}/SPARK_DRIVER")
            raise StepFailedError(f"The job fruits {layer} ({job}) {told.lower()}: {reason}. {lines}")

    def remove(self) -> None:
        """Cancel what runs, stop the application and remove it.

        AWS stops no application before all its jobs are cancelled, which takes a while after they are told to.

        Raises:
            AwsError: it is not removed, and what it runs may cost.
        """
        with telling(f"The application {self.id} could not be removed: do it in AWS's console"):
            for job in self._unfinished():
                if job["state"] != "CANCELLING":
                    self._client.cancel_job_run(applicationId=self.id, jobRunId=job["id"])
            self._wait(lambda: not self._unfinished(), "its jobs are not cancelled")
            self._client.stop_application(applicationId=self.id)
            self._wait(lambda: self._state() in ("STOPPED", "CREATED"), "it does not stop")
            self._client.delete_application(applicationId=self.id)
        self._say(f"Application {self.id} is removed.")

    def unfinished(self) -> list[str]:
        """Its jobs that run or wait, with their states."""
        with telling(f"The application {self.id} cannot be seen"):
            return [f"{job['name']} {job['state'].lower()}" for job in self._unfinished()]

    def _wait(self, done: Callable[[], bool], otherwise: str) -> None:
        end = time.monotonic() + _PATIENCE
        while not done():
            if time.monotonic() >= end:
                raise AwsError(
                    f"The application {self.id} could not be removed, for {otherwise} in {_PATIENCE} seconds. "
                    "`fruits emr down` tries it again."
                )
            time.sleep(self._pause)

    def _unfinished(self) -> list[ListedJob]:
        pages = self._client.get_paginator("list_job_runs").paginate(applicationId=self.id)
        return [job for page in pages for job in page["jobRuns"] if job["state"] not in _OVER]

    def _look(self, job: str) -> Job:
        with telling(f"The job {job} cannot be seen"):
            return self._client.get_job_run(applicationId=self.id, jobRunId=job)["jobRun"]

    def _state(self) -> str:
        return self._client.get_application(applicationId=self.id)["application"]["state"]


def running_applications(emr: EmrSettings, say: Callable[[str], None]) -> list[Running]:
    """This stack's applications; what `run --serverless` made and could not remove is one.

    Raises:
        AwsError: they cannot be seen.
    """
    serverless = client("emr-serverless", emr.region)
    found = []
    with telling(f"The applications of {emr.region} cannot be listed"):
        pages = serverless.get_paginator("list_applications").paginate(states=_ALIVE)
        for one in [one for page in pages for one in page["applications"] if one["name"] == NAME]:
            described = serverless.get_application(applicationId=one["id"])["application"]
            if described["tags"].get(STACK_TAG) == emr.stack:
                jobs = Application(emr, say, application=one["id"]).unfinished()
                hours = (time.time() - one["createdAt"].timestamp()) / 3600
                found.append(Running(one["id"], one["state"], hours, jobs))
    return found
