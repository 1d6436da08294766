"""HTML that escapes by construction: text becomes markup by being put into an element, and no other way."""

import html
import json


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(tag: str, /, *children: "str | None", **attributes: object) -> Html:
    """An element: children that are no Html are escaped, attributes always.

    `class_` is `class`, `aria_label` is `aria-label`; an attribute that is None or False is left out.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items() if value not in (None, False))
    inner = "".join(text(child) for child in children if child is not None)
    return Html(f"<{tag}{written}>" if tag in _VOID else f"<{tag}{written}>{inner}</{tag}>")


_VOID = ("meta", "img")


def text(words: str) -> Html:
    """Words as HTML; what would steer a reader's eye or terminal is shown as its code."""
    if isinstance(words, Html):
        return words
    shown = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in words)
    return Html(html.escape(shown))


def join(*parts: str) -> Html:
    """Parts one after the other, each escaped unless it is Html."""
    return Html("".join(text(part) for part in parts))


def table(caption: str, columns: list[str], rows: list[list[str]], class_: str | None = None) -> Html:
    """A table with a caption; the first cell of a row is its heading. It scrolls by itself where it is too wide."""
    head = element("tr", *(element("th", column, scope="col") for column in columns))
    body = [element("tr", _first(row[0]), *(_cell(cell) for cell in row[1:])) for row in rows]
    made = element(
        "table",
        element("caption", element("span", caption)),
        element("thead", head),
        element("tbody", *body),
        class_=class_,
    )
    return element("div", made, class_="scroll", tabindex="0", role="region", aria_label=caption)


def data(identity: str, value: object) -> Html:
    """A JSON value for the page's script; no text in it can end the element."""
    written = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Html(f'<script type="application/json" id="{identity}">{written.replace("<", chr(92) + "u003c")}</script>')


def _attribute(key: str, value: object) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{text(str(value))}"'


def _first(cell: str) -> Html:
    return element("th", cell, scope="row")


def _cell(cell: str) -> Html:
    return cell if isinstance(cell, Html) and cell.startswith("<td") else element("td", cell)
