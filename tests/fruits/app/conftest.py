"""A lake of drawn photographs, and the app that serves it on this machine, by the server that `fruits app` starts."""

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fruits.app.known import LakeView
from fruits.app.serve import listen, make_server
from fruits.demo.draw import draw_photographs
from fruits.operations.run import run_layers
from fruits.settings import Settings, load_settings
from tests.fruits.app.serving import HOST as HOST
from tests.fruits.app.serving import READER_MORE, SERVER_MORE, Answer, Server, serving

KINDS = ("Apple Red", "Banana", "Kiwi")
SIZES = {"phone": (390, 844), "desk": (1280, 900)}


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


@pytest.fixture(scope="session")
def server(served_settings: Settings) -> Iterator[Server]:
    """The command on that lake, as a process of its own."""
    with serving(served_settings.lake) as started:
        yield started


@pytest.fixture
def unhurt(server: Server, fruit: bytes) -> Iterator[None]:
    """Whatever a client did: the next photograph is answered, and the processes are within bounds."""
    assert server.ask(fruit).json["label"] == "Kiwi"
    before = server.largest()
    yield
    assert server.ask(fruit).json["label"] == "Kiwi"
    after = server.largest()
    assert after[0] - before[0] < SERVER_MORE
    assert after[1] - before[1] < READER_MORE


@pytest.fixture
def opened(browser: Any, app: App) -> Iterator[Callable[..., Any]]:
    """Open the page; what goes wrong in it, and whatever is asked of others than the app, fails the test at its end.

    The browser itself notes that an answer was a refusal, or did not come; the page shows that, which tests look at.
    """
    wrong: list[str] = []
    contexts = []

    def open_page(size: str = "desk", **options: object) -> Any:
        width, height = SIZES[size]
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **options))
        page = contexts[-1].new_page()
        page.on("console", lambda said: None if _is_noted(said.text) else wrong.append(f"console: {said.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("request", lambda asked: None if _is_own(asked.url, app) else wrong.append(f"asked {asked.url}"))
        page.goto(app.url)
        page.wait_for_selector("#legend button")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def _is_noted(said: str) -> bool:
    return said.startswith("Failed to load resource:") and ("status of 4" in said or "ERR_FAILED" in said)


def _is_own(url: str, app: App) -> bool:
    return url.startswith((f"{app.url}/", f"blob:{app.url}/"))
