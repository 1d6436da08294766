"""A lake of drawn photographs, and the app that serves it on this machine, by the server that `fruits app` starts."""

import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fruits.app.known import LakeView
from fruits.app.serve import listen, make_server
from fruits.demo.draw import draw_photographs
from fruits.operations.run import run_layers
from fruits.settings import Settings, load_settings

HOST = "127.0.0.1"
KINDS = ("Apple Red", "Banana", "Kiwi")


@dataclass(frozen=True)
class Answer:
    """What came back: status, headers by their names in lower case, and the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's value."""
        return json.loads(self.body)


@dataclass(frozen=True)
class App:
    """An app that is being served."""

    known: LakeView
    port: int

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return f"http://{HOST}:{self.port}"

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Ask it once; `headers` by their names with underscores."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        response = connection.getresponse()
        found = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        connection.close()
        return found


@pytest.fixture(scope="session")
def served_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The settings of a lake of three kinds of fruit."""
    folder = tmp_path_factory.mktemp("app")
    draw_photographs(folder / "photographs", views=8, kinds=KINDS, size=48)
    settings = load_settings(images=str(folder / "photographs"), lake=str(folder / "lake"), weights="untrained")
    run_layers(settings)
    return settings


@pytest.fixture(scope="session")
def fruit(served_settings: Settings) -> bytes:
    """A photograph that is in the lake, of a kiwi."""
    (path,) = Path(str(served_settings.images).removeprefix("file://")).glob("Training/Kiwi/0_*.jpg")
    return path.read_bytes()


@pytest.fixture(scope="session")
def app(served_settings: Settings) -> Iterator[App]:
    """The app on that lake."""
    known = LakeView(served_settings)
    with listen(HOST, 0) as listening:
        server = make_server(known, HOST)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield App(known, listening.getsockname()[1])
        server.should_exit = True
        thread.join()
