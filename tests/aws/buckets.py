"""Buckets and objects in the box, made by AWS's own client."""

from collections.abc import Iterable
from pathlib import Path

import boto3

from tests.aws.inside import REGION


def make_bucket(name: str, region: str = REGION, folder: str | None = None) -> None:
    """Make a bucket in a region, with the files of a folder as its objects."""
    client = boto3.client("s3", region_name=region)
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    client.create_bucket(Bucket=name, **place)
    for path in _files(folder):
        client.put_object(Bucket=name, Key=path.relative_to(str(folder)).as_posix(), Body=path.read_bytes())


def keys(name: str, prefix: str = "") -> list[str]:
    """The keys of a bucket's objects, all that begin with a prefix."""
    pages = boto3.client("s3", region_name=REGION).get_paginator("list_objects_v2")
    return [one["Key"] for page in pages.paginate(Bucket=name, Prefix=prefix) for one in page.get("Contents", ())]


def _files(folder: str | None) -> Iterable[Path]:
    return [path for path in sorted(Path(folder).rglob("*")) if path.is_file()] if folder else []
