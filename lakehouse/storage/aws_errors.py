"""What goes wrong with S3, in the words of boto3 and of the server, and what to do about it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lakehouse.errors import StorageError
from lakehouse.storage import foreign

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
_ELSEWHERE_IN_RUST = re.compile("redirect without LOCATION|PermanentRedirect|AuthorizationHeaderMalformed")
_OF_THE_OBJECT = ("AccessDenied", "NoSuchKey", "404", "403", "InvalidObjectState")
"""What S3 answers where one object cannot be read; that another can, is possible."""
_NOT_THERE = ("NoSuchKey", "NoSuchVersion", "NotFound", "404")
"""What S3 answers where there is no such object: other things that are not there have status 404, too."""


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


def is_elsewhere(error: BaseException) -> bool:
    """Whether a client in Rust was told that a bucket is in another region than it was asked for in."""
    return _ELSEWHERE_IN_RUST.search(str(error)) is not None


def have_ended(error: BaseException) -> bool:
    """Whether an error is that credentials have ended, of which there may be new ones."""
    return code_of(error) in _ENDED


@contextmanager
def explaining() -> Iterator[None]:
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
