"""`fruits emr prices`: AWS's price list, by a server that answers GetProducts as AWS does, in small."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

from fruits.cli.emr import app
from fruits.emr.price import of_cluster
from fruits.emr.settings import load_emr_settings

PRICES = {
    ("AmazonEC2", "m5.xlarge"): 0.25,
    ("ElasticMapReduce", "m5.xlarge"): 0.05,
    ("AmazonEC2", "gp3"): 0.09,
    ("AmazonVPC", "EUW3-PublicIPv4:InUseAddress"): 0.006,
    ("ElasticMapReduce", "EUW3-EMR-SERVERLESS-vCPUHours"): 0.06318,
    ("ElasticMapReduce", "EUW3-EMR-SERVERLESS-MemoryGBHours"): 0.00689,
    ("ElasticMapReduce", "EUW3-EMR-SERVERLESS-ARM-vCPUHours"): 0.05,
    ("ElasticMapReduce", "EUW3-EMR-SERVERLESS-ARM-MemoryGBHours"): 0.005,
}
"""By service and what is asked for."""


class PriceList(BaseHTTPRequestHandler):
    """Products as the Price List Query API gives them: JSON, as text in JSON."""

    prices: ClassVar[dict[tuple[str, str], float]] = {}

    def do_POST(self) -> None:
        """One page with at most one product."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.headers["X-Amz-Target"].endswith(".GetProducts")
        assert "/us-east-1/pricing/" in self.headers["Authorization"]
        filters = {one["Field"]: one["Value"] for one in asked["Filters"]}
        assert filters["regionCode"] == "eu-west-3"
        name = next(filters[key] for key in ("instanceType", "volumeApiName", "usagetype") if key in filters)
        price = self.prices.get((asked["ServiceCode"], name))
        products = [] if price is None else [json.dumps(product(asked["ServiceCode"], name, price))]
        body = json.dumps({"FormatVersion": "aws_v1", "PriceList": products}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


def product(service: str, name: str, price: float) -> dict[str, Any]:
    """A product with its price on demand."""
    shape = {"vcpu": "4", "memory": "16 GiB", "physicalProcessor": "Intel Xeon", "usagetype": f"EUW3-BoxUsage:{name}"}
    dimension = {"unit": "Hrs", "beginRange": "0", "endRange": "Inf", "pricePerUnit": {"USD": f"{price:.10f}"}}
    return {
        "product": {"productFamily": "Compute Instance", "attributes": {"instanceType": name, **shape}, "sku": "S"},
        "serviceCode": service,
        "terms": {"OnDemand": {"S.T": {"sku": "S", "priceDimensions": {"S.T.R": dimension}}}},
        "publicationDate": "2026-11-20T00:00:00Z",
    }


@pytest.fixture
def price_list(no_stack: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[PriceList]]:
    """A list with every type of the table, and this user's folder for what is kept."""
    types = (
        "m5.2xlarge",
        "m5.4xlarge",
        "m6g.xlarge",
        "m6g.2xlarge",
        "m7g.xlarge",
        "c5.xlarge",
        "c5.2xlarge",
        "r5.xlarge",
    )
    others = {(service, name): 0.5 for service in ("AmazonEC2", "ElasticMapReduce") for name in types}
    monkeypatch.setattr(PriceList, "prices", {**PRICES, **others})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), PriceList)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", f"http://127.0.0.1:{server.server_port}")
    yield PriceList
    server.shutdown()
    server.server_close()


def test_refreshed_prices_are_those_of_estimates(price_list: type[PriceList]) -> None:
    """And the shipped ones stay for another region."""
    before = of_cluster(load_emr_settings(), 0)
    done = CliRunner().invoke(app, ["prices", "--refresh"])
    assert done.exit_code == 0, done.output
    found = of_cluster(load_emr_settings(root_gb=30), 0)
    nodes, disks, addresses = 3 * (0.25 + 0.05), 3 * (64 + 30) * 0.09 / 730, 3 * 0.006
    assert found.hourly == pytest.approx(nodes + disks + addresses)
    assert found.as_of > before.as_of
    other = of_cluster(load_emr_settings(region="eu-central-1"), 0)
    assert (other.hourly, other.as_of) == (before.hourly, before.as_of)


def test_table_is_shown_with_its_source_and_date(price_list: type[PriceList]) -> None:
    """Before and after, also as JSON."""
    shown = CliRunner().invoke(app, ["prices"])
    assert "USD in eu-west-3 on 2026-11-01: entered by hand" in shown.output
    CliRunner().invoke(app, ["prices", "--refresh"])
    found = json.loads(CliRunner().invoke(app, ["prices", "--format", "json"]).stdout)
    assert found["source"].startswith("AWS's Price List Query API")
    assert found["serverless"]["x86_64"] == {"vcpu": 0.06318, "gb": 0.00689}
    assert found["instances"]["m5.xlarge"] == {"vcpus": 4, "cores": 2, "gb": 16, "ec2": 0.25, "emr": 0.05}


def test_own_table_comes_before_what_was_kept(
    price_list: type[PriceList], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who wrote one means it."""
    CliRunner().invoke(app, ["prices", "--refresh"])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "prices.yaml").write_text("ipv4: 1.0\n")
    assert of_cluster(load_emr_settings(), 0).as_of == "2026-11-01"


def test_price_that_the_list_lacks_keeps_nothing(price_list: type[PriceList], tmp_path: Path) -> None:
    """One sentence, and the estimates stay as they were."""
    del price_list.prices["ElasticMapReduce", "m5.xlarge"]
    done = CliRunner().invoke(app, ["prices", "--refresh"])
    assert "has no ElasticMapReduce with regionCode eu-west-3, instanceType m5.xlarge" in str(done.exception)
    assert [*tmp_path.rglob("*.yaml")] == []
