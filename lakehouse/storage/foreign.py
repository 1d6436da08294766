"""Answers that are no S3 server's: of a website, a proxy's page, a network that wants people to sign in."""

from collections.abc import Mapping
from typing import Any

from lakehouse.storage.boto import Client

CODE = "ForeignAnswer"
"""What an error is called that stands for such an answer, where S3's have names of its own."""


def refuse_foreign_answers(client: Client) -> None:
    """Have a boto3 client raise a ClientError, of the code `CODE`, for what no S3 server sends.

    boto3 would take a page for an empty folder, and follow a redirect to itself without end.
    """
    client.meta.events.register("before-parse.s3", _refuse)


def _refuse(operation_model: Any, response_dict: Mapping[str, Any], **_: object) -> None:
    from botocore.exceptions import ClientError

    status, headers = response_dict["status_code"], response_dict["headers"]
    with_body = operation_model.http["method"] != "HEAD" and status >= 300  # what is not an error may be a stream
    if is_foreign(status, headers, response_dict["body"] if with_body else None):
        sent = "a page" if _is_page(headers) else "no words of S3's"
        message = f"what answers there is no S3 server: it sent {sent}, with status {status}"
        metadata = {"HTTPStatusCode": status, "HTTPHeaders": dict(headers)}
        answer = {"Error": {"Code": CODE, "Message": message}, "ResponseMetadata": metadata}
        raise ClientError(answer, operation_model.name)


def is_foreign(status: int, headers: Mapping[str, str], body: bytes | None) -> bool:
    """Whether an answer to a request of S3's is certainly none of an S3 server's.

    Args:
        status: HTTP status.
        headers: HTTP headers.
        body: of an error, which S3 sends as XML; None where it is not known, as for HEAD.
    """
    if any(name.lower().startswith("x-amz") for name in headers):
        return False
    unexplained = body is not None and not body.lstrip().startswith(b"<")
    return _is_page(headers) or (300 <= status < 400 and status != 304) or (status == 404 and unexplained)


def _is_page(headers: Mapping[str, str]) -> bool:
    return _type_of(headers) == "text/html"


def _type_of(headers: Mapping[str, str]) -> str:
    found = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    return found.partition(";")[0].strip().lower()
