"""EC2's instance metadata service, version 2 alone: a role's credentials that end, and where the instance is.

AWS's guide for users of EC2, "Retrieve security credentials from instance metadata": a session token is asked for by
PUT and sent with each GET; without one the answer is 401. New credentials are handed out at least five minutes before
the old ones end (here: in the last half of their lives), as strings with their `Expiration`.
"""

import json
import secrets
import socket
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ROLE = "fruits"
_ADDRESS = ("169.254.169.254", 80)
_CREDENTIALS = "/latest/meta-data/iam/security-credentials/"
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Issued:
    """Credentials of a role's; of none (an empty name), they may do anything."""

    key: str
    secret: str
    token: str
    expires: datetime
    role: str


class Issuer:
    """Makes the role's credentials, and knows all that it ever made.

    Attributes:
        lifetime: of those that are made from now on.
        role: whose they are, from now on.
        issued: by their keys.
    """

    def __init__(self) -> None:
        self.lifetime, self.role = timedelta(hours=6), ""
        self.issued: dict[str, Issued] = {}
        self._newest: Issued | None = None
        self._lock = threading.Lock()

    def current(self) -> Issued:
        """Those that a client is given now."""
        with self._lock:
            if self._newest is None or self._newest.expires - datetime.now(UTC) < self.lifetime / 2:
                self.renew()
            assert self._newest is not None
            return self._newest

    def renew(self) -> None:
        """Make new ones now."""
        key = f"ASIA{secrets.token_hex(8).upper()}"
        token, expires = secrets.token_urlsafe(90), datetime.now(UTC) + self.lifetime
        made = Issued(key, secrets.token_urlsafe(30), token, expires, self.role)
        self._newest = self.issued[key] = made

    def end(self, key: str) -> None:
        """Credentials end now; whoever asks is given others."""
        self.issued[key] = replace(self.issued[key], expires=datetime.now(UTC))
        self.renew()


class MetadataService:
    """The service on its link-local address."""

    def __init__(self, issuer: Issuer, region: str) -> None:
        self._issuer, self._region = issuer, region
        self._silence: list[socket.socket] = []
        self._server: ThreadingHTTPServer | None = None
        self.speak()

    def speak(self) -> None:
        """Answer from now on."""
        for one in self._silence:
            one.close()
        self._silence = []
        self._server = ThreadingHTTPServer(_ADDRESS, _handler(self._issuer, self._region))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def be_silent(self) -> None:
        """Be an address where nobody answers and nobody refuses, as it is where there is no such service."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(_ADDRESS)
        listening.listen(0)
        waiting = socket.socket()
        waiting.connect(_ADDRESS)  # fills the queue: what comes now is dropped, and comes again until it is tired
        self._silence = [listening, waiting]


def _handler(issuer: Issuer, region: str) -> type[BaseHTTPRequestHandler]:
    tokens: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            if self.path != "/latest/api/token" or "X-aws-ec2-metadata-token-ttl-seconds" not in self.headers:
                self._say(400, "")
                return
            token = secrets.token_urlsafe(42)
            tokens.add(token)
            self._say(200, token, ("X-aws-ec2-metadata-token-ttl-seconds", "21600"))

        def do_GET(self) -> None:
            if self.headers.get("X-aws-ec2-metadata-token") not in tokens:
                self._say(401, "")
                return
            role = issuer.role or ROLE
            document = {"region": region, "availabilityZone": f"{region}a", "instanceType": "m5.xlarge"}
            content = {
                _CREDENTIALS: role,
                "/latest/meta-data/placement/region": region,
                "/latest/meta-data/placement/availability-zone": f"{region}a",
                "/latest/dynamic/instance-identity/document": json.dumps(document),
            }
            if self.path == f"{_CREDENTIALS}{role}":
                self._say(200, json.dumps(_credentials(issuer.current())))
            else:
                path = _CREDENTIALS if self.path == _CREDENTIALS.rstrip("/") else self.path
                self._say(200 if path in content else 404, content.get(path, ""))

        def _say(self, status: int, text: str, *headers: tuple[str, str]) -> None:
            self.send_response(status)
            for name, value in (*headers, ("Content-Type", "text/plain"), ("Content-Length", str(len(text)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

    return Handler


def _credentials(issued: Issued) -> dict[str, str]:
    return {
        "Code": "Success",
        "LastUpdated": datetime.now(UTC).strftime(_TIME),
        "Type": "AWS-HMAC",
        "AccessKeyId": issued.key,
        "SecretAccessKey": issued.secret,
        "Token": issued.token,
        "Expiration": issued.expires.strftime(_TIME),
    }
