"""The page of `fruits app` in a real browser: by mouse, keyboard, drop and paste, on a desk and on a phone."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fruits.app.known import LakeView
from tests.bronze.corpus import png_bomb
from tests.fruits.app.conftest import KINDS, SIZES, App
from tests.fruits.conftest import MARKUP

WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
GIVE = """([event, name, content, type]) => {
  const transfer = new DataTransfer(), bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
  transfer.items.add(new File([bytes], name, { type }));
  const made = event === "paste" ? new ClipboardEvent(event, { clipboardData: transfer, bubbles: true })
                                 : new DragEvent(event, { dataTransfer: transfer, bubbles: true, cancelable: true });
  document.body.dispatchEvent(made);
}"""
INK = """(canvas) => {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data, seen = new Set();
  for (let n = 0; n < pixels.length; n += 4) seen.add(pixels.slice(n, n + 4).join());
  return seen.size;
}"""


def file(content: bytes, name: str = "photograph.jpg", kind: str = "image/jpeg") -> dict[str, object]:
    """A file as the browser's dialogue gives it."""
    return {"name": name, "mimeType": kind, "buffer": content}


def answered(page: Any) -> str:
    """What the page says when it has an answer."""
    page.wait_for_selector("#answer:not([hidden])")
    return str(page.inner_text("#label"))


def refused(page: Any) -> str:
    """What the page says when it has none."""
    page.wait_for_selector("#error:not([hidden])")
    assert page.is_hidden("#answer")
    return str(page.inner_text("#error"))


def test_photograph_is_identified(opened: Callable[..., Any], fruit: bytes) -> None:
    """The label, how sure, the nearest with their pictures and distances, and the photograph itself."""
    page = opened()
    page.set_input_files("#file", file(fruit))
    assert answered(page) == "Kiwi"
    assert "% sure" in page.inner_text("#sure")
    page.evaluate("Promise.all([...document.querySelectorAll('#neighbours img')].map((one) => one.decode()))")
    cards = page.locator("#neighbours li")
    assert cards.count() == page.locator("#neighbours img").count() > 2
    assert cards.first.inner_text().splitlines()[0] == "Kiwi"
    assert "distance" in cards.first.inner_text()
    assert page.evaluate("document.getElementById('photograph').naturalWidth") == 48


def test_map_shows_where_it_lies(opened: Callable[..., Any], fruit: bytes) -> None:
    """Before there is an answer a point for each photograph, then the new one too, in the picture and in words."""
    page = opened()
    assert [text.rpartition(" ")[0] for text in page.locator("#legend button").all_inner_texts()] == [*KINDS]
    assert page.eval_on_selector("canvas", INK) > 10
    before = page.locator("canvas").screenshot()
    page.set_input_files("#file", file(fruit))
    answered(page)
    assert "PC1" in page.inner_text("#place")
    assert page.locator("#legend button[aria-pressed=true]").inner_text().startswith("Kiwi")
    assert page.locator("canvas").screenshot() != before


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_photograph_is_dropped_or_pasted(opened: Callable[..., Any], fruit: bytes, event: str) -> None:
    """Anywhere on the page."""
    page = opened()
    page.evaluate(GIVE, [event, "kiwi.jpg", base64.b64encode(fruit).decode(), "image/jpeg"])
    assert answered(page) == "Kiwi"


def test_keyboard_is_enough_and_the_answer_is_read_out(opened: Callable[..., Any], fruit: bytes) -> None:
    """Tab comes to the button, Enter opens the dialogue; the answer stands in a live region, the map in words."""
    page = opened()
    page.on("filechooser", lambda dialogue: dialogue.set_files(file(fruit)))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    page.keyboard.press("Enter")
    answered(page)
    assert page.get_by_role("status").inner_text().startswith("Kiwi.")
    assert page.get_by_role("img", name="Where it lies").is_visible()
    page.get_by_role("button", name="Banana").focus()
    page.keyboard.press("Enter")
    assert page.locator("#legend button[aria-pressed=true]").inner_text().startswith("Banana")


def test_text_is_refused(opened: Callable[..., Any]) -> None:
    """What it is not, and what is taken."""
    page = opened()
    page.set_input_files("#file", file(b"apples, pears\n", "list.txt", "text/plain"))
    assert refused(page).startswith("This is not a picture. Choose a photograph: JPEG, PNG")
    assert page.get_by_role("alert").is_visible()


def test_bomb_is_refused(opened: Callable[..., Any]) -> None:
    """A small file of 100 million pixels: by its header."""
    page = opened()
    page.set_input_files("#file", file(png_bomb(10_001), "bomb.png", "image/png"))
    assert "too many pixels: at most 50 megapixels" in refused(page)


def test_large_file_is_refused_without_sending_it(opened: Callable[..., Any], tmp_path: Path) -> None:
    """100 MB: the page knows the limit. A page that does not know it is told by the server."""
    large = tmp_path / "large.jpg"
    with large.open("wb") as sparse:
        sparse.truncate(100_000_000)
    page = opened()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.method))
    page.set_input_files("#file", large)
    assert refused(page) == "The file is too large: at most 32 MB are taken, and it has 95."
    assert "POST" not in asked
    sent = "fetch('identify', { method: 'POST', body: new Blob([new Uint8Array(1e8)]) }).then((told) => told.status)"
    assert page.evaluate(sent) == 413


def test_answer_follows_a_refusal(opened: Callable[..., Any], fruit: bytes) -> None:
    """What was wrong before is no longer said, nor is what was answered before."""
    page = opened()
    page.set_input_files("#file", file(fruit))
    answered(page)
    page.set_input_files("#file", file(b""))
    assert refused(page).startswith("The file is empty.")
    page.set_input_files("#file", file(fruit))
    assert answered(page) == "Kiwi"
    assert page.is_hidden("#error")


def test_stranger_is_told_in_a_friendly_way(
    opened: Callable[..., Any], app: App, fruit: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A photograph that is like none: so it says, and no label is brought out in the map."""
    known = app.known.identify(fruit)
    monkeypatch.setattr(LakeView, "identify", lambda *_: {**known, "known": False, "label": None})
    page = opened()
    page.set_input_files("#file", file(fruit))
    assert answered(page) == "None that I know"
    assert "not clearly nearer to one kind" in page.inner_text("#sure")
    assert page.locator("#legend button[aria-pressed=true]").count() == 0


@pytest.mark.parametrize("first", range(0, len(MARKUP), 3))
def test_names_are_text(
    opened: Callable[..., Any], app: App, fruit: bytes, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    """Labels and names of files that are markup: in the answer, on the cards and beside the map, and no element."""
    names = MARKUP[first : first + 3]
    drawn, told = app.known.map(), app.known.identify(fruit)
    neighbours = [{**told["neighbours"][0], "label": name, "name": name} for name in names]
    monkeypatch.setattr(LakeView, "map", lambda _: {**drawn, "labels": names})
    monkeypatch.setattr(LakeView, "identify", lambda *_: {**told, "label": names[0], "neighbours": neighbours})
    page = opened()
    page.set_input_files("#file", file(fruit))
    assert answered(page) == names[0]
    assert page.locator("#neighbours strong").all_text_contents() == [*names]
    assert page.eval_on_selector_all("#neighbours li", "items => items.map((item) => item.title)") == [*names]
    assert page.locator("#legend button").all_text_contents() == [f"{name} (8)" for name in names]
    assert page.locator("b, code").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_wider_than_the_screen(opened: Callable[..., Any], fruit: bytes, size: str, scheme: str) -> None:
    """On a phone's 390 pixels and on a desk, before and after an answer; on a phone the camera is offered."""
    phone = size == "phone"
    page = opened(size, color_scheme=scheme, is_mobile=phone, has_touch=phone)
    assert page.evaluate(WIDER) == 0
    page.set_input_files("#file", file(fruit))
    answered(page)
    assert page.evaluate(WIDER) == 0
    assert page.get_by_text("Take a photograph").is_visible() == phone
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")


def test_server_that_has_gone_is_said(opened: Callable[..., Any], fruit: bytes) -> None:
    """A page whose server has ended says so, and does not wait."""
    page = opened()
    page.route("**/identify", lambda route: route.abort())
    page.set_input_files("#file", file(fruit))
    assert "does not answer" in refused(page)
