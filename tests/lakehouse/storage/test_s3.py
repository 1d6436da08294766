"""Storage on S3: a real server, keys as they are, and errors that say what to do."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber
from deltalake import DeltaTable

from bronze.tables import IMAGES
from lakehouse import storage
from lakehouse.errors import StorageError
from lakehouse.storage.aws import check_region, shared_client
from lakehouse.storage.uri import absolute_uri
from lakehouse.tables import delta
from tests.lakehouse.s3server import KEY, Proxy
from tests.lakehouse.storage.test_storage import ODD_NAMES


@pytest.mark.parametrize("uri", ["s3://b/a/c", "s3a://b/a/c", "s3n://b/a/c", "s3://b/a/c/", "s3a://b/a/c//"])
def test_folder_on_s3_is_named_in_one_way(uri: str) -> None:
    """Whatever Hadoop calls its client, and with or without a slash at the end."""
    assert absolute_uri(uri) == "s3://b/a/c"


def test_bucket_may_be_the_folder_and_must_have_a_name() -> None:
    """All keys lie in a bucket."""
    assert absolute_uri("s3://b/") == "s3://b"
    with pytest.raises(ValueError, match="a bucket's name is needed"):
        absolute_uri("s3://")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_key_is_kept_as_it_is(s3: Any, bucket: str, name: str) -> None:
    """The URI ends in the key itself, nothing encoded, and reads, finds and removes the object."""
    s3.put_object(Bucket=bucket, Key=f"p/{name}", Body=name.encode())
    (file,) = storage.list_files(f"s3://{bucket}/p", recursive=True)
    assert file.path == f"s3://{bucket}/p/{name}"
    assert (file.length, file.rule) == (len(name.encode()), None)
    assert storage.read_file(file.path) == name.encode()
    with storage.open_file(file.path) as opened:
        assert opened.read() == name.encode()
    assert storage.exists(file.path)
    storage.remove_file(file.path)
    assert not storage.exists(file.path)


def test_folders_are_what_slashes_make_of_keys(s3: Any, bucket: str) -> None:
    """Sorted; without `recursive` the files of the folder alone; a key that ends with a slash is no file."""
    for key in ("p/b/c/2.jpg", "p/a/1.jpg", "p/0.jpg", "p/e/", "pa/9.jpg"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    root = f"s3://{bucket}/p"
    assert storage.list_folders(root) == [f"{root}/a", f"{root}/b", f"{root}/e"]
    assert [file.path for file in storage.list_files(root, recursive=False)] == [f"{root}/0.jpg"]
    found = {file.path for file in storage.list_files(root, recursive=True)}
    assert found == {f"{root}/{name}" for name in ("0.jpg", "a/1.jpg", "b/c/2.jpg")}
    assert storage.list_folders(f"s3://{bucket}") == [root, f"s3://{bucket}/pa"]


def test_listing_goes_on_after_a_thousand_keys(s3: Any, bucket: str) -> None:
    """S3 answers a thousand at a time."""
    for number in range(1001):
        s3.put_object(Bucket=bucket, Key=f"p/{number}", Body=b"")
    assert len({file.path for file in storage.list_files(f"s3://{bucket}/p", recursive=False)}) == 1001


def test_file_is_written_whole_and_again(s3: Any, bucket: str) -> None:
    """The second content takes the first one's place, and its time is now."""
    uri = f"s3://{bucket}/models/x.tflite"
    storage.write_file(uri, b"first")
    storage.write_file(uri, b"second, longer")
    assert storage.read_file(uri) == b"second, longer"
    assert storage.read_file(uri, 6) == b"second"
    (file,) = storage.list_files(f"s3://{bucket}/models", recursive=False)
    age = datetime.now(UTC).timestamp() - file.modified / 1e6
    assert -2 < age < 60


def test_removing_what_is_not_there_is_no_error(bucket: str) -> None:
    """As on a disk."""
    storage.remove_file(f"s3://{bucket}/nothing")


def test_empty_folder_is_an_error_not_an_empty_folder(bucket: str) -> None:
    """S3 has no empty folders: a wrong name must not look like photographs that were all removed."""
    with pytest.raises(StorageError, match=r"folder s3://.*/none cannot be listed: there is nothing"):
        storage.list_folders(f"s3://{bucket}/none")


def test_missing_object_is_one_files_error(bucket: str) -> None:
    """The next file may be readable, as on a disk."""
    with pytest.raises(FileNotFoundError):
        storage.read_file(f"s3://{bucket}/none.jpg")


def test_missing_bucket_is_named_with_what_to_do(s3: Any) -> None:
    """For whatever is asked of it: no file is put into quarantine for it."""
    for ask in (storage.list_folders, storage.read_file, storage.exists, storage.remove_file):
        if ask is storage.exists:
            continue  # a HEAD's answer has no words: 404 is all that S3 says
        with pytest.raises(StorageError, match=r"s3://no-such-bucket/p.* Create the bucket, or name another one"):
            ask("s3://no-such-bucket/p")
    with pytest.raises(StorageError, match="Create the bucket"):
        storage.write_file("s3://no-such-bucket/p", b"")


def test_wrong_credentials_are_nobodys_file(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing or a write that is refused says which permissions are needed."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    with pytest.raises(StorageError, match=r"cannot be listed: .*SignatureDoesNotMatch.* credentials must be valid"):
        storage.list_folders(f"s3://{bucket}/p")
    with pytest.raises(StorageError, match="credentials must be valid, and allow s3:GetObject"):
        storage.write_file(f"s3://{bucket}/p/x", b"")
    with pytest.raises(StorageError, match="credentials must be valid"):
        storage.read_file(f"s3://{bucket}/p/x")


def test_no_credentials_at_all_say_how_to_give_some(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 has looked everywhere."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StorageError, match=r"Unable to locate credentials.* Set AWS_PROFILE, or AWS_ACCESS_KEY_ID"):
        storage.list_folders(f"s3://{bucket}/p")


def test_lake_in_another_region_is_named_with_the_region(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 goes there by itself; delta-rs and Spark do not."""
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    with pytest.raises(StorageError, match=rf"{bucket} is in the region us-east-1, and eu-west-3 is set"):
        delta.open_table(delta.Lake(f"s3://{bucket}/lake"), IMAGES)


@pytest.mark.parametrize("region", ["us-east-1", None])
def test_bucket_that_may_not_be_asked_for_tells_its_region_all_the_same(
    monkeypatch: pytest.MonkeyPatch, region: str | None
) -> None:
    """HeadBucket names no prefix: a role that lists some prefixes alone gets 403, with the region in its headers."""
    for name, value in {"AWS_REGION": "eu-west-3", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}.items():
        monkeypatch.setenv(name, value)
    refused = Stubber(shared_client())
    headers = {"HTTPHeaders": {"x-amz-bucket-region": region} if region else {}}
    refused.add_client_error("head_bucket", "403", "Forbidden", http_status_code=403, response_meta=headers)
    with refused:
        if region is None:
            check_region("s3://fruits/lake")
        else:
            with pytest.raises(StorageError, match="fruits is in the region us-east-1, and eu-west-3 is set"):
                check_region("s3://fruits/lake")


def test_region_is_asked_for_as_other_tools_are(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`AWS_REGION` counts, which boto3 by itself passes over."""
    from lakehouse.storage import aws as client

    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    assert client.session().region_name == client.shared_client().meta.region_name == "eu-west-3"
    assert client.delta_options("s3://bucket/lake")["aws_region"] == "eu-west-3"
    assert client.hadoop_options()["spark.hadoop.fs.s3a.endpoint.region"] == "eu-west-3"


def test_all_libraries_are_told_the_same(s3: Any, bucket: str) -> None:
    """Credentials and endpoint as boto3 finds them, for delta-rs and Hadoop."""
    from lakehouse.storage import aws as client

    endpoint = s3.meta.endpoint_url
    told = client.delta_options("s3://bucket/lake")
    assert (told["aws_endpoint"], told["aws_allow_http"], told["aws_access_key_id"]) == (endpoint, "true", KEY)
    assert client.hadoop_options()["spark.hadoop.fs.s3a.endpoint"] == endpoint


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> str:
    """AWS's own S3 in a region, by nothing but the region and credentials, and a network that leads nowhere."""
    for name in [*os.environ]:
        if name.startswith("AWS_") or name.lower() in ("no_proxy", "https_proxy", "all_proxy"):
            monkeypatch.delenv(name)
    told = {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": "eu-west-3",
        "HTTPS_PROXY": "http://127.0.0.1:9",  # nobody listens there
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return told["AWS_REGION"]


def endpoints() -> dict[str, str | None]:
    """The endpoint that each library is told, None where it is to find AWS's own; and that each takes what it is told.

    Made is each of them, and for a bucket in AWS's region; none of them can get there.
    """
    from lakehouse.storage import aws as client

    store = client.object_store("bkt")
    assert store.config["region"] == "eu-west-3"
    options, hadoop = client.delta_options("s3://bkt/lake"), client.hadoop_options()
    assert (options["aws_region"], hadoop["spark.hadoop.fs.s3a.endpoint.region"]) == ("eu-west-3", "eu-west-3")
    with pytest.raises(OSError, match="error sending request"):
        DeltaTable("s3://bkt/table", storage_options={**options, "max_retries": "0"})
    hadoops = hadoop.get("spark.hadoop.fs.s3a.endpoint")
    assert hadoop.get("spark.hadoop.fs.s3a.path.style.access") == (hadoops and "true")
    return {
        "obstore": store.config.get("endpoint"),
        "delta-rs": options.get("aws_endpoint"),
        "Hadoop": hadoops,
    }


def test_name_that_the_region_gives_is_left_to_each_library(aws: str) -> None:
    """None is bound to one address."""
    assert set(endpoints().values()) == {None}


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
@pytest.mark.parametrize(
    "endpoint",
    ["https://s3.eu-west-3.amazonaws.com", "https://s3.eu-west-3.amazonaws.com/", "https://s3.amazonaws.com"],
)
def test_name_that_the_region_gives_may_be_given_too(
    aws: str, monkeypatch: pytest.MonkeyPatch, variable: str, endpoint: str
) -> None:
    """Who reads the variable by itself would take it for the bucket's host, and is told that."""
    monkeypatch.setenv(variable, endpoint)
    host = "https://bkt.s3.eu-west-3.amazonaws.com"
    assert endpoints() == {"obstore": host, "delta-rs": host, "Hadoop": None}


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://bucket.vpce-0a1b2c3d-4e5f6a7b.s3.eu-west-3.vpce.amazonaws.com",
        "https://s3.dualstack.eu-west-3.amazonaws.com",
        "https://minio.example.org:9000",
    ],
)
def test_name_that_was_chosen_is_kept_also_one_of_awss(
    aws: str, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    """A VPC's endpoint is the only way there from a network without Internet."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    assert set(endpoints().values()) == {endpoint}


def test_name_of_a_profile_or_for_fips_is_kept(aws: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """boto3 finds an endpoint in more places than the environment, and the others are told."""
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    assert set(endpoints().values()) == {"https://s3-fips.eu-west-3.amazonaws.com"}
    monkeypatch.delenv("AWS_USE_FIPS_ENDPOINT")
    profile = tmp_path / "config"
    profile.write_text("[default]\nendpoint_url = https://minio.example.org\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(profile))
    assert set(endpoints().values()) == {"https://minio.example.org"}


def test_photograph_on_aws_that_is_out_of_reach_is_the_networks_fault(aws: str) -> None:
    """Not this program's: the quick client can be made for AWS's own S3."""
    with pytest.raises(StorageError, match=r"s3://bkt/a\.png is out of reach: .* Check the network"):
        storage.read_file("s3://bkt/a.png", 100)


def test_server_that_asks_for_patience_gets_it(proxy: Proxy, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 SlowDown is asked again, for reads and writes."""
    storage.write_file(f"s3://{bucket}/x", b"content")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    proxy.reading.extend(["503", "503"])
    assert storage.read_file(f"s3://{bucket}/x") == b"content"
    proxy.faults.extend(["503"])
    storage.write_file(f"s3://{bucket}/x", b"other")
    assert storage.read_file(f"s3://{bucket}/x") == b"other"
    assert not proxy.reading
    assert not proxy.faults


def test_answer_that_breaks_off_is_never_a_shorter_file(
    proxy: Proxy, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked for again; and where it always breaks off, it is an error of all reading, not this file's."""
    storage.write_file(f"s3://{bucket}/x", b"content" * 1000)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    proxy.reading.extend(["cut", "cut"])
    assert storage.read_file(f"s3://{bucket}/x", 10_000) == b"content" * 1000
    proxy.reading.extend(["cut"] * 50)
    with pytest.raises(StorageError, match="is out of reach"):
        storage.read_file(f"s3://{bucket}/x", 10_000)


def test_file_on_s3_is_read_in_any_order(bucket: str) -> None:
    """As Parquet's reader does: from its end first; nothing is behind the end."""
    uri = f"s3://{bucket}/p/file"
    storage.write_file(uri, bytes(range(200)))
    with storage.open_file(uri) as file:
        assert (file.seek(-4, os.SEEK_END), bytes(file.read(2)), bytes(file.read())) == (196, b"\xc4\xc5", b"\xc6\xc7")
        assert (file.read(1), file.seek(10), bytes(file.read(1)), file.tell()) == (b"", 10, b"\x0a", 11)
        assert (file.seek(5, os.SEEK_CUR), bytes(file.read(1))) == (16, b"\x10")


def test_file_on_s3_is_there_when_it_is_closed(bucket: str) -> None:
    """Whole, in parts where it is large; before that there is none."""
    uri, content = f"s3://{bucket}/p/file", os.urandom(25 << 20)
    with storage.create_file(uri) as file:
        for at in range(0, len(content), 1 << 20):
            file.write(memoryview(content)[at : at + (1 << 20)])
        assert file.tell() == len(content)
        assert not storage.exists(uri)
    assert storage.read_file(uri) == content


def test_file_on_s3_is_asked_for_again_where_the_server_fails(
    proxy: Proxy, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is overloaded for a moment costs a moment, not the run."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    uri, content = f"s3://{bucket}/p/file", b"content" * 1000
    proxy.faults.extend(["503", "500"])
    with storage.create_file(uri) as file:
        file.write(content)
    assert not proxy.faults
    proxy.reading.extend(["503", "cut"])
    with storage.open_file(uri) as file:
        assert bytes(file.read()) == content
    assert not proxy.reading


def test_file_on_s3_that_cannot_be_written_is_an_error_of_its_name(s3: Any) -> None:
    """In one line; there is no bucket."""
    file = storage.create_file("s3://no-such-bucket/p/file")
    file.write(b"content")
    with pytest.raises(
        StorageError, match=r"^s3://no-such-bucket/p/file is out of reach: .*NoSuchBucket.* Create the b"
    ):
        file.close()
    with pytest.raises(OSError, match="p/file"):
        storage.open_file("s3://no-such-bucket/p/file")
