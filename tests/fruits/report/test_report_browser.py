"""The report in a real browser: opened from disk, without a network, with mouse, keyboard and a small screen."""

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fruits.catalog import TABLES
from fruits.report import write_report
from fruits.settings import load_settings
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from tests.fruits.report.test_report import NASTY, add_images, add_version

SIZES = {"phone": (390, 844), "desktop": (1280, 900)}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on photographs of three labels, one of which is markup."""
    folder = tmp_path_factory.mktemp("report")
    settings = load_settings(lake=str(folder / "lake"))
    lake = Lake(settings.lake)
    delta.create(lake, TABLES)
    add_images(lake, [(label, "Training", f"{n}.png") for label in ("Apple", "Kiwi", NASTY) for n in range(12)])
    add_version(lake)
    return Path(write_report(settings, str(folder / "report.html")))


def comes_true(page: Any, condition: str) -> None:
    """Ask the page until it says so; Playwright's own waiting evaluates words, which the page's policy forbids."""
    end = time.monotonic() + 10
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(20)


@pytest.fixture
def opened(browser: Any, report: Path) -> Iterator[Callable[..., Any]]:
    """Open the report; whatever the console says, and whatever is asked of a network, fails the test at its end."""
    wrong: list[str] = []
    contexts = []

    def page(size: str = "desktop", **options: object) -> Any:
        width, height = SIZES[size]
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **options))
        found = contexts[-1].new_page()
        found.on("console", lambda message: wrong.append(f"console: {message.text}"))
        found.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        found.on(
            "request", lambda asked: wrong.append(asked.url) if not asked.url.startswith(("file:", "data:")) else 0
        )
        found.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        found.goto(report.as_uri())
        comes_true(found, "document.querySelector('#plane canvas').where(0)")
        return found

    yield page
    for context in contexts:
        context.close()
    assert wrong == []


def inked(page: Any, plot: str) -> int:
    """Pixels of a plot that are drawn on."""
    found: int = page.evaluate(
        """(plot) => { const canvas = document.querySelector(`#${plot} canvas`);
        const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        let drawn = 0; for (let n = 3; n < pixels.length; n += 4) drawn += pixels[n] > 0; return drawn; }""",
        plot,
    )
    return found


def point_at(page: Any, plot: str, number: int) -> tuple[float, float]:
    """Where a photograph is on the screen."""
    canvas = page.locator(f"#{plot} canvas")
    canvas.evaluate("canvas => canvas.scrollIntoView({block: 'center', behavior: 'instant'})")
    box, (x, y, _) = canvas.bounding_box(), canvas.evaluate(f"canvas => canvas.where({number})")
    return box["x"] + x, box["y"] + y


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_plots_are_drawn_and_the_page_fits(opened: Callable[..., Any], size: str, scheme: str) -> None:
    """On a phone as on a desk, by day and by night; only tables and the list of sections scroll sideways."""
    page = opened(size, color_scheme=scheme, is_mobile=size == "phone", has_touch=size == "phone")
    assert inked(page, "plane") > 1000
    assert inked(page, "space") > 1000
    assert page.evaluate("document.documentElement.scrollWidth") == SIZES[size][0]
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


@pytest.mark.parametrize("plot", ["plane", "space"])
def test_pointing_at_a_photograph_shows_it(opened: Callable[..., Any], plot: str) -> None:
    """The picture itself, with its label, which is text whatever it holds; gone when the pointer is."""
    page = opened()
    tip = page.locator(f"#{plot} .tip")
    assert tip.is_hidden()
    page.mouse.move(*point_at(page, plot, 7))
    assert tip.is_visible()
    assert tip.locator("img").evaluate("image => image.complete && image.naturalWidth") > 0
    assert tip.locator("strong").inner_text() in ("Apple", "Kiwi", NASTY)
    page.mouse.move(1, 1)
    assert tip.is_hidden()


def test_label_that_is_markup_is_text(opened: Callable[..., Any]) -> None:
    """Beside its tick, at the pointer, and as it is read out."""
    page = opened()
    assert page.get_by_role("checkbox", name=f"{NASTY} (12)").is_checked()
    for label in ("Apple", "Kiwi"):
        page.get_by_role("checkbox", name=f"{label} (12)").uncheck()
    comes_true(page, "document.querySelector('#plane canvas').drawn() === 12")
    page.locator("#plane canvas").focus()
    page.keyboard.press("n")
    assert page.locator("#plane .tip strong").text_content() == NASTY
    assert str(page.locator("#spoken").text_content()).startswith(NASTY)


def test_tapping_a_photograph_shows_it(opened: Callable[..., Any]) -> None:
    """A finger has no hover."""
    page = opened("phone", is_mobile=True, has_touch=True)
    page.touchscreen.tap(*point_at(page, "plane", 3))
    assert page.locator("#plane .tip img").is_visible()


def test_label_can_be_hidden_and_shown(opened: Callable[..., Any]) -> None:
    """A label's photographs leave both plots with its tick, and None and All do that to all of them."""
    page = opened()
    drawn = "() => [...document.querySelectorAll('.plot canvas')].map((canvas) => canvas.drawn())"
    apples = page.get_by_role("checkbox", name="Apple (12)")
    apples.uncheck()
    comes_true(page, f"JSON.stringify(({drawn})()) === '[24,24]'")
    page.get_by_role("button", name="None").click()
    comes_true(page, f"JSON.stringify(({drawn})()) === '[0,0]'")
    page.get_by_role("button", name="All", exact=True).click()
    comes_true(page, f"JSON.stringify(({drawn})()) === '[36,36]'")
    assert apples.is_checked()


def test_keyboard_goes_from_photograph_to_photograph(opened: Callable[..., Any]) -> None:
    """What is shown is also said; Escape ends it, and arrows turn the space."""
    page = opened()
    canvas = page.locator("#space canvas")
    canvas.focus()
    page.keyboard.press("n")
    first = page.locator("#spoken").inner_text()
    page.keyboard.press("n")
    assert "PC1" in first
    assert page.locator("#spoken").inner_text() != first
    page.keyboard.press("Escape")
    assert page.locator("#space .tip").is_hidden()
    before = canvas.evaluate("canvas => canvas.where(0)")
    page.keyboard.press("ArrowRight")
    comes_true(page, f"document.querySelector('#space canvas').where(0)[0] !== {before[0]}")


def test_headings_pictures_and_controls_have_names(opened: Callable[..., Any]) -> None:
    """One first heading, none skipped; every picture has words, every table a caption, every control a name."""
    page = opened()
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map((h) => Number(h.tagName[1]))")
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.locator("img:not([alt]), img[alt='']").count() == 0
    assert page.locator("table:not(:has(caption))").count() == 0
    assert page.locator("button:not([aria-label])").all_inner_texts() == ["All", "None"]
    assert page.evaluate("document.querySelectorAll('main, nav, header, footer').length") == 4


def test_page_can_be_printed(opened: Callable[..., Any]) -> None:
    """Black on white, whatever the screen is."""
    page = opened(color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert inked(page, "plane") > 1000
