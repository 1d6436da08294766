"""What of a stack runs now, on clusters and on EMR Serverless: seen, priced and ended."""

from fruits.console import log
from fruits.emr.cluster import Clusters, Running
from fruits.emr.price import of_cluster
from fruits.emr.serverless import Application, running_applications
from fruits.emr.settings import EmrSettings


def running(emr: EmrSettings) -> list[Running]:
    """The stack's clusters and applications that have not ended.

    Raises:
        AwsError: they cannot be seen.
    """
    return [*Clusters(emr, log).running(), *running_applications(emr, log)]


def costs(emr: EmrSettings) -> list[tuple[Running, float | None]]:
    """As `running`, each with about what it cost so far (USD); None for an application, which is billed by its jobs."""
    hourly = of_cluster(emr, 0).hourly
    return [
        (one, hourly * one.hours if hourly is not None and one.cluster.startswith("j-") else None)
        for one in running(emr)
    ]


def end(emr: EmrSettings, name: str) -> None:
    """End a cluster (`j-…`), or stop and remove an application.

    Raises:
        AwsError: AWS refused it.
    """
    if name.startswith("j-"):
        Clusters(emr, log).end(name)
    else:
        Application(emr, log, application=name).remove()
