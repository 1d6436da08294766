"""Buckets that are asked for in a way of their own: by the path, in another region, at a VPC's endpoint, at our cost.

And by anybody. The front refuses who does otherwise.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakehouse import storage
from lakehouse.errors import StorageError
from lakehouse.storage.access import Access, declare
from tests.aws.box import Box
from tests.aws.buckets import fill, make_bucket
from tests.aws.inside import REGION
from tests.aws.test_clients import OBSTORE, use_all
from tests.aws.test_life import Life, make_buckets

DOTTED, ELSEWHERE, PRIVATE = "fruits.with.dots", "fruits-elsewhere", "fruits-private"
OTHER_REGION = "eu-central-1"
ENDPOINT = f"bucket.vpce-0a1b2c3d-4e5f6a7b.s3.{REGION}.vpce.amazonaws.com"


def check_answers(answers: dict[str, Any]) -> None:
    """Each client did what it does elsewhere."""
    assert answers["boto3"]["written"] == [True, False, False]
    assert (answers["storage"]["written"], answers["storage"]["read"]) == ([True, False], "first")
    assert (answers["tables"]["rows"], answers["lease"]) == (7, ["leased/lease.json"])


def test_bucket_with_dots_stands_in_the_path(box: Box) -> None:
    """No certificate of AWS's covers it as a part of the host."""
    check_answers(box.call(use_all, DOTTED))
    asked = [(one["host"], one["region"]) for one in box.requests(DOTTED)]
    assert {*asked} == {(f"s3.{REGION}.amazonaws.com", REGION)}


def test_endpoint_of_a_vpc_is_the_only_one_that_is_asked(box: Box) -> None:
    """By all clients, named as AWS's tools have it."""
    check_answers(box.call(use_all, PRIVATE, AWS_ENDPOINT_URL_S3=f"https://{ENDPOINT}"))
    asked = {(one["host"].removeprefix(f"{PRIVATE}."), one["region"]) for one in box.requests(PRIVATE)}
    assert asked == {(ENDPOINT, REGION)}


@pytest.mark.slow  # what the clients are told for it is in tests/lakehouse/storage/test_s3.py
@pytest.mark.parametrize(
    ("bucket", "host"), [("fruits-named", f"s3.{REGION}.amazonaws.com"), ("fruits.named", "s3.amazonaws.com")]
)
def test_awss_own_name_may_be_given_as_the_endpoint(box: Box, bucket: str, host: str) -> None:
    """As if it were not: delta-rs and obstore read the variable by themselves, too, and must not take it as it is."""
    check_answers(box.call(use_all, bucket, AWS_ENDPOINT_URL=f"https://{host}"))
    ours = {one["host"] for one in box.requests(bucket) if one["agent"].startswith(OBSTORE)}
    assert ours == {f"s3.{REGION}.amazonaws.com" if "." in bucket else f"{bucket}.s3.{REGION}.amazonaws.com"}


def read_all(bucket: str, access: str) -> list[str]:
    """What is in a bucket, read file by file; or what is said instead."""
    declare(bucket, Access(access))
    try:
        return [storage.read_file(one.path).decode() for one in storage.list_files(f"s3://{bucket}", recursive=True)]
    except StorageError as error:
        return [str(error)]


def make_and_read_elsewhere(folder: str) -> list[str]:
    """The same for a bucket in another region."""
    make_bucket(ELSEWHERE, OTHER_REGION)
    fill(ELSEWHERE, folder, region=OTHER_REGION)
    return read_all(ELSEWHERE, Access.SIGNED)


@pytest.fixture
def letters(tmp_path: Path) -> str:
    """A folder of three files."""
    for letter in "abc":
        (tmp_path / letter).write_text(letter)
    return str(tmp_path)


def test_bucket_in_another_region_is_looked_for_once(box: Box, letters: str) -> None:
    """And then asked where it is, by the quick client, too."""
    assert box.call(make_and_read_elsewhere, letters) == ["a", "b", "c"]
    asked = [one for one in box.requests(ELSEWHERE) if one["agent"].startswith(OBSTORE)]
    there = (f"{ELSEWHERE}.s3.{OTHER_REGION}.amazonaws.com", OTHER_REGION, 200)
    assert [(one["host"], one["region"], one["status"]) for one in asked if one["status"] != 301] == [there] * 3
    assert {one["key"] for one in asked if one["status"] == 301} == {"a"}


def make_others(folder: str) -> None:
    """The bucket of somebody who lets us pay, and one that is open to anybody."""
    for name in ("somebodys", "anybodys"):
        make_bucket(name)
        fill(name, folder)


@pytest.fixture(scope="module")
def others(box: Box, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Buckets of others, with three files each."""
    folder = tmp_path_factory.mktemp("others")
    for letter in "abc":
        (folder / letter).write_text(letter)
    box.call(make_others, str(folder))
    box.tell("requester_pays", "somebodys")
    box.tell("public", "anybodys")
    yield
    box.tell("requester_pays")
    box.tell("public")


def test_bucket_of_somebody_who_lets_us_pay_is_told_that_we_do(box: Box, others: None) -> None:
    """By each request; else it refuses."""
    (said,) = box.call(read_all, "somebodys", Access.SIGNED)
    assert "AccessDenied" in said
    assert box.call(read_all, "somebodys", Access.REQUESTER_PAYS) == ["a", "b", "c"]
    quick = [one["key"] for one in box.requests("somebodys") if one["agent"].startswith(OBSTORE)]
    assert quick == ["a", "b", "c"]


def test_bucket_open_to_anybody_needs_no_credentials(box: Box, others: None) -> None:
    """Where there are none, too: none are looked for."""
    box.tell("be_silent")
    try:
        assert box.call(read_all, "anybodys", Access.PUBLIC) == ["a", "b", "c"]
    finally:
        box.tell("speak")
    read = [one for one in box.requests("anybodys") if one["method"] == "GET"]
    assert {one["service"] for one in read} == {""}
    assert len(read) == 4


@pytest.mark.slow
@pytest.mark.parametrize(("bucket", "access"), [("payers", "requester_pays"), ("publics", "public")])
def test_photographs_of_others_are_read_into_a_lake_of_ones_own(
    box: Box, twelve: str, bucket: str, access: str
) -> None:
    """By the setting, in worker processes, too; the lake's requests are signed, and at its owner's cost."""
    box.call(make_buckets, bucket, f"{bucket}-lake", twelve)
    box.tell("requester_pays" if access == "requester_pays" else "public", bucket)
    life = Life(box, f"s3://{bucket}", f"s3://{bucket}-lake/lake", FRUITS_IMAGES_ACCESS=access)
    assert life.found("bronze", images=True)["bronze"]["ingested"] == 12
    assert life.found("bronze", images=True)["bronze"]["unchanged"] == 12
    assert {one["service"] for one in box.requests(f"{bucket}-lake")} == {"s3"}
