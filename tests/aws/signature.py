"""AWS's signature of requests, version 4, as a server checks it.

S3's guide, "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)".
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

_HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, ?"
    r"SignedHeaders=(?P<headers>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
_UNRESERVED = "-_.~"


@dataclass(frozen=True)
class Signature:
    """What a request says of itself.

    Attributes:
        key: of the credentials it was signed with.
        date: day of the signature.
        region: that it was signed for.
        service: that it was signed for.
        headers: names of those that were signed.
        signature: hexadecimal.
    """

    key: str
    date: str
    region: str
    service: str
    headers: str
    signature: str

    def is_of(self, secret: str, environ: Mapping[str, Any], path: str, query: str) -> bool:
        """Whether a request to S3 was signed with this secret.

        Args:
            secret: of the key.
            environ: the request, as WSGI has it.
            path: as it was sent.
            query: as it was sent.
        """
        scope = f"{self.date}/{self.region}/{self.service}/aws4_request"
        named = [f"{name}:{_header(environ, name)}\n" for name in self.headers.split(";")]
        content = environ["HTTP_X_AMZ_CONTENT_SHA256"]
        asked = [environ["REQUEST_METHOD"], quote(unquote(path), safe=f"/{_UNRESERVED}"), _query(query)]
        canonical = "\n".join([*asked, "".join(named), self.headers, content])
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        told = "\n".join(["AWS4-HMAC-SHA256", environ["HTTP_X_AMZ_DATE"], scope, digest])
        key = f"AWS4{secret}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.compare_digest(hmac.new(key, told.encode(), "sha256").hexdigest(), self.signature)


def signature_of(environ: Mapping[str, Any]) -> Signature | None:
    """A request's signature; None where it has none."""
    found = _HEADER.match(environ.get("HTTP_AUTHORIZATION", ""))
    return None if found is None else Signature(**found.groupdict())


def _header(environ: Mapping[str, Any], name: str) -> str:
    key = name.upper().replace("-", "_")
    value = str(environ.get(f"HTTP_{key}", environ.get(key, "")))
    return " ".join(value.split())


def _query(query: str) -> str:
    pairs = [part.partition("=")[::2] for part in query.split("&") if part]
    encoded = [[quote(unquote(half), safe=_UNRESERVED) for half in pair] for pair in pairs]
    return "&".join(f"{name}={value}" for name, value in sorted(map(tuple, encoded)))
