"""AWS's own price list, asked for what the table of prices holds.

By the Price List Query API (`pricing:GetProducts`, which is free), and not by the bulk offer files: those of EC2 have
hundreds of megabytes for a region, and what is asked here some kilobytes. The service answers in us-east-1 for all.
"""

import json
import re
import time
from collections.abc import Iterable
from typing import Any

from fruits.emr.aws import AwsError, client, telling
from fruits.emr.price_table import Instance, Prices, Serverless, load_prices

SOURCE = "AWS's Price List Query API (pricing:GetProducts)"
_REGION = "us-east-1"
_PLAIN = {"operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used"}
"""What tells the plain on-demand instance from the same with other systems, software or reservations."""
_WORKERS = {"x86_64": "EMR-SERVERLESS-", "arm64": "EMR-SERVERLESS-ARM-"}
Product = dict[str, Any]


def fetch_prices(region: str, types: Iterable[str]) -> Prices:
    """The table of a region, of today; what Spot is assumed to cost stays as it was.

    Args:
        region: whose prices.
        types: instance types.

    Raises:
        AwsError: the list cannot be asked, or does not hold one of them.
    """
    before = load_prices(region)
    with telling("The price list cannot be asked (pricing:GetProducts, in us-east-1)"):
        instances = {name: _instance(region, name, before.instances.get(name)) for name in sorted(types)}
        prefix = _prefix(region, next(iter(instances)))
        disk = _only("AmazonEC2", {"regionCode": region, "productFamily": "Storage", "volumeApiName": "gp3"})
        address = _only("AmazonVPC", {"regionCode": region, "usagetype": f"{prefix}PublicIPv4:InUseAddress"})
        serverless = {name: _workers(region, prefix + usage) for name, usage in _WORKERS.items()}
    return before.model_copy(
        update={
            "as_of": time.strftime("%Y-%m-%d", time.gmtime()),
            "source": SOURCE,
            "region": region,
            "ipv4": _usd(address),
            "disk_gb_month": _usd(disk),
            "instances": instances,
            "serverless": serverless,
        }
    )


def _instance(region: str, name: str, before: Instance | None) -> Instance:
    product = _only("AmazonEC2", {"regionCode": region, "instanceType": name, **_PLAIN})
    emr = _only("ElasticMapReduce", {"regionCode": region, "instanceType": name, "softwareType": "EMR"})
    told = product["product"]["attributes"]
    vcpus = int(told["vcpu"])
    # The list does not say cores. Graviton's processors have a thread each, Intel's and most of AMD's two.
    cores = before.cores if before else vcpus // (1 if "Graviton" in told.get("physicalProcessor", "") else 2)
    memory = float(re.sub(r"[^0-9.]", "", told["memory"]))
    return Instance(vcpus=vcpus, cores=cores, gb=memory, ec2=_usd(product), emr=_usd(emr))


def _workers(region: str, usage: str) -> Serverless:
    asked = {"regionCode": region}
    vcpu = _only("ElasticMapReduce", {**asked, "usagetype": f"{usage}vCPUHours"})
    memory = _only("ElasticMapReduce", {**asked, "usagetype": f"{usage}MemoryGBHours"})
    return Serverless(vcpu=_usd(vcpu), gb=_usd(memory))


def _prefix(region: str, name: str) -> str:
    """What the region's kinds of usage begin with: `EUW3-` in Paris, nothing in us-east-1."""
    product = _only("AmazonEC2", {"regionCode": region, "instanceType": name, **_PLAIN})
    return str(product["product"]["attributes"]["usagetype"]).partition("BoxUsage")[0]


def _only(service: str, attributes: dict[str, str]) -> Product:
    """The product with these attributes that has a price on demand; the first of several that cost the same."""
    filters = [{"Type": "TERM_MATCH", "Field": key, "Value": value} for key, value in attributes.items()]
    pages = client("pricing", _REGION).get_paginator("get_products").paginate(ServiceCode=service, Filters=filters)
    products = [json.loads(one) for page in pages for one in page["PriceList"]]
    priced = [one for one in products if one["terms"].get("OnDemand")]
    shown = ", ".join(f"{key} {value}" for key, value in attributes.items())
    if not priced:
        raise AwsError(f"AWS's price list has no {service} with {shown}: is the type offered in that region?")
    if len({_usd(one) for one in priced}) > 1:
        raise AwsError(f"AWS's price list has {len(priced)} prices of {service} with {shown}, and none can be chosen.")
    return dict(priced[0])


def _usd(product: Product) -> float:
    """USD for a unit, on demand; of prices in steps the first."""
    (term, *_) = product["terms"]["OnDemand"].values()
    steps = sorted(term["priceDimensions"].values(), key=lambda one: float(one.get("beginRange", 0)))
    return float(steps[0]["pricePerUnit"]["USD"])
