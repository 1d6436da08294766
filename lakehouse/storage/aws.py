"""Access to S3: credentials, region and endpoint for every library that connects, and advice on errors.

boto3 finds credentials, region and endpoint where AWS's tools do: `AWS_*`, profiles, the instance's role. delta-rs
knows fewer of these places, so it is told what boto3 found, each time anew, for credentials expire.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from lakehouse.errors import StorageError
from lakehouse.storage import foreign
from lakehouse.storage.boto import Client, Credentials, Found, Session

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Credential, S3Store

_RENEW = "The credentials have ended: renew them (`aws sso login`, or new AWS_* variables), and run again."
_PROFILE = "Set AWS_PROFILE to a profile of `aws configure list-profiles`, or unset it."
_ALLOWED = (
    "The credentials must be valid, and allow s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket there, as "
    "far as it is read or written."
)
_UNKNOWN_KEY = (
    "The server does not know this key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, to those of "
    "this account and endpoint."
)
_ADVICE = {
    "AccessDenied": _ALLOWED,
    "ExpiredToken": _RENEW,
    "ExpiredTokenException": _RENEW,
    foreign.CODE: "Set AWS_ENDPOINT_URL to the S3 server's address, or unset it for AWS; a proxy, or the page on which "
    "a network wants people to sign in, may stand in between.",
    "HTTPClientError": "Check the network and AWS_ENDPOINT_URL, and try again.",
    "PartialCredentialsError": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, both or none.",
    "ConfigParseError": "Mend that file, or set AWS_CONFIG_FILE to another one.",
    "CredentialRetrievalError": "Sign in again (`aws sso login`), or mend what the profile calls for credentials.",
    "InvalidConfigError": "Mend the profile, or set AWS_PROFILE to another one.",
    "InvalidAccessKeyId": _UNKNOWN_KEY,
    "InvalidObjectState": "The object is in an archive: restore it there (`aws s3api restore-object`), or copy it to "
    "another storage class; the next run takes it.",
    "InvalidToken": _RENEW,
    "NoCredentialsError": "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a role.",
    "NoRegionError": "Set AWS_REGION, or the setting `region`, to the bucket's region.",
    "NoSuchBucket": "Create the bucket, or name another one.",
    "PermanentRedirect": "The bucket is in another region: set AWS_REGION, or the setting `region`, to that.",
    "ProfileNotFound": _PROFILE,
    "RequestTimeTooSkewed": "Set this machine's clock right.",
    "SSOTokenLoadError": _RENEW,
    "SignatureDoesNotMatch": f"The secret is not that of the key. {_ALLOWED}",
    "SlowDown": "S3 asks for fewer requests, and was asked again many times: lower `readers`, or run again later.",
    "TokenRefreshRequired": _RENEW,
    "TokenRetrievalError": _RENEW,
    "UnauthorizedSSOTokenError": _RENEW,
    "XAdminUserNotFound": _UNKNOWN_KEY,  # versitygw's word, with status 404
}
"""What to do, by what the server or boto3 calls the error."""
_ENDED = ("ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired", "400")
"""What S3 answers where credentials have ended, of which there may be new ones; to a HEAD but the status."""
_ENDED_IN_RUST = re.compile("ExpiredToken|InvalidToken|TokenRefreshRequired|400 Bad Request")
_RUST_REMEMBERS = 0.2  # seconds: credentials that have ended by their own word, before it asks us for others
_OF_THE_OBJECT = ("AccessDenied", "NoSuchKey", "404", "403", "InvalidObjectState")
"""What S3 answers where one object cannot be read; that another can, is possible."""
_NOT_THERE = ("NoSuchKey", "NoSuchVersion", "NotFound", "404")
"""What S3 answers where there is no such object: other things that are not there have status 404, too."""
_GLOBAL_ENDPOINT = "https://s3.amazonaws.com"
"""AWS's old name for all regions. boto3 follows its redirects to the bucket's region; the other libraries do not."""
_lock = Lock()
T = TypeVar("T")


def failed(error: BaseException, what: str) -> StorageError:
    """The error to raise for one of boto3's: what does not work, why, and what to do."""
    status, code = status_of(error), code_of(error)
    advice = _ADVICE.get(code, _ADVICE["AccessDenied" if status == 403 else "HTTPClientError"])
    return StorageError(f"{what}: {str(error).rstrip('.')}. {advice}")


def said_of_object(error: BaseException) -> str:
    """What the server calls an error of one object's, and what to do about it, where that is known."""
    code = code_of(error)
    return f"{code}. {_ADVICE[code]}".rstrip(".") if code in _ADVICE else code


def status_of(error: BaseException) -> int:
    """The HTTP status of an answer that boto3 raised; 0 where there was no answer."""
    return int(_answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def code_of(error: BaseException) -> str:
    """What the server, or else boto3, calls an error."""
    return str(_answer(error).get("Error", {}).get("Code", type(error).__name__))


def _answer(error: BaseException) -> dict[str, Any]:
    return getattr(error, "response", None) or {}  # None, too, where a connection ended before there was one


def is_unmet(error: BaseException) -> bool:
    """Whether the object is not there (404), not the one demanded (412), or being replaced by another request (409)."""
    return status_of(error) in (409, 412) or code_of(error) in _NOT_THERE


def is_of_the_object(error: Exception) -> bool:
    """Whether an error is one object's, so that others may be read."""
    return code_of(error) in _OF_THE_OBJECT


def split(uri: str) -> tuple[str, str]:
    """Bucket and key of a URI."""
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key


def check_region(uri: str) -> None:
    """Raise a StorageError where the bucket is in another region than is set: boto3 alone would find it."""
    from botocore.exceptions import ClientError

    bucket, _ = split(uri)
    made = shared_client()
    try:
        answer = made.head_bucket(Bucket=bucket)["ResponseMetadata"]
    except ClientError as error:  # refused where listing is allowed for some prefixes alone; the region is said, too
        answer = error.response["ResponseMetadata"]
    found = answer["HTTPHeaders"].get("x-amz-bucket-region")
    if found not in (None, made.meta.region_name):
        raise StorageError(
            f"The bucket {bucket} is in the region {found}, and {made.meta.region_name} is set: set AWS_REGION, or the "
            f"setting `region`, to {found}."
        )


def session() -> Session:
    """A boto3 session; `AWS_REGION`, which boto3 alone of AWS's libraries passes over, counts."""
    from boto3 import session

    made: Session = session.Session(region_name=os.environ.get("AWS_REGION"))
    return made


def client(**limits: object) -> Client:
    """An S3 client; `limits` are botocore's for connections, timeouts and retries."""
    from botocore.config import Config

    # Not every S3 server knows those checksums that are optional.
    settings: dict[str, object] = {"request_checksum_calculation": "when_required", **limits}
    made: Client = session().client("s3", config=Config(**settings))
    foreign.refuse_foreign_answers(made)
    return made


def shared_client() -> Client:
    """The client for data: patient where S3 asks for it (503 SlowDown), with a connection a reader.

    One for each process, for a forked child must not use its parent's connections, and for what AWS_* say.
    """
    with _lock:  # else the threads that read would make one each
        return _shared(*_surroundings())


def asking(ask: Callable[[Client], T]) -> T:
    """What is answered to a request by the shared client; asked again where credentials had ended and are new now.

    botocore looks for them once a session, and where a metadata service has none that last it makes do with the old
    ones for a quarter of an hour; a file that another tool has written since, it never reads again.
    """
    from botocore.exceptions import ClientError

    try:
        return ask(shared_client())
    except ClientError as error:
        if not have_ended(error):
            raise
    look_again()
    return ask(shared_client())


def asking_quickly(ask: Callable[[], T]) -> T:
    """The same for a client in Rust."""
    from obstore.exceptions import BaseError

    try:
        return ask()
    except BaseError as error:
        if not _ENDED_IN_RUST.search(str(error)):
            raise
    look_again()
    time.sleep(_RUST_REMEMBERS)
    return ask()


def have_ended(error: BaseException) -> bool:
    """Whether an error is that credentials have ended, of which there may be new ones."""
    return code_of(error) in _ENDED


def look_again() -> None:
    """Look for credentials anew when the next request is made."""
    with _lock:
        _shared.cache_clear()
        _credentials.cache_clear()


def object_store(bucket: str) -> "S3Store":
    """A bucket by a client in Rust, which takes a tenth of boto3's time for a request; one as `shared_client` is."""
    with _lock, _explaining():
        return _store(bucket, *_surroundings())


def _surroundings() -> tuple[int, frozenset[tuple[str, str]]]:
    return os.getpid(), frozenset(item for item in os.environ.items() if item[0].startswith("AWS_"))


@cache
def _shared(process: int, told: frozenset[tuple[str, str]]) -> Client:  # noqa: ARG001 - one each: see `shared_client`
    # S3 answers within a second or so; eight times a minute, as by default, would be a long time to look at a bar.
    return client(
        max_pool_connections=256,
        connect_timeout=10,
        read_timeout=20,
        retries={"mode": "standard", "total_max_attempts": 8},
    )


@cache
def _store(bucket: str, process: int, told: frozenset[tuple[str, str]]) -> "S3Store":
    from obstore.store import S3Store

    endpoint = _endpoint(process, told)
    known: S3Config = {}  # what is not known is left out, for S3Store refuses None
    if endpoint:
        known["endpoint"] = endpoint
    if region := _shared(process, told).meta.region_name:
        known["region"] = region
    if _named_by_host(bucket, endpoint):
        known["virtual_hosted_style_request"] = True
    return S3Store(
        bucket,
        config=known,
        credential_provider=_credential,
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
    address = str(_shared(process, told).meta.endpoint_url).rstrip("/")
    own = client(ignore_configured_endpoint_urls=True, use_dualstack_endpoint=False, use_fips_endpoint=False)
    return None if address in (own.meta.endpoint_url, _GLOBAL_ENDPOINT) else address


def _named_by_host(bucket: str, endpoint: str | None) -> bool:
    """Whether a bucket is to be named by the host, which AWS asks for and other servers rarely know.

    A name with a dot fits no certificate of AWS's: these stand in the path.
    """
    return endpoint is None and "." not in bucket


def _found() -> tuple[Credentials | None, str | None, str | None]:
    """Credentials, region and endpoint, as boto3 finds them."""
    with _explaining():
        found = session().get_credentials()
        credentials = None if found is None else found.get_frozen_credentials()
        return credentials, shared_client().meta.region_name, _endpoint(*_surroundings())


@contextmanager
def _explaining() -> Iterator[None]:
    """Say what is wrong with what boto3 was configured with, before anything was asked of S3."""
    from botocore.exceptions import BotoCoreError

    try:
        yield
    except BotoCoreError as error:
        raise failed(error, "AWS's credentials cannot be found") from error
    except OSError as error:  # of the program that `credential_process` names
        raise no_program(error) from error


def no_program(error: OSError) -> StorageError:
    """The error to raise where a profile's program for credentials cannot be run."""
    return StorageError(
        f"The profile's credential_process cannot be run: {error.filename}: {error.strerror}. Mend the profile, or "
        "set AWS_PROFILE to another one."
    )


def delta_options(uri: str) -> dict[str, str]:
    """What delta-rs needs to be told to get to a folder."""
    credentials, region, endpoint = _found()
    options = {"aws_region": region, "aws_endpoint": endpoint}
    if credentials is not None:
        options |= {
            "aws_access_key_id": credentials.access_key,
            "aws_secret_access_key": credentials.secret_key,
            "aws_session_token": credentials.token,
        }
    if endpoint and endpoint.startswith("http://"):
        options["aws_allow_http"] = "true"
    if _named_by_host(split(uri)[0], endpoint):
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
