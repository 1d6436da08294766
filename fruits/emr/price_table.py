"""The dated table `conf/prices.yaml`: what instance types have, and what they cost."""

from pydantic import BaseModel, ConfigDict

from lakehouse.settings import load

PRICES_FILE = "conf/prices.yaml"


class Instance(BaseModel):
    """An instance type of EC2: processors, cores, memory (GiB), and USD an hour, for EC2 and for EMR beside it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    vcpus: int
    cores: int
    gb: float
    ec2: float
    emr: float

    @property
    def disk_gb(self) -> int:
        """GB of the volumes that EMR attaches by default, beside the root's: 32 GB for each two processors.

        (64 at xlarge, 128 at 2xlarge, …: "Default Amazon EBS storage for instances" of EMR's Management Guide.)
        """
        return 16 * self.vcpus


class _Serverless(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    vcpu: float
    gb: float


class Prices(BaseModel):
    """See `conf/prices.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)
    as_of: object
    source: str
    currency: str
    region: str
    spot_share: float
    ipv4: float
    disk_gb_month: float
    instances: dict[str, Instance]
    serverless: dict[str, _Serverless]


def load_prices() -> Prices:
    """The table that is shipped, or `conf/prices.yaml` under the working directory.

    Raises:
        SettingsError: it is no such table.
    """
    return load(Prices, PRICES_FILE, None, {})
