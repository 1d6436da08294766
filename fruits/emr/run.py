"""`fruits emr run`: upload, launch, follow, and end it in every case."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import typer

from fruits.catalog import Layer
from fruits.console import log
from fruits.emr.aws import AwsError, completed
from fruits.emr.check import check_before_launch
from fruits.emr.cluster import Clusters
from fruits.emr.code import code_files, upload, write_environment
from fruits.emr.price import Estimate, of_cluster, of_serverless
from fruits.emr.request import run_job_flow, steps
from fruits.emr.sent import check_reach, on_cluster
from fruits.emr.serverless import Application
from fruits.emr.settings import EmrSettings
from fruits.settings import Settings
from lakehouse.background import Background
from lakehouse.storage import create_file, exists, write_file
from silver.encoders import encoder_module

T = TypeVar("T")


def run_transient(emr: EmrSettings, settings: Settings, pause: float = 15, patience: float = 300) -> None:
    """Run all layers on a cluster of its own, which is ended in every case.

    Raises:
        StepFailedError: a step failed; its last lines are in the message.
        AwsError: AWS refused something.
    """
    emr, sent = _checked(emr, settings, role="instance_profile")
    check_before_launch(emr, settings, log)
    clusters = Clusters(emr, log, pause, patience)
    code = upload(str(emr.bucket), code_files(sent))
    cluster, interrupted = _uninterruptible(lambda: clusters.start(run_job_flow(emr, code, standing=False)))
    with _terminate_on_exit(lambda: clusters.end(cluster), f"cluster {cluster}", of_cluster(emr, 0)):
        if interrupted is not None:
            raise interrupted
        clusters.follow(cluster, clusters.steps(cluster))


def run_standing(emr: EmrSettings, cluster: str, pause: float = 15, patience: float = 300) -> None:
    """Run all layers on a standing cluster, with the code and settings that it was made with.

    Raises:
        StepFailedError: a step failed; its last lines are in the message. The cluster stays.
    """
    clusters = Clusters(completed(emr), log, pause, patience)
    clusters.follow(cluster, clusters.submit(cluster, steps("CANCEL_AND_WAIT")))


def run_serverless(emr: EmrSettings, settings: Settings, pause: float = 15, patience: float = 300) -> None:
    """Run all layers on EMR Serverless, in an application that is removed in every case.

    Its workers have no TensorFlow: the model is converted here, and put into the lake.

    Raises:
        StepFailedError: a job failed; its last lines are in the message.
        AwsError: AWS refused something.
    """
    check_before_launch(_checked(emr, settings, role="job_role")[0], settings, log, serverless=True)
    emr, code, packed = prepare_serverless(emr, settings)
    application = Application(emr, log, pause, patience)
    _, interrupted = _uninterruptible(application.create)
    with _terminate_on_exit(application.remove, f"application {application.id}", of_serverless(emr, 0)):
        if interrupted is not None:
            raise interrupted
        for layer in Layer:
            application.run(code, packed, layer)


def prepare_serverless(emr: EmrSettings, settings: Settings) -> tuple[EmrSettings, str, str]:
    """Put what a job of EMR Serverless needs into the bucket: weights, code and environment.

    Returns:
        The settings completed, the s3:// prefix of the code, and the s3:// URI of the environment's archive.

    Raises:
        SettingsError: the job could not reach what the settings name.
        AwsError: AWS refused something.
    """
    emr, _ = _checked(emr, settings, role="job_role")
    settings = _with_weights(emr, settings)
    files = code_files(on_cluster(settings, emr))
    code = upload(str(emr.bucket), files)
    packed = _environment_of(emr, code)
    if not exists(packed):
        log("Packing the environment for EMR Serverless (once for each code and settings) …")
        with create_file(packed) as target:
            write_environment(files, emr.serverless_architecture, target)
    return emr, code, packed


def bring_up(emr: EmrSettings, settings: Settings) -> str:
    """Start a standing cluster; returns its id. It ends by itself when it was idle for `idle_minutes`."""
    emr, sent = _checked(emr, settings, role="instance_profile")
    check_before_launch(emr, settings, log)
    code = upload(str(emr.bucket), code_files(sent))
    return Clusters(emr, log).start(run_job_flow(emr, code, standing=True))


def _checked(emr: EmrSettings, settings: Settings, role: str) -> tuple[EmrSettings, str]:
    """The settings completed, and the run's as they are sent; refused is what the stack's own role does not reach."""
    complete = completed(emr)
    sent = on_cluster(settings, complete)
    if getattr(emr, role) is None:
        check_reach(settings, complete)
    return complete, sent


def _environment_of(emr: EmrSettings, code: str) -> str:
    """Where the environment of a code lies: not beside it, for the nodes of a cluster fetch all that is there."""
    folder, _, digest = code.rpartition("/")
    return f"{folder}/environments/{digest}-{emr.serverless_architecture}.tar.gz"


def _with_weights(emr: EmrSettings, settings: Settings) -> Settings:
    """The settings with the weights on S3, and the model that they give in the lake."""
    encoder = encoder_module(settings.encoder)
    encoder.prepare(settings.weights, f"{settings.lake}/models")
    path = encoder.weights_file(settings.weights)
    if path is None or settings.weights is not None:
        return settings
    uri = f"s3://{emr.bucket}/code/weights/{path.name}"
    if not exists(uri):
        write_file(uri, path.read_bytes())
    return settings.model_copy(update={"weights": uri})


def _uninterruptible(make: Callable[[], T]) -> tuple[T, KeyboardInterrupt | None]:
    """What was made, and whether the user interrupted meanwhile: what AWS has made must be known to be ended."""
    making = Background(make)
    try:
        return making.get(), None
    except KeyboardInterrupt as interrupt:
        return making.get(), interrupt


@contextmanager
def _terminate_on_exit(end: Callable[[], None], name: str, estimate: Estimate) -> Iterator[None]:
    """End it when the block is over, however that ends, and say what it cost; an interrupted user is asked.

    Where the block has failed and ending does, too, the block's error is raised, and the other one said.
    """
    begun = time.time()
    wanted = True
    try:
        yield
    except BaseException as error:
        wanted = not isinstance(error, KeyboardInterrupt) or _asked(name)
        if wanted:
            try:
                end()
            except AwsError as another:
                log(str(another))
        raise
    else:
        end()
    finally:
        hours = (time.time() - begun) / 3600
        cost = "what that costs is not known, for a type has no price (`fruits emr prices --refresh`)"
        if estimate.hourly is not None:
            cost = f"about {hours * estimate.hourly:.2f} USD by the prices of {estimate.as_of} in {estimate.region}"
        log(f"The {name} ran for {hours * 60:.0f} minutes: {cost}.")
        if not wanted:
            log(f"The {name} goes on, and costs by the hour. `fruits emr status` shows it, `fruits emr down` ends it.")


def _asked(name: str) -> bool:
    """Whether to end it: yes, where nobody can be asked, or who is asked interrupts again."""
    if not sys.stdin.isatty():
        return True
    try:
        return typer.confirm(f"\nEnd the {name}?", default=True, err=True)
    except (KeyboardInterrupt, typer.Abort):
        return True
