"""EMR Serverless: an application is made, runs the layers, and is removed."""

import time
import uuid
from collections.abc import Callable

from fruits.catalog import Layer
from fruits.emr.aws import client, telling
from fruits.emr.boto import Job
from fruits.emr.cluster import StepFailedError
from fruits.emr.log import Log
from fruits.emr.request import create_application, start_job_run
from fruits.emr.settings import EmrSettings

_OVER = ("SUCCESS", "FAILED", "CANCELLED", "CANCELLING")
_PATIENCE = 600  # seconds for an application to start or stop


class Application:
    """An application of EMR Serverless; see `Clusters` for the arguments."""

    def __init__(self, emr: EmrSettings, say: Callable[[str], None], pause: float = 15, patience: float = 300) -> None:
        self._emr, self._say, self._pause = emr, say, pause
        self._client = client("emr-serverless", emr.region)
        self._log = Log(str(emr.bucket), pause, patience, say)
        self.id = ""

    def create(self) -> None:
        """Make the application; it costs nothing while no job runs."""
        with telling(f"The application could not be made in {self._emr.region}"):
            made = self._client.create_application(**create_application(self._emr), clientToken=str(uuid.uuid4()))
        self.id = str(made["applicationId"])
        self._say(f"Application {self.id} is made.")

    def run(self, code: str, layer: Layer) -> None:
        """Run a layer and wait for its end.

        Raises:
            StepFailedError: the job did not succeed.
        """
        request = start_job_run(self._emr, self.id, code, layer)
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
        """Cancel what runs, stop the application and remove it."""
        with telling(f"The application {self.id} could not be removed: do it in AWS's console"):
            jobs = self._client.list_job_runs(applicationId=self.id)["jobRuns"]
            for job in jobs:
                if job["state"] not in _OVER:
                    self._client.cancel_job_run(applicationId=self.id, jobRunId=job["id"])
            self._client.stop_application(applicationId=self.id)
            end = time.monotonic() + _PATIENCE
            while self._state() not in ("STOPPED", "CREATED") and time.monotonic() < end:
                time.sleep(self._pause)
            self._client.delete_application(applicationId=self.id)
        self._say(f"Application {self.id} is removed.")

    def _look(self, job: str) -> Job:
        with telling(f"The job {job} cannot be seen"):
            return self._client.get_job_run(applicationId=self.id, jobRunId=job)["jobRun"]

    def _state(self) -> str:
        return str(self._client.get_application(applicationId=self.id)["application"]["state"])
