"""What a request to AWS wants to do, in IAM's words.

S3's guide, "Required permissions for Amazon S3 API operations", and that of KMS, "How Amazon S3 uses AWS KMS".
"""

import re
from collections.abc import Mapping
from functools import cache
from html import unescape
from urllib.parse import parse_qsl, unquote

import botocore.session
from botocore.exceptions import UnknownServiceError

from tests.aws.policies import Question

_PARTS_OF_OBJECT = {
    "GET": {"uploadId": "s3:ListMultipartUploadParts", "tagging": "s3:GetObjectTagging", "acl": "s3:GetObjectAcl"},
    "PUT": {"tagging": "s3:PutObjectTagging", "acl": "s3:PutObjectAcl"},
    "DELETE": {"uploadId": "s3:AbortMultipartUpload", "tagging": "s3:DeleteObjectTagging"},
}
_OBJECT = {
    "GET": "s3:GetObject",
    "HEAD": "s3:GetObject",
    "PUT": "s3:PutObject",
    "POST": "s3:PutObject",
    "DELETE": "s3:DeleteObject",
}
_BUCKET = {
    "location": "s3:GetBucketLocation",
    "uploads": "s3:ListBucketMultipartUploads",
    "versions": "s3:ListBucketVersions",
    "versioning": "s3:GetBucketVersioning",
}
_WHOLE_BUCKET = {"PUT": "s3:CreateBucket", "DELETE": "s3:DeleteBucket"}
_KEY = re.compile(rb"<Key>(.*?)</Key>", re.DOTALL)
_ENCRYPTS = {
    "s3:GetObject": ("kms:Decrypt",),
    "s3:PutObject": ("kms:GenerateDataKey",),
}
"""What S3 asks of KMS in the name of who asks it, for a bucket under a key."""


def asked_of_s3(
    method: str, bucket: str, key: str, query: str, headers: Mapping[str, str], body: bytes
) -> list[Question]:
    """What a request to S3 wants.

    Args:
        method: of HTTP.
        bucket: its name.
        key: empty where the bucket itself is asked.
        query: as it was sent.
        headers: as WSGI names them.
        body: of a request to delete several objects.
    """
    told = dict(parse_qsl(query, keep_blank_values=True))
    place = f"arn:aws:s3:::{bucket}"
    if not key:
        return _of_bucket(method, place, told, body)
    part = next((action for name, action in _PARTS_OF_OBJECT.get(method, {}).items() if name in told), None)
    questions = [Question(part or _OBJECT[method], f"{place}/{key}")]
    if source := headers.get("HTTP_X_AMZ_COPY_SOURCE"):
        questions.append(Question("s3:GetObject", f"arn:aws:s3:::{unquote(source).lstrip('/')}"))
    return questions


def asked_of_kms(questions: list[Question], query: str, key_arn: str) -> list[Question]:
    """What S3 asks of KMS besides, where the bucket is under a key."""
    needed = [action for question in questions for action in _ENCRYPTS.get(question.action, ())]
    if "uploadId=" in query and "kms:GenerateDataKey" in needed:
        needed.append("kms:Decrypt")  # of the parts of an upload, which are put together
    return [Question(action, key_arn) for action in dict.fromkeys(needed)]


def may_know(bucket: str, key: str) -> Question:
    """What somebody must be allowed, to be told that there is no such object."""
    return Question("s3:ListBucket", f"arn:aws:s3:::{bucket}", {"s3:prefix": key})


def asked_of_others(service: str, environ: Mapping[str, str], body: bytes) -> list[Question]:
    """What a request to another service wants: by a header, a field of the form, or method and path, by its protocol.

    The resource is left open.
    """
    _, _, operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")
    if not operation:
        form = dict(parse_qsl(body.decode("latin-1"))) | dict(parse_qsl(environ.get("QUERY_STRING", "")))
        operation = form.get("Action", "")
    if not operation:
        path = environ["REQUEST_URI"].partition("?")[0]
        operation = next(
            (
                name
                for name, method, pattern in _by_path(service)
                if method == environ["REQUEST_METHOD"] and pattern.fullmatch(path)
            ),
            "",
        )
    return [Question(f"{service}:{operation}", "*")] if operation else []


@cache
def _by_path(service: str) -> list[tuple[str, str, re.Pattern[str]]]:
    """By botocore's description of a service: operation, method of HTTP, pattern of the path."""
    try:
        model = botocore.session.get_session().get_service_model(service)
    except UnknownServiceError:
        return []
    asked = [(name, model.operation_model(name).http) for name in model.operation_names]
    return [(name, http["method"], _pattern(http["requestUri"])) for name, http in asked]


def _pattern(uri: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(uri.partition("?")[0])))


def _of_bucket(method: str, place: str, told: Mapping[str, str], body: bytes) -> list[Question]:
    if method == "POST" and "delete" in told:
        keys = [unescape(found.decode()) for found in _KEY.findall(body)]
        return [Question("s3:DeleteObject", f"{place}/{key}") for key in keys]
    if method in _WHOLE_BUCKET:
        return [Question(_WHOLE_BUCKET[method], place)]
    action = next((action for name, action in _BUCKET.items() if name in told), "s3:ListBucket")
    names = {"prefix": "s3:prefix", "delimiter": "s3:delimiter"}
    return [Question(action, place, {names[name]: value for name, value in told.items() if name in names})]
