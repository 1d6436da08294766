"""Each client of S3 that we use, under AWS's own names: listing, reading, conditional writing.

What is written down of a request tells how it was addressed. The functions that are called in the box say what each
client answers.
"""

from typing import Any

import boto3
import pytest

from lakehouse import storage
from lakehouse.engine.local.engine import LocalEngine
from lakehouse.errors import LeaseHeldError
from lakehouse.lease import open_lease
from lakehouse.progress import NullProgress
from lakehouse.storage import aws
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from tests.aws.box import Box
from tests.aws.buckets import keys, make_bucket
from tests.aws.inside import REGION
from tests.lakehouse.engine.fruit import FRUIT, fruit

OBSTORE = "object_store"
"""How its requests name the client."""


def use_boto3(bucket: str) -> dict[str, Any]:
    """AWS's own client."""
    client = boto3.client("s3", region_name=REGION)

    def written(**condition: str) -> bool:
        try:
            client.put_object(Bucket=bucket, Key="boto3/a b.txt", Body=b"first", **condition)
        except client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "PreconditionFailed":
                raise
            return False
        return True

    return {
        "written": [written(IfNoneMatch="*"), written(IfNoneMatch="*"), written(IfMatch='"other"')],
        "listed": [one["Key"] for one in client.list_objects_v2(Bucket=bucket, Prefix="boto3/")["Contents"]],
        "read": client.get_object(Bucket=bucket, Key="boto3/a b.txt")["Body"].read().decode(),
    }


def use_storage(bucket: str) -> dict[str, Any]:
    """`lakehouse.storage`, which asks by obstore where it can."""
    folder = f"s3://{bucket}/storage"
    uri = f"{folder}/pêche +%20.txt"
    written = [storage.write_new_file(uri, text) for text in (b"first", b"second")]
    with storage.create_file(f"{folder}/streamed") as file:
        file.write(b"x" * 100)
    with storage.open_file(f"{folder}/streamed") as file:
        file.seek(90)
        tail = len(file.read())
    return {
        "written": written,
        "listed": [one.path for one in storage.list_files(folder, recursive=True)],
        "read": storage.read_file(uri).decode(),
        "tail": tail,
        "folders": storage.list_folders(f"s3://{bucket}"),
    }


def use_tables(bucket: str) -> dict[str, Any]:
    """delta-rs for the log, our own files for rows, DuckDB for SQL over them."""
    lake = Lake(f"s3://{bucket}/tables")
    delta.create(lake, [FRUIT])
    engine = LocalEngine(lake, NullProgress())
    try:
        for first in (0, 3):
            added = fruit(*((f"{number}.png", "aa", number) for number in range(first, first + 3)))
            engine.append(engine.of(added), FRUIT)
        changed = fruit(("5.png", "bb", 50), ("6.png", "bb", 60))
        counts = engine.merge(engine.of(changed), FRUIT)
        summed = engine.sql("SELECT sum(batch) AS total FROM fruit", fruit=engine.rows(FRUIT, ["batch"]))
        total = engine.arrow(summed).column("total")[0].as_py()
    finally:
        engine.close()
    rows = delta.existing(lake, FRUIT).to_pyarrow_table().num_rows
    return {"rows": rows, "total": int(total), "merged": [counts.inserted, counts.updated]}


def use_lease(bucket: str) -> list[str]:
    """The lease, which stands on conditional writes: one at a time."""
    lake = f"s3://{bucket}/leased"
    with open_lease(lake):
        try:
            open_lease(lake).acquire()
        except LeaseHeldError:
            return keys(bucket, "leased/")
    return []


BUCKET = "fruits-clients"
CLIENTS = {"boto3": use_boto3, "storage": use_storage, "tables": use_tables, "lease": use_lease}


def use_all(bucket: str) -> dict[str, Any]:
    """All of them, in one process."""
    make_bucket(bucket)
    return {name: use(bucket) for name, use in CLIENTS.items()}


@pytest.fixture(scope="module")
def answers(box: Box) -> dict[str, Any]:
    """By client, what it answered."""
    answers: dict[str, Any] = box.call(use_all, BUCKET)
    return answers


def seen(box: Box, bucket: str, prefix: str) -> list[dict[str, Any]]:
    """What was asked of objects with a prefix; each by AWS's name for the bucket, signed for its region."""
    found = [one for one in box.requests(bucket) if one["key"].startswith(prefix)]
    assert {(one["host"], one["region"]) for one in found} == {(f"{bucket}.s3.{REGION}.amazonaws.com", REGION)}
    return found


def test_boto3(box: Box, answers: dict[str, Any]) -> None:
    """What the others are held against."""
    found = answers["boto3"]
    assert found == {"written": [True, False, False], "listed": ["boto3/a b.txt"], "read": "first"}
    assert len([one for one in seen(box, BUCKET, "boto3/") if one["condition"]]) == 3


def test_storage(box: Box, answers: dict[str, Any]) -> None:
    """Names as they are, and not by boto3 where obstore can."""
    found = answers["storage"]
    folder = f"s3://{BUCKET}/storage"
    assert found["written"] == [True, False]
    assert found["listed"] == [f"{folder}/pêche +%20.txt", f"{folder}/streamed"]
    assert (found["read"], found["tail"]) == ("first", 10)
    assert folder in found["folders"]
    asked = seen(box, BUCKET, "storage/")
    assert {one["condition"] for one in asked if one["method"] == "PUT"} == {"IF_NONE_MATCH", ""}
    assert {one["agent"].partition("/")[0] for one in asked if one["method"] == "GET"} == {OBSTORE}


def test_tables(box: Box, answers: dict[str, Any]) -> None:
    """Commits are conditional; DuckDB is given what we have read."""
    assert answers["tables"] == {"rows": 7, "total": 0 + 1 + 2 + 3 + 4 + 50 + 60, "merged": [1, 1]}
    commits = [one for one in seen(box, BUCKET, "tables/garden/fruit/_delta_log/0") if one["method"] == "PUT"]
    assert [one["condition"] for one in commits] == ["IF_NONE_MATCH"] * 4


def test_lease(box: Box, answers: dict[str, Any]) -> None:
    """Whoever comes second is refused."""
    assert answers["lease"] == ["leased/lease.json"]
    assert {one["condition"] for one in seen(box, BUCKET, "leased/") if one["method"] == "PUT"} >= {"IF_NONE_MATCH"}


def use_storage_as_it_was(bucket: str) -> dict[str, Any]:
    """`lakehouse.storage` with the fault that no photograph on AWS could be read by: AWS's own host as an endpoint."""
    aws._endpoint = lambda *_: f"https://s3.{REGION}.amazonaws.com"  # type: ignore[assignment]
    return use_storage(bucket)


def test_endpoint_given_for_awss_own_host_is_noticed(box: Box) -> None:
    """What the others expect of a request does not hold then: the bucket stands in the path."""
    box.call(make_bucket, "fruits-faulty")
    box.call(use_storage_as_it_was, "fruits-faulty")
    with pytest.raises(AssertionError, match=f"s3.{REGION}.amazonaws.com"):
        seen(box, "fruits-faulty", "storage/")
