"""Request checks and response headers: other sites must not send requests, read answers, or frame the page."""

import socket
from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    # blob: is the visitor's own photograph, shown from the browser's memory.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",  # the file dialogue's camera needs none
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Whether a host to listen on is reached from this machine alone."""
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


def own_host(listening: str) -> Callable[[str], bool]:
    """Whether a name, as a browser asked for it, is this machine's when it listens there.

    A foreign site that has its own name point to this machine (DNS rebinding) is told by that name. On a network any
    address is taken as well, for an address cannot be made to point elsewhere.
    """
    if is_loopback(listening):
        names = {"localhost", "127.0.0.1", "::1", listening}
        return names.__contains__
    machine = socket.gethostname().lower()
    names = {"localhost", listening.lower(), machine, f"{machine}.local"}
    return lambda host: host in names or _is_address(host)


class Guard:
    """Around an application: refuses foreign hosts and foreign pages, and adds HEADERS to each answer."""

    def __init__(self, app: ASGIApp, is_own: Callable[[str], bool]) -> None:
        """Guard an application whose host names `is_own` knows, in lower case."""
        self._app, self._is_own = app, is_own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, as ASGI has it."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if scope["type"] != "http":
            return
        refusal = self._refusal(scope["method"], Headers(scope=scope))
        await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, method: str, headers: Headers) -> ASGIApp | None:
        host = headers.get("host", "").lower()
        if not self._is_own(_hostname(host)):
            return JSONResponse({"error": f"This is not {host or 'a host without a name'}."}, 421)
        if method not in ("GET", "HEAD") and _is_foreign(headers, host):
            return JSONResponse({"error": "Another site's page may not ask here."}, 403)
        return None


def _is_foreign(headers: Headers, host: str) -> bool:
    """Whether a browser says that a page of another origin asks; programs say nothing."""
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return True
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin.lower()).netloc != host


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
