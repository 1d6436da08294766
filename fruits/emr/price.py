"""What a run costs, by a dated table of prices: an estimate, and none of AWS's."""

from dataclasses import dataclass

from fruits.catalog import Layer
from fruits.emr.price_table import Prices, load_prices
from fruits.emr.serverless_request import WORKER_GB, WORKER_VCPUS
from fruits.emr.settings import EmrSettings

_HOURS_A_MONTH = 730


@dataclass(frozen=True)
class Estimate:
    """How long a run takes, and what it costs.

    Attributes:
        hours: from the request to the cluster's end.
        billed: those of them that cost; on EMR Serverless no worker runs while a job waits for its start.
        hourly: USD an hour; None where an instance type is not in the table.
        as_of: the date of the table.
        region: whose prices these are.
    """

    hours: float | None
    billed: float | None
    hourly: float | None
    as_of: str
    region: str

    @property
    def price(self) -> float | None:
        """USD for the whole run."""
        return None if self.hourly is None or self.billed is None else self.hourly * self.billed


def of_cluster(emr: EmrSettings, photographs: int) -> Estimate:
    """The estimate of a run on a cluster with all its nodes from the start."""
    prices = load_prices(emr.region)
    workers = [(emr.core, emr.core_nodes), *([(emr.task_type, emr.task_nodes)] if emr.task_nodes else [])]
    hourly: float | None = None
    hours: float | None = None
    if all(name in prices.instances for name, _ in [(emr.primary, 1), *workers]):
        cores = sum(prices.instances[name].cores * count for name, count in workers)
        minutes = emr.start_minutes + len(Layer) * emr.step_minutes + _minutes(emr, photographs, cores)
        hours = minutes / 60
        nodes = [(emr.primary, 1), (emr.core, emr.core_nodes)]
        hourly = sum(_on_demand(prices, name) * count for name, count in nodes)
        hourly += _spot(prices, emr.task_type) * emr.task_nodes
        hourly += sum(_beside(emr, prices, name) * count for name, count in [(emr.primary, 1), *workers])
    return Estimate(hours, hours, hourly, str(prices.as_of), prices.region)


def of_serverless(emr: EmrSettings, photographs: int) -> Estimate:
    """The estimate of a run on EMR Serverless with all its workers busy, the driver's among them."""
    prices = load_prices(emr.region)
    workers = emr.serverless_vcpus // WORKER_VCPUS
    price = prices.serverless[emr.serverless_architecture]
    each = WORKER_VCPUS * price.vcpu + WORKER_GB * price.gb
    # A processor is a thread of a core on Intel's machines, and a core on Graviton.
    cores = (workers - 1) * WORKER_VCPUS // (1 if emr.serverless_architecture == "arm64" else 2)
    busy = (len(Layer) * emr.step_minutes + _minutes(emr, photographs, cores)) / 60
    waiting = len(Layer) * emr.serverless_start_minutes / 60
    return Estimate(waiting + busy, busy, workers * each, str(prices.as_of), prices.region)


def _minutes(emr: EmrSettings, photographs: int, cores: int) -> float:
    return photographs / (emr.images_per_second_per_core * cores) / 60


def _beside(emr: EmrSettings, prices: Prices, name: str) -> float:
    """A node's public address, if it has one, and its disks."""
    address = 0.0 if emr.service_access_security_group else prices.ipv4
    disks = prices.instances[name].disk_gb + emr.root_gb
    return address + disks * prices.disk_gb_month / _HOURS_A_MONTH


def _on_demand(prices: Prices, name: str) -> float:
    return prices.instances[name].ec2 + prices.instances[name].emr


def _spot(prices: Prices, name: str) -> float:
    return prices.instances[name].ec2 * prices.spot_share + prices.instances[name].emr
