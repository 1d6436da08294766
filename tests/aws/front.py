"""What AWS does around a service, and moto does not: names, regions, signatures, sessions that end, permissions.

S3's guide: "Virtual hosting of general purpose buckets", "Making requests over the internet" (regions and redirects),
"Using Requester Pays general purpose buckets", and "Error responses".
"""

import io
import json
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from moto.backends import get_backend

from tests.aws.actions import asked_of_kms, asked_of_others, asked_of_s3, may_know
from tests.aws.metadata import Issued, Issuer
from tests.aws.policies import Question, Statement, is_allowed
from tests.aws.roles import ACCOUNT, key_of, statements_of_role
from tests.aws.signature import Signature, signature_of

Environ = dict[str, Any]
Application = Callable[[Environ, Any], Iterable[bytes]]
_HOSTS = (
    re.compile(r"(?:(?P<bucket>.+)\.)?bucket\.vpce-[\w-]+\.s3\.(?P<region>[a-z]+-[a-z]+-\d)\.vpce\.amazonaws\.com"),
    re.compile(r"(?:(?P<bucket>.+)\.)?s3(?:-fips)?(?:\.dualstack)?(?:\.(?P<region>[a-z]+-[a-z]+-\d))?\.amazonaws\.com"),
)
_CONDITIONS = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH")


@dataclass
class Request:
    """A request as it was seen, for the log.

    Attributes:
        host: that it was sent to.
        method: of HTTP.
        service: that it was signed for; empty where it was not.
        region: that it was signed for.
        bucket: on S3.
        key: on S3.
        virtual: on S3, whether the bucket was named by the host.
        agent: the client.
        condition: of a conditional write or read.
        status: of the answer.
        code: of the error, where it was refused here.
        role: of the credentials; empty where they may do anything.
        asked: what it wants to do: action, resource, context; see `policies.Question`.
        refused: the first of these that the role may not.
    """

    host: str
    method: str
    service: str = ""
    region: str = ""
    bucket: str = ""
    key: str = ""
    virtual: bool = False
    agent: str = ""
    condition: str = ""
    status: int = 0
    code: str = ""
    role: str = ""
    asked: list[Question] = field(default_factory=list)
    refused: Question | None = None


@dataclass
class Buckets:
    """What a bucket may be, besides where it is.

    Attributes:
        public: may be read by anybody.
        requester_pays: belongs to somebody else, who lets pay who asks.
    """

    public: list[str] = field(default_factory=list)
    requester_pays: list[str] = field(default_factory=list)


class RefusedError(Exception):
    """AWS's answer instead of the service's."""

    def __init__(self, status: int, code: str, message: str, region: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.region = status, code, region


class Front:
    """The application before moto's; writes down each request, as a line of JSON."""

    def __init__(self, behind: Application, issuer: Issuer, buckets: Buckets, log: Path) -> None:
        self._behind, self._issuer, self._buckets = behind, issuer, buckets
        self._log = log.open("a", buffering=1)
        self.ending: list[tuple[str, str]] = []
        """By method of HTTP and pattern of a path and query: the next request like this finds its credentials ended."""
        self._one_at_a_time = threading.Lock()

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """See PEP 3333."""
        host = environ["HTTP_HOST"].partition(":")[0].lower()
        signature = signature_of(environ)
        request = Request(host, environ["REQUEST_METHOD"], agent=environ.get("HTTP_USER_AGENT", ""))
        if signature is not None:
            request.service, request.region = signature.service, signature.region
        request.condition = " ".join(name[5:] for name in _CONDITIONS if name in environ)
        if signature is not None:
            self._end(signature.key, environ)
        try:
            s3 = next((found for pattern in _HOSTS if (found := pattern.fullmatch(host))), None)
            if s3 is not None:
                self._check_s3(environ, request, signature, *s3.group("bucket", "region"))
            else:
                issued = self._session(signature, "ExpiredTokenException", 403)
                self._check_role(issued, request, asked_of_others(request.service, environ, _body(environ)))
            return self._answered(environ, start_response, request)
        except RefusedError as refused:
            request.status, request.code = refused.status, refused.code
            return _refuse(environ, start_response, refused, is_json="HTTP_X_AMZ_TARGET" in environ)
        finally:
            self._log.write(json.dumps(asdict(request)) + "\n")

    def _end(self, key: str, environ: Environ) -> None:
        with self._one_at_a_time:
            for method, pattern in self.ending:
                if method == environ["REQUEST_METHOD"] and re.search(pattern, environ["REQUEST_URI"]):
                    self.ending.remove((method, pattern))
                    self._issuer.end(key)
                    return

    def _answered(self, environ: Environ, start_response: Any, request: Request) -> Iterable[bytes]:
        answer: list[Any] = []

        def noted(*answered: Any) -> None:
            answer[:] = answered

        # On AWS the comparison and the writing are one.
        with self._one_at_a_time if request.condition and request.method != "GET" else nullcontext():
            content = list(self._behind(environ, noted))
        request.status = int(answer[0].split()[0])
        if request.status == 404 and request.key and request.method in ("GET", "HEAD"):
            self._check(request, statements_of_role(request.role), [may_know(request.bucket, request.key)])
        start_response(*answer)
        return content

    def _check_s3(
        self, environ: Environ, request: Request, signature: Signature | None, bucket: str | None, region: str | None
    ) -> None:
        path, _, query = environ["REQUEST_URI"].partition("?")
        issued = self._session(signature, "ExpiredToken", 400)
        if issued and signature and not signature.is_of(issued.secret, environ, path, query):
            raise RefusedError(403, "SignatureDoesNotMatch", "The request signature we calculated does not match.")
        request.virtual = bucket is not None
        if bucket is not None:
            path = f"/{bucket}{path}"
            environ["PATH_INFO"] = f"/{bucket}{environ['PATH_INFO']}"
            environ["REQUEST_URI"] = environ["RAW_URI"] = f"{path}?{query}".rstrip("?")
        environ["HTTP_HOST"] = "localhost"  # where moto takes the bucket from the path
        request.bucket, _, request.key = unquote(path[1:]).partition("/")
        found = get_backend("s3")[ACCOUNT]["aws"].buckets.get(request.bucket)
        if found is not None:
            _check_region(request.bucket, found.region_name, region, signature)
            self._check_access(environ, request, signature)
            body = _body(environ) if "delete" in query.split("&") else b""
            asked = asked_of_s3(request.method, request.bucket, request.key, query, environ, body)
            encrypted = key_of(request.bucket)
            self._check_role(issued, request, asked + (asked_of_kms(asked, query, encrypted) if encrypted else []))
        elif signature is not None and region is not None and signature.region != region:
            raise _malformed(signature.region, region)

    def _check_access(self, environ: Environ, request: Request, signature: Signature | None) -> None:
        reads = request.method in ("GET", "HEAD")
        if signature is None and not (reads and request.bucket in self._buckets.public):
            raise RefusedError(403, "AccessDenied", "Access Denied")
        environ.setdefault("HTTP_AUTHORIZATION", "of anybody")  # moto asks an object's ACL, where it finds none
        pays = environ.get("HTTP_X_AMZ_REQUEST_PAYER") == "requester" and signature is not None
        if request.bucket in self._buckets.requester_pays and not (reads and pays):
            raise RefusedError(403, "AccessDenied", "Access Denied")

    def _check_role(self, issued: Issued | None, request: Request, asked: list[Question]) -> None:
        request.asked = asked
        request.role = issued.role if issued else ""
        if request.role:
            self._check(request, statements_of_role(request.role), asked)

    def _check(self, request: Request, statements: Sequence[Statement], asked: list[Question]) -> None:
        request.refused = next((one for one in asked if request.role and not is_allowed(statements, one)), None)
        if request.refused is not None:
            raise RefusedError(403, "AccessDenied", _not_authorized(request.role, request.refused))

    def _session(self, signature: Signature | None, expired: str, status: int) -> Issued | None:
        """The credentials that a request was signed with; None where it was not signed."""
        if signature is None:
            return None
        issued = self._issuer.issued.get(signature.key)
        if issued is None:
            raise RefusedError(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist.")
        if issued.expires < datetime.now(UTC):
            raise RefusedError(status, expired, "The provided token has expired.")
        return issued


def _not_authorized(role: str, question: Question) -> str:
    who = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/i-0123456789abcdef0"
    return (
        f"User: {who} is not authorized to perform: {question.action} on resource: "
        f'"{question.resource}" because no identity-based policy allows the {question.action} action'
    )


def _body(environ: Environ) -> bytes:
    """What was sent, which can be read again."""
    body: bytes = environ["wsgi.input"].read(_length(environ))
    environ["wsgi.input"], environ["wsgi.input_terminated"] = io.BytesIO(body), True
    return body


def _length(environ: Environ) -> int:
    """Of what was sent. Chunks have an end, another stream has none of its own."""
    return -1 if "wsgi.input_terminated" in environ else int(environ.get("CONTENT_LENGTH") or 0)


def _check_region(bucket: str, own: str, asked: str | None, signature: Signature | None) -> None:
    """A bucket is found by its region's name alone; the name without a region leads anywhere, for who signs for it."""
    if asked not in (None, own):
        message = f"The bucket {bucket} must be addressed using the endpoint s3.{own}.amazonaws.com."
        raise RefusedError(301, "PermanentRedirect", message, own)
    if signature is not None and signature.region != own:
        raise _malformed(signature.region, own)


def _malformed(given: str, expected: str) -> RefusedError:
    message = f"The authorization header is malformed; the region '{given}' is wrong; expecting '{expected}'"
    return RefusedError(400, "AuthorizationHeaderMalformed", message, expected)


def _refuse(environ: Environ, start_response: Any, refused: RefusedError, is_json: bool) -> Iterable[bytes]:
    environ["wsgi.input"].read(_length(environ))  # else it would be taken for the next request
    headers = [("Content-Type", "application/xml")]
    if refused.region:
        headers.append(("x-amz-bucket-region", refused.region))
    region = f"<Region>{refused.region}</Region>" if refused.region else ""
    content = f"<Error><Code>{refused.code}</Code><Message>{refused}</Message>{region}</Error>"
    if is_json:
        headers = [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-ErrorType", refused.code)]
        content = json.dumps({"__type": refused.code, "message": str(refused)})
    body = b"" if environ["REQUEST_METHOD"] == "HEAD" else content.encode()
    start_response(f"{refused.status} {refused.code}", [*headers, ("Content-Length", str(len(body)))])
    return [body]
