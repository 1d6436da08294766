"""The dated table of what instance types have, and what they cost: `conf/prices.yaml`, or AWS's own list, kept."""

from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from lakehouse.settings import load, to_yaml
from lakehouse.user_folders import cache_folder

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


class Serverless(BaseModel):
    """EMR Serverless: USD for a vCPU and for a GB of memory, each an hour."""

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
    serverless: dict[str, Serverless]


def load_prices(region: str) -> Prices:
    """The table: `conf/prices.yaml` under the working directory, else what was kept of the region, else the shipped.

    Raises:
        SettingsError: it is no such table.
    """
    kept = kept_prices(region)
    return load(Prices, PRICES_FILE, kept if kept.is_file() and not _has_own() else None, {})


def _has_own() -> bool:
    """Whether the working directory has a table that is not the shipped one, which a clone of the project has, too."""
    own, shipped = Path(PRICES_FILE), files("lakehouse.conf").joinpath("prices.yaml")
    return own.is_file() and own.read_bytes() != shipped.read_bytes()


def keep_prices(prices: Prices) -> Path:
    """Keep a table for this user's estimates; returns the file."""
    file = kept_prices(prices.region)
    file.parent.mkdir(parents=True, exist_ok=True)
    before = file.with_suffix(".new")
    before.write_text(to_yaml(prices.model_dump(mode="json")))
    before.replace(file)  # at once: an estimate may be made meanwhile
    return file


def kept_prices(region: str) -> Path:
    """The file of a region's prices as AWS's list had them; it may be deleted at any time."""
    return cache_folder() / f"prices-{region}.yaml"
