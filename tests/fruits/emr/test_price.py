"""What a run is estimated to take and to cost."""

import pytest

from fruits.emr.plan import plan
from fruits.emr.price import of_cluster, of_serverless
from fruits.emr.price_table import load_prices
from fruits.emr.settings import EmrSettings, load_emr_settings


def estimated(emr: EmrSettings, photographs: int) -> tuple[float, float, float]:
    """The hours that a plan tells, the price, and the price an hour."""
    found = plan(emr, photographs, serverless=False)
    assert found["hours"] is not None
    assert found["price"] is not None
    assert found["hourly_price"] is not None
    return found["hours"], found["price"], found["hourly_price"]


def test_estimate_grows_with_the_photographs_and_shrinks_with_the_nodes() -> None:
    """By the measured rate: n photographs more take n / (rate × cores) seconds more; an Intel core is two vCPUs."""
    emr = load_emr_settings()
    few, _, _ = estimated(emr, 0)
    many, price, hourly = estimated(emr, 1_000_000)
    assert (many - few) * 3600 == pytest.approx(1_000_000 / (emr.images_per_second_per_core * 2 * 2))
    wide, _, wide_hourly = estimated(load_emr_settings(core_nodes=20), 1_000_000)
    assert wide < many / 4
    assert price == pytest.approx(hourly * many)
    assert wide_hourly > 6 * hourly


def test_estimate_counts_a_start_for_each_step() -> None:
    """Each starts Spark on YARN anew; before that the nodes come."""
    emr = load_emr_settings(start_minutes=8, step_minutes=2)
    assert of_cluster(emr, 0).hours == pytest.approx((8 + 3 * 2) / 60)


def test_price_has_the_addresses_and_the_disks() -> None:
    """Of three nodes: 64 GB of volumes and the root's each, and a public address, which a private subnet saves."""
    prices, emr = load_prices("eu-west-3"), load_emr_settings(root_gb=30)
    nodes = 3 * (prices.instances["m5.xlarge"].ec2 + prices.instances["m5.xlarge"].emr)
    disks = 3 * (64 + 30) * prices.disk_gb_month / 730
    assert of_cluster(emr, 0).hourly == pytest.approx(nodes + disks + 3 * 0.005)
    private = emr.model_copy(update={"service_access_security_group": "sg-1"})
    assert of_cluster(private, 0).hourly == pytest.approx(nodes + disks)


def test_serverless_costs_nothing_while_a_job_waits_for_its_workers() -> None:
    """And less on Graviton, whose processors are cores."""
    emr = load_emr_settings(serverless_start_minutes=2)
    slow = load_emr_settings(serverless_start_minutes=9)
    found, later = of_serverless(emr, 22_700), of_serverless(slow, 22_700)
    assert (later.hours or 0) - (found.hours or 0) == pytest.approx(21 / 60)
    assert found.price == later.price
    graviton = of_serverless(load_emr_settings(serverless_architecture="arm64"), 22_700)
    assert 0 < (graviton.hourly or 0) < (found.hourly or 0)
    assert 0 < (graviton.billed or 0) < (found.billed or 0)
