"""What runs inside the box: its network, its servers, and what it is told from outside.

Started by `tests.aws.box` in namespaces of its own. Each line of stdin is told to do something, as JSON; each line of
stdout is the answer. It ends with stdin.
"""

import fcntl
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from moto.cloudformation import parsing
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from tests import more_moto
from tests.aws.certificates import Authority
from tests.aws.front import Buckets, Front
from tests.aws.metadata import Issuer, MetadataService
from tests.aws.resolver import Resolver
from tests.fruits.emr.conftest import complete_a_step

REGION = "eu-west-3"
LOG = "requests.jsonl"
_FLAGS, _ADDRESS = 0x8914, 0x8916  # SIOCSIFFLAGS, SIOCSIFADDR of Linux' netdevice(7)
_UP = 0x1


def _set_up_network() -> None:
    """The loopback, and the metadata service's address on it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _FLAGS, struct.pack("16sh14x", b"lo", _UP))
        address = struct.pack("!2xH4s8x", 0, socket.inet_aton("169.254.169.254"))
        family = struct.pack("h", socket.AF_INET)
        fcntl.ioctl(any_socket, _ADDRESS, struct.pack("16s", b"lo:1") + family + address[2:])


def _set_up_names(folder: Path) -> None:
    """Names are asked of the box's own server, and of nobody else."""
    contents = {
        "hosts": f"127.0.0.1 localhost {socket.gethostname()}\n",
        "resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    }
    for name, content in contents.items():
        (folder / name).write_text(content)
        if not (there := Path("/etc") / name).exists():
            there.touch()
        subprocess.run(["mount", "--bind", str(folder / name), str(there)], check=True)


class _Inside:
    """The servers, and what they can be told."""

    def __init__(self, folder: Path) -> None:
        self._issuer, self._buckets = Issuer(), Buckets()
        self._metadata = MetadataService(self._issuer, REGION)
        Resolver("127.0.0.1", "amazonaws.com")
        self._authority = Authority(folder)
        parsing.DEFAULT_REGION = REGION  # of which moto takes a template's zones
        more_moto.know_releases(pytest.MonkeyPatch())  # for as long as this process lives
        application = DomainDispatcherApplication(create_backend_app)
        self._front = Front(application, self._issuer, self._buckets, folder / LOG)
        served = make_server("127.0.0.1", 443, self._front, True, request_handler=_Quiet)
        served.ssl_context = self._authority.context()
        # Each thread shakes hands for itself: one client that does not would keep all others waiting.
        served.socket = served.ssl_context.wrap_socket(served.socket, server_side=True, do_handshake_on_connect=False)
        served.daemon_threads = True  # type: ignore[attr-defined]  # of socketserver's mixin
        threading.Thread(target=served.serve_forever, daemon=True).start()

    def variables(self) -> dict[str, str]:
        """What a command that is run here needs in its environment."""
        return self._authority.variables()

    def lifetime(self, seconds: float) -> None:
        """Credentials made from now on live so long; those of before are taken back."""
        self._issuer.lifetime = timedelta(seconds=seconds)
        self._issuer.renew()

    def end_at(self, *requests: tuple[str, str]) -> None:
        """The credentials of the next request with this method and URI (a pattern) end with it, for each given."""
        self._front.ending = [(method, pattern) for method, pattern in requests]

    def not_ended(self) -> int:
        """How many of the requests that `end_at` was told have not come."""
        return len(self._front.ending)

    def take_role(self, name: str) -> None:
        """Credentials made from now on are of this role of IAM's; with no name they may do anything."""
        self._issuer.role = name
        self._issuer.renew()

    def complete_steps(self) -> None:
        """Clusters complete their steps from now on: moto's run nothing."""

        def work() -> None:
            while True:
                complete_a_step()
                time.sleep(0.05)

        threading.Thread(target=work, daemon=True).start()

    def issued(self) -> int:
        """How many credentials were made so far."""
        return len(self._issuer.issued)

    def speak(self) -> None:
        """The metadata service answers."""
        self._metadata.speak()

    def be_silent(self) -> None:
        """There is no metadata service."""
        self._metadata.be_silent()

    def public(self, *buckets: str) -> None:
        """These may be read by anybody."""
        self._buckets.public = [*buckets]

    def requester_pays(self, *buckets: str) -> None:
        """For these pays who asks."""
        self._buckets.requester_pays = [*buckets]


class _Quiet(MotoRequestHandler):
    disable_nagle_algorithm = True  # a short answer would wait 40 ms for an acknowledgement

    def log(self, type: str, message: str, *arguments: Any) -> None:
        """Say nothing."""


def main(folder: Path) -> None:
    """Set the box up, and do what stdin says until it ends."""
    _set_up_network()
    _set_up_names(folder)
    inside = _Inside(folder)
    print(json.dumps(inside.variables()), flush=True)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        told: Callable[..., object] = getattr(inside, name)
        print(json.dumps(told(*arguments)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
