"""A real browser, for whatever the command serves or writes to be looked at."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

MARKUP = ("<b>&\"'", "</script><b>", "{{ 7*7 }}", "{% raw %}", "`ls`", "\u202eeht")
"""Names that would be something else than text: to HTML, to the page's script, to a template, to a reader's eye."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()
