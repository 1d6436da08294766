"""Buckets and objects in the box, made by AWS's own client."""

from pathlib import Path

import boto3

from tests.aws.inside import REGION


def make_bucket(name: str, region: str = REGION) -> None:
    """Make a bucket in a region."""
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    boto3.client("s3", region_name=region).create_bucket(Bucket=name, **place)


def fill(name: str, folder: str, prefix: str = "", region: str = REGION) -> None:
    """Put the files of a folder into a bucket, and those below it."""
    client = boto3.client("s3", region_name=region)
    for path in sorted(found for found in Path(folder).rglob("*") if found.is_file()):
        client.put_object(Bucket=name, Key=f"{prefix}{path.relative_to(folder).as_posix()}", Body=path.read_bytes())


def keys(name: str, prefix: str = "") -> list[str]:
    """The keys of a bucket's objects, all that begin with a prefix."""
    pages = boto3.client("s3", region_name=REGION).get_paginator("list_objects_v2")
    return [one["Key"] for page in pages.paginate(Bucket=name, Prefix=prefix) for one in page.get("Contents", ())]
