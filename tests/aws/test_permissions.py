"""What is refused, as S3 refuses it, and what is said then."""

import json

import boto3
import pytest

from lakehouse import storage
from lakehouse.errors import StorageError
from tests.aws.box import Box
from tests.aws.buckets import make_bucket
from tests.aws.inside import REGION
from tests.aws.needed import NOT_SEEN, check_needed

BUCKET = "fruits-refusing"
MAY_NOT_LIST, MAY_LIST = "may-not-list", "may-list"


def make_roles() -> None:
    """A bucket with an object, and two roles that may read and write below a prefix; one may also list there."""
    make_bucket(BUCKET)
    boto3.client("s3", region_name=REGION).put_object(Bucket=BUCKET, Key="lake/there", Body=b"yes")
    place = f"arn:aws:s3:::{BUCKET}"
    read = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": f"{place}/lake/*"}
    below = {"StringLike": {"s3:prefix": "lake/*"}}
    listed = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": place, "Condition": below}
    client = boto3.client("iam", region_name=REGION)
    for name, statements in ((MAY_NOT_LIST, [read]), (MAY_LIST, [read, listed])):
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        client.create_role(RoleName=name, AssumeRolePolicyDocument=document)
        client.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=document)


def look_around() -> dict[str, object]:
    """What `lakehouse.storage` says of an object that is there, one that is not, and one out of reach."""
    store = storage.object_storage(f"s3://{BUCKET}")
    assert store is not None
    said: dict[str, object] = {"there": storage.read_file(f"s3://{BUCKET}/lake/there").decode()}
    for name, key in (("missing", "lake/missing"), ("beyond", "other/file")):
        try:
            said[name] = store.read_object(f"s3://{BUCKET}/{key}")
        except StorageError as error:
            said[name] = str(error)
    return said


def test_missing_object_is_refused_to_whoever_may_not_list(box: Box) -> None:
    """S3 does not tell what is there to whom it may not be told; what is said names the permission."""
    box.call(make_roles)
    with box.role(MAY_LIST):
        found = box.call(look_around)
    assert (found["there"], found["missing"]) == ("yes", None)
    assert "not authorized to perform: s3:GetObject" in found["beyond"]
    with box.role(MAY_NOT_LIST):
        found = box.call(look_around)
        done = box.fruits("sql", "SELECT 1", "--lake", f"s3://{BUCKET}/lake")
    assert found["there"] == "yes"
    assert f"s3://{BUCKET}/lake/missing is out of reach" in found["missing"]
    assert "not authorized to perform: s3:ListBucket" in found["missing"]
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert "s3:ListBucket" in line
    assert {one["refused"]["action"] for one in box.requests(BUCKET) if one["refused"]} >= {"s3:ListBucket"}


def test_action_that_nothing_uses_is_named() -> None:
    """And one that has become used, or is allowed no more, has no reason to be on the list."""
    unseen = [*NOT_SEEN]
    check_needed([*unseen, ("Lake", "s3:GetObject")], [("Lake", "s3:GetObject")])
    with pytest.raises(AssertionError, match="s3:PutObjectAcl"):
        check_needed([*unseen, ("Lake", "s3:PutObjectAcl")], [])
    with pytest.raises(AssertionError, match="kms:Encrypt"):
        check_needed(unseen, [("UseKey", "kms:Encrypt")])
