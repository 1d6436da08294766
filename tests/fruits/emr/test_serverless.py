"""An application of EMR Serverless is removed as AWS demands it: jobs cancelled, then stopped, then deleted."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, BinaryIO

import boto3
import pytest
from moto.emrserverless.exceptions import ValidationException
from moto.emrserverless.models import EMRServerlessBackend

from fruits.catalog import Layer
from fruits.console import log
from fruits.emr.aws import AwsError, completed
from fruits.emr.cluster import StepFailedError
from fruits.emr.run import run_serverless
from fruits.emr.serverless import Application
from fruits.emr.settings import load_emr_settings
from fruits.settings import Settings
from tests.fruits.emr.conftest import serverless_backend

GettingOn = Callable[[Callable[[], None]], None]


@pytest.fixture
def as_aws(aws: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Moto with what AWS's documentation says of StopApplication and CancelJobRun, and moto leaves out."""
    stop, list_jobs = EMRServerlessBackend.stop_application, EMRServerlessBackend.list_job_runs

    def stop_when_over(backend: EMRServerlessBackend, application_id: str) -> None:
        states = [job.state for job in backend.job_runs.get(application_id, ())]
        if not {*states} <= {"SUCCESS", "FAILED", "CANCELLED"}:
            raise ValidationException("All scheduled and running jobs must be completed or cancelled before stopping")
        stop(backend, application_id)

    def begin_to_cancel(backend: EMRServerlessBackend, application_id: str, job_run_id: str) -> tuple[str, str]:
        backend.get_job_run(application_id, job_run_id).state = "CANCELLING"
        return application_id, job_run_id

    def list_none_too(backend: EMRServerlessBackend, application_id: str, *arguments: Any, **more: Any) -> Any:
        return list_jobs(backend, application_id, *arguments, **more) if application_id in backend.job_runs else []

    monkeypatch.setattr(EMRServerlessBackend, "stop_application", stop_when_over)
    monkeypatch.setattr(EMRServerlessBackend, "cancel_job_run", begin_to_cancel)
    monkeypatch.setattr(EMRServerlessBackend, "list_job_runs", list_none_too)
    # moto knows no release whose name begins with emr-spark.
    monkeypatch.setattr("moto.emrserverless.models.re", SimpleNamespace(match=lambda _, label: "emr-spark-8" in label))
    monkeypatch.setattr("moto.emrserverless.models.JOB_STATUS", "RUNNING")


def cancel_what_is_cancelling() -> None:
    """After a while AWS has done what it was told to."""
    for jobs in [*serverless_backend().job_runs.values()]:
        for job in jobs:
            if job.state == "CANCELLING":
                job.state = "CANCELLED"


def application_with_a_job(aws: dict[str, str]) -> Application:
    """An application whose job runs."""
    made = Application(completed(load_emr_settings()), log, pause=0.05)
    made.create()
    boto3.client("emr-serverless", region_name="eu-west-3").start_job_run(
        applicationId=made.id, executionRoleArn=aws["JobRole"], clientToken="x", name="fruits gold"
    )
    return made


def test_application_is_stopped_only_when_its_jobs_are_cancelled(
    aws: dict[str, str], as_aws: None, getting_on: GettingOn
) -> None:
    """Cancelling takes a while, and AWS stops nothing before."""
    application = application_with_a_job(aws)
    assert application.unfinished() == ["fruits gold running"]
    getting_on(cancel_what_is_cancelling)
    application.remove()
    (found,) = serverless_backend().applications.values()
    assert found.state == "TERMINATED"


def test_application_without_jobs_is_removed(aws: dict[str, str], as_aws: None) -> None:
    """As after Ctrl-C before the first job."""
    application = Application(completed(load_emr_settings()), log, pause=0.05)
    application.create()
    application.remove()
    assert serverless_backend().applications[application.id].state == "TERMINATED"


def test_job_that_is_not_cancelled_in_time_leaves_the_application_and_says_so(
    aws: dict[str, str], as_aws: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that tries it again."""
    monkeypatch.setattr("fruits.emr.serverless._PATIENCE", 0.2)
    with pytest.raises(AwsError, match=r"jobs are not cancelled in 0\.2 seconds\. `fruits emr down` tries it again"):
        application_with_a_job(aws).remove()


def test_error_of_the_run_is_not_hidden_by_one_of_the_removal(
    aws: dict[str, str],
    as_aws: None,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The first says why; the second is told beside it."""
    monkeypatch.setattr("fruits.emr.run.write_environment", lambda *given: given[-1].write(b"packed"))
    monkeypatch.setattr("fruits.emr.run._with_weights", lambda _, settings: settings)
    monkeypatch.setattr("fruits.emr.serverless._PATIENCE", 0.2)

    def fail(application: Application, *_: object) -> None:
        boto3.client("emr-serverless", region_name="eu-west-3").start_job_run(
            applicationId=application.id, executionRoleArn=aws["JobRole"], clientToken="x", name="fruits gold"
        )
        raise StepFailedError("The job fruits gold failed: the first error.")

    monkeypatch.setattr(Application, "run", fail)
    with pytest.raises(StepFailedError, match="the first error"):
        run_serverless(load_emr_settings(), settings, pause=0.05)
    assert "its jobs are not cancelled" in capsys.readouterr().err


def test_environment_is_not_beside_the_code(
    aws: dict[str, str], as_aws: None, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster's nodes fetch all that is there, and hash it: 400 MB on each that only EMR Serverless needs."""
    packed: list[str] = []
    ran: list[str] = []

    def pack(_: object, architecture: str, target: BinaryIO) -> None:
        packed.append(architecture)
        target.write(b"packed")

    def run(_: Application, code: str, environment: str, layer: Layer) -> None:
        ran.append(f"{layer} of {code} in {environment}")

    monkeypatch.setattr("fruits.emr.run.write_environment", pack)
    monkeypatch.setattr("fruits.emr.run._with_weights", lambda _, settings: settings)
    monkeypatch.setattr(Application, "run", run)
    for architecture in ("x86_64", "arm64"):
        run_serverless(load_emr_settings(serverless_architecture=architecture), settings, pause=0.05)
    assert packed == ["x86_64", "arm64"]
    keys = [one["Key"] for one in boto3.client("s3").list_objects_v2(Bucket=aws["Bucket"])["Contents"]]
    archives = {f"s3://{aws['Bucket']}/{key}" for key in keys if key.endswith(".tar.gz")}
    assert {one.rpartition(" in ")[2] for one in ran} == archives
    assert {one.rpartition("/")[0] for one in archives} == {f"s3://{aws['Bucket']}/code/environments"}
