"""Access to S3: credentials, region and endpoint for every library that connects.

boto3 finds credentials, region and endpoint where AWS's tools do: `AWS_*`, profiles, the instance's role. delta-rs
knows fewer of these places, so it is told what boto3 found, each time anew, for credentials expire.
"""

import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from lakehouse.errors import StorageError
from lakehouse.storage import foreign
from lakehouse.storage.access import Access, access_to
from lakehouse.storage.aws_errors import explaining, have_ended
from lakehouse.storage.boto import Client, Credentials, Found, Session

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Credential, S3Store

_ENDED_IN_RUST = re.compile("ExpiredToken|InvalidToken|TokenRefreshRequired|400 Bad Request")
_RUST_REMEMBERS = 0.2  # seconds: credentials that have ended by their own word, before it asks us for others
_GLOBAL_ENDPOINT = "https://s3.amazonaws.com"
"""AWS's old name for all regions. boto3 follows its redirects to the bucket's region; the other libraries do not."""
# S3 answers within a second or so; eight times a minute, as by default, would be a long time to look at a bar.
_PATIENT: dict[str, Any] = {
    "max_pool_connections": 256,
    "connect_timeout": 10,
    "read_timeout": 20,
    "retries": {"mode": "standard", "total_max_attempts": 8},
}
_OWN = {"ignore_configured_endpoint_urls": True, "use_dualstack_endpoint": False, "use_fips_endpoint": False}
"""Limits of a client that asks the region's own S3, whatever was configured."""
_VARIABLES_OF_RUST = {"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"}
"""By which a client in Rust looks for an address by itself, too."""
_elsewhere: dict[str, str] = {}
"""The regions of buckets that are not in the one that is set."""
_lock = Lock()
T = TypeVar("T")


def split(uri: str) -> tuple[str, str]:
    """Bucket and key of a URI."""
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key


def check_region(uri: str) -> None:
    """Raise a StorageError where the bucket is in another region than is set: boto3 alone would find it."""
    bucket, _ = split(uri)
    found, told = _region_of(bucket), shared_client().meta.region_name
    if found not in (None, told):
        raise StorageError(
            f"The bucket {bucket} is in the region {found}, and {told} is set: set AWS_REGION, or the setting "
            f"`region`, to {found}."
        )


def find_region(bucket: str) -> bool:
    """Look where a bucket is that was not where it was asked for; returns whether it is elsewhere.

    boto3 goes there by itself. For the client in Rust it is remembered.
    """
    found = _region_of(bucket)
    if found in (None, _elsewhere.get(bucket), shared_client(is_signed=False).meta.region_name):
        return False
    _elsewhere[bucket] = str(found)
    return True


def _region_of(bucket: str) -> str | None:
    """Where a bucket says that it is; None where it does not."""
    from botocore.exceptions import ClientError

    made = shared_client(is_signed=access_to(bucket) is not Access.PUBLIC)
    try:
        answer = made.head_bucket(Bucket=bucket)["ResponseMetadata"]
    except ClientError as error:  # refused where listing is allowed for some prefixes alone; the region is said, too
        answer = error.response["ResponseMetadata"]
    return answer["HTTPHeaders"].get("x-amz-bucket-region")


def session() -> Session:
    """A boto3 session; `AWS_REGION`, which boto3 alone of AWS's libraries passes over, counts."""
    from boto3 import session
    from botocore.session import get_session

    from lakehouse.storage.service_models import shared_models

    core = get_session()
    core.register_component("data_loader", shared_models(core.get_config_variable("data_path")))
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_parsed_time)
    made: Session = session.Session(botocore_session=core, region_name=os.environ.get("AWS_REGION"))
    return made


def _parsed_time(value: Any) -> datetime:
    """A time in an answer: botocore asks dateutil, which takes 70 of 95 ms for the thousand of a listing's page."""
    with suppress(TypeError, ValueError):
        if (time := datetime.fromisoformat(value)).tzinfo is not None:
            return time
    from botocore.utils import parse_timestamp

    parsed: datetime = parse_timestamp(value)
    return parsed


def client(region: str | None = None, **limits: object) -> Client:
    """An S3 client, in the region that is set or in this; `limits` are botocore's for connections and retries."""
    from botocore.config import Config

    # Not every S3 server knows those checksums that are optional.
    settings: dict[str, object] = {"request_checksum_calculation": "when_required", **limits}
    made: Client = session().client("s3", region_name=region, config=Config(**settings))
    foreign.refuse_foreign_answers(made)
    return made


def shared_client(*, is_signed: bool = True) -> Client:
    """The client for data: patient where S3 asks for it (503 SlowDown), with a connection a reader.

    One for each process, for a forked child must not use its parent's connections, and for what AWS_* say; and one more
    that needs no credentials.
    """
    with _lock:  # else the threads that read would make one each
        return (_shared if is_signed else _unsigned)(*_surroundings())


def asking(bucket: str, ask: Callable[[Client, Mapping[str, str]], T]) -> T:
    """What is answered to a request by the shared client; asked again where credentials had ended and are new now.

    Args:
        bucket: that is asked for.
        ask: makes the request by a client, with arguments that belong to every request to this bucket.

    botocore looks for them once a session, and where a metadata service has none that last it makes do with the old
    ones for a quarter of an hour; a file that another tool has written since, it never reads again.
    """
    from botocore.exceptions import ClientError

    access = access_to(bucket)
    if access is Access.PUBLIC:
        return ask(shared_client(is_signed=False), {})
    told = {"RequestPayer": "requester"} if access is Access.REQUESTER_PAYS else {}
    try:
        return ask(shared_client(), told)
    except ClientError as error:
        if not have_ended(error):
            raise
    look_again()
    return ask(shared_client(), told)


def asking_quickly(ask: Callable[[], T]) -> T:
    """The same for a client in Rust."""
    from obstore.exceptions import BaseError

    try:
        return ask()
    except BaseError as error:
        if not have_ended_in_rust(error):
            raise
    look_again()
    time.sleep(_RUST_REMEMBERS)
    return ask()


def have_ended_in_rust(error: BaseException) -> bool:
    """Whether S3 refused a request of a client in Rust because its credentials had ended: nothing was done."""
    return _ENDED_IN_RUST.search(str(error)) is not None


def look_again() -> None:
    """Look for credentials anew when the next request is made."""
    with _lock:
        _shared.cache_clear()
        _unsigned.cache_clear()
        _credentials.cache_clear()


def object_store(bucket: str) -> "S3Store":
    """A bucket by a client in Rust, which takes a tenth of boto3's time for a request; one as `shared_client` is."""
    with _lock, explaining():
        return _store(bucket, access_to(bucket), _elsewhere.get(bucket), *_surroundings())


def _surroundings() -> tuple[int, frozenset[tuple[str, str]]]:
    return os.getpid(), frozenset(item for item in os.environ.items() if item[0].startswith("AWS_"))


@cache
def _shared(process: int, told: frozenset[tuple[str, str]]) -> Client:  # noqa: ARG001 - one each: see `shared_client`
    return client(**_PATIENT)


@cache
def _unsigned(process: int, told: frozenset[tuple[str, str]]) -> Client:  # noqa: ARG001 - as the other
    from botocore import UNSIGNED

    return client(**_PATIENT, signature_version=UNSIGNED)


@cache
def _store(
    bucket: str, access: Access, region: str | None, process: int, told: frozenset[tuple[str, str]]
) -> "S3Store":
    from obstore.store import S3Store

    region = region or _unsigned(process, told).meta.region_name
    endpoint = _address(bucket, region, _endpoint(process, told))
    known: S3Config = {}  # what is not known is left out, for S3Store refuses None
    if endpoint:
        known["endpoint"] = endpoint
    if region:
        known["region"] = region
    if _is_named_by_host(bucket, _endpoint(process, told)):
        known["virtual_hosted_style_request"] = True
    if access is Access.REQUESTER_PAYS:
        known["request_payer"] = True
    if access is Access.PUBLIC:
        known["skip_signature"] = True
    return S3Store(
        bucket,
        config=known,
        credential_provider=None if access is Access.PUBLIC else _credential,
        client_options={"allow_http": bool(endpoint and endpoint.startswith("http://"))},
    )


def _credential() -> "S3Credential":
    """Credentials as they are now; asked for at each request, for botocore knows when to renew them."""
    with _lock:
        found = _credentials(*_surroundings())
    if found is None:
        raise ValueError("there are no credentials")
    now = found.get_frozen_credentials()
    return {
        "access_key_id": now.access_key,
        "secret_access_key": now.secret_key,
        "token": now.token,
        "expires_at": datetime.now(UTC),
    }


@cache
def _credentials(process: int, told: frozenset[tuple[str, str]]) -> Found | None:  # noqa: ARG001 - one each
    return session().get_credentials()


@cache
def _endpoint(process: int, told: frozenset[tuple[str, str]]) -> str | None:
    """The server's address; None where it is the one that every library finds by itself from the region.

    Names of AWS's count, too: a VPC endpoint's, and those for FIPS and for IPv6.
    """
    address = str(_unsigned(process, told).meta.endpoint_url).rstrip("/")
    own = client(None, **_OWN)
    return None if address in (own.meta.endpoint_url, _GLOBAL_ENDPOINT) else address


def _address(bucket: str, region: str | None, endpoint: str | None) -> str | None:
    """The address that a client in Rust is told for a bucket; None where it makes it of the region.

    Where a variable says what the region says, the client takes that for the bucket's own host, so it is told that.
    """
    if endpoint is not None or _VARIABLES_OF_RUST.isdisjoint(os.environ):
        return endpoint
    own = str(client(region, **_OWN).meta.endpoint_url)
    return own.replace("://", f"://{bucket}.") if _is_named_by_host(bucket, endpoint) else own


def _is_named_by_host(bucket: str, endpoint: str | None) -> bool:
    """Whether a bucket is to be named by the host, which AWS asks for and other servers rarely know.

    A name with a dot fits no certificate of AWS's: these stand in the path.
    """
    return endpoint is None and "." not in bucket


def _found() -> tuple[Credentials | None, str | None, str | None]:
    """Credentials, region and endpoint, as boto3 finds them."""
    with explaining():
        found = session().get_credentials()
        credentials = None if found is None else found.get_frozen_credentials()
        return credentials, shared_client().meta.region_name, _endpoint(*_surroundings())


def delta_options(uri: str) -> dict[str, str]:
    """What delta-rs needs to be told to get to a folder."""
    credentials, region, endpoint = _found()
    bucket, _ = split(uri)
    options = {"aws_region": region, "aws_endpoint": _address(bucket, region, endpoint)}
    if credentials is not None:
        options |= {
            "aws_access_key_id": credentials.access_key,
            "aws_secret_access_key": credentials.secret_key,
            "aws_session_token": credentials.token,
        }
    if endpoint and endpoint.startswith("http://"):
        options["aws_allow_http"] = "true"
    if _is_named_by_host(bucket, endpoint):
        options["aws_virtual_hosted_style_request"] = "true"
    return {key: value for key, value in options.items() if value}


def hadoop_options() -> dict[str, str]:
    """What Spark needs to be told where the platform does not know S3 by itself (Amazon EMR does)."""
    _, region, endpoint = _found()
    options = {
        "fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        # Where boto3 looks: the environment, profiles, the instance's role.
        "fs.s3a.aws.credentials.provider": "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider",
        "fs.s3a.endpoint.region": region,
        "fs.s3a.endpoint": endpoint,
        "fs.s3a.path.style.access": "true" if endpoint else None,
    }
    return {f"spark.hadoop.{key}": value for key, value in options.items() if value}
