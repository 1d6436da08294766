"""The report as a page: sections in the order of the questions that they answer."""

import base64
import hashlib
from collections.abc import Callable
from importlib.resources import files

from fruits.report import section_components, section_labels, section_lake, section_versions
from fruits.report.contents import Report
from fruits.report.markup import Html, element
from fruits.report.parts import short_path, words_of

_SECTIONS: list[tuple[str, str, Callable[[Report], Html]]] = [
    ("counts", "What is there", section_lake.counts),
    ("held", "What was held back", section_lake.held_back),
    ("variance", "How much the components explain", section_components.variance),
    ("lie", "How the photographs lie", section_components.places),
    ("meaning", "What the leading components mean", section_components.meaning),
    ("alike", "Which labels look alike", section_labels.likeness),
    ("odd", "Odd ones out", section_labels.odd_ones),
    ("versions", "How PCA versions differ", section_versions.versions),
]


def make_page(report: Report) -> str:
    """The whole page."""
    style, script = _file("page.css"), _file("page.js")
    policy = f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
    policy += "base-uri 'none'; form-action 'none'"
    title = f"Fruits lakehouse: {short_path(report.lake)}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        Html(f"<style>{style}</style>"),
    )
    sections = [(identity, name, make(report)) for identity, name, make in _SECTIONS]
    links = [element("a", name, href=f"#{identity}") for identity, name, _ in sections]
    body = element(
        "body",
        element("a", "To the contents", href="#main", class_="skip"),
        element("header", element("h1", "What is in the lake"), _about(report), _tiles(report)),
        element("nav", *links, aria_label="Sections"),
        element("main", *(_section(*section) for section in sections), id="main"),
        element("footer", words_of("Made by `fruits report`; it shows the lake as it was then.")),
        section_components.points(report),
        Html(f"<script>{script}</script>"),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _file(name: str) -> str:
    return files("fruits.report").joinpath(name).read_text(encoding="utf-8")


def _digest(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _section(identity: str, name: str, content: Html) -> Html:
    return element("section", element("h2", name, id=identity), content, aria_labelledby=identity)


def _about(report: Report) -> Html:
    return element("p", f"{report.lake}, {report.made_at:%Y-%m-%d %H:%M} UTC", class_="about")


def _tiles(report: Report) -> Html:
    holdings, variance = report.holdings, report.variance
    tiles = [("photographs", f"{holdings.images if holdings else 0:,}")]
    if holdings:
        tiles.append(("labels", f"{sum(label is not None for label in holdings.labels):,}"))
    tiles.append(("held back", f"{report.held.count if report.held else 0:,}"))
    if variance:
        explained = variance.cumulative[variance.components - 1]
        tiles += [(f"components explain {explained:.1%}", f"{variance.components:,}")]
        tiles += [("PCA version", f"{variance.version}")]
    return element("dl", *(element("div", element("dt", name), element("dd", value)) for name, value in tiles))
