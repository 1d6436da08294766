"""What a cluster costs, by the dated table `conf/prices.yaml`: an estimate, and none of AWS's."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from fruits.emr.request import WORKER_GB, WORKER_VCPUS
from fruits.emr.settings import EmrSettings
from lakehouse.settings import load

_FILE = "conf/prices.yaml"


class _Instance(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    vcpus: int
    ec2: float
    emr: float


class _Serverless(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    vcpu: float
    gb: float


class Prices(BaseModel):
    """See `conf/prices.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)
    as_of: object
    currency: str
    region: str
    spot_share: float
    instances: dict[str, _Instance]
    serverless: _Serverless


@dataclass(frozen=True)
class Estimate:
    """How long a run takes, and what it costs.

    Attributes:
        hours: from the request to the cluster's end.
        hourly: USD an hour; None where an instance type is not in the table.
        as_of: the date of the table.
        region: whose prices these are.
    """

    hours: float | None
    hourly: float | None
    as_of: str
    region: str

    @property
    def price(self) -> float | None:
        """USD for the whole run."""
        return None if self.hourly is None or self.hours is None else self.hourly * self.hours


def load_prices() -> Prices:
    """The table that is shipped, or `conf/prices.yaml` under the working directory.

    Raises:
        SettingsError: it is no such table.
    """
    return load(Prices, _FILE, None, {})


def of_cluster(emr: EmrSettings, photographs: int) -> Estimate:
    """The estimate of a run on a cluster with all its nodes from the start."""
    prices = load_prices()
    workers = [(emr.core, emr.core_nodes), *([(emr.task_type, emr.task_nodes)] if emr.task_nodes else [])]
    hourly: float | None = None
    hours: float | None = None
    if all(name in prices.instances for name, _ in [(emr.primary, 1), *workers]):
        vcpus = sum(prices.instances[name].vcpus * count for name, count in workers)
        hours = _hours(emr, photographs, vcpus)
        hourly = _full(prices, emr.primary) + _full(prices, emr.core) * emr.core_nodes
        hourly += _spot(prices, emr.task_type) * emr.task_nodes
    return Estimate(hours, hourly, str(prices.as_of), prices.region)


def of_serverless(emr: EmrSettings, photographs: int) -> Estimate:
    """The estimate of a run on EMR Serverless with all its workers busy, the driver's among them."""
    prices = load_prices()
    workers = emr.serverless_vcpus // WORKER_VCPUS
    each = WORKER_VCPUS * prices.serverless.vcpu + WORKER_GB * prices.serverless.gb
    hours = _hours(emr, photographs, (workers - 1) * WORKER_VCPUS)
    return Estimate(hours, workers * each, str(prices.as_of), prices.region)


def _hours(emr: EmrSettings, photographs: int, vcpus: int) -> float:
    return (emr.start_minutes + photographs / (emr.images_per_second_per_core * vcpus) / 60) / 60


def _full(prices: Prices, name: str) -> float:
    return prices.instances[name].ec2 + prices.instances[name].emr


def _spot(prices: Prices, name: str) -> float:
    return prices.instances[name].ec2 * prices.spot_share + prices.instances[name].emr
