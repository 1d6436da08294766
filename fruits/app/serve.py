"""Start the web server, on this machine alone unless another host is named."""

import socket
from contextlib import closing, suppress

import uvicorn

from fruits.app.connection import Connection
from fruits.app.guard import is_loopback
from fruits.app.known import LakeView
from fruits.app.server import make_app
from fruits.console import ERR, OUT, bars
from fruits.settings import Settings
from lakehouse.errors import SettingsError

_WARNING = (
    "Whoever reaches this machine over its network can ask, and sees the photographs of the lake that are nearest: "
    "there is no password, and nothing is encrypted. Without --host only this machine can."
)


def serve_app(settings: Settings, host: str, port: int) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        SettingsError: host and port cannot be listened on.
        LakehouseError: there is no lake, or it has no champion.
    """
    with listen(host, port) as listening:
        with bars("app"):
            known = LakeView(settings)
        with closing(known):
            announce(listening, host)
            with suppress(KeyboardInterrupt):  # which uvicorn raises again when it has ended
                make_server(known, host).run(sockets=[listening])


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; opened before what takes long, so that a port that is taken is told at once.

    Raises:
        SettingsError: it cannot be listened on.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise SettingsError(
            f"Nothing can listen on {host}, port {port}: {error.strerror}. Name another with --port or --host."
        ) from error


def announce(listening: socket.socket, host: str) -> None:
    """Print the page's address on stdout, and a warning on stderr where others can reach it."""
    if not is_loopback(host):
        ERR.print(_WARNING, style="yellow", soft_wrap=True)
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    port = listening.getsockname()[1]
    OUT.print(
        f"What fruit is it? http://{f'[{name}]' if ':' in name else name}:{port}  (Ctrl-C ends it)", soft_wrap=True
    )


def make_server(known: LakeView, host: str) -> uvicorn.Server:
    """The server: quiet, for a client may make it say what it likes as often as it likes, and patient with none."""
    return uvicorn.Server(
        uvicorn.Config(
            make_app(known, host),
            http=Connection,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=3,
        )
    )
