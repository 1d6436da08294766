"""The report as a page: sections in the order of the questions that they answer."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from importlib.resources import files
from itertools import accumulate

import numpy as np

from fruits.report import charts
from fruits.report.contents import Projected, Report
from fruits.report.held import HeldFile
from fruits.report.holdings import Copies
from fruits.report.markup import Html, data, element, join, table, text
from fruits.report.sample import End, Sample
from fruits.report.versions import ModelVersion

LABELS_LISTED = 200
LABELS_COMPARED = 30
BATCHES_LISTED = 50
UNLABELLED = "(no label)"
_NO_PROJECTIONS = "There are no projections yet: `fruits run` makes them."


def make_page(report: Report) -> str:
    """The whole page."""
    style, script = _file("page.css"), _file("page.js")
    policy = f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
    policy += "base-uri 'none'; form-action 'none'"
    title = f"Fruits lakehouse: {_short(report.lake)}"
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
        element("footer", _words("Made by `fruits report`; it shows the lake as it was then.")),
        _points(report),
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


# ---- what is in the lake --------------------------------------------------------------------------------------------


def _counts(report: Report) -> Html:
    holdings = report.holdings
    if holdings is None:
        return _words("There are no photographs yet: `fruits run --images FOLDER` takes them up.")
    splits, labels = holdings.splits, sorted(holdings.labels, key=lambda label: -holdings.of_label(label))
    listed = [label for label in holdings.labels if label in set(labels[:LABELS_LISTED])]
    most = max(map(holdings.of_label, listed))
    rows = []
    for label in listed:
        parts = [holdings.counts.get((label, split), 0) for split in splits]
        rows.append([_label(label), *(f"{part:,}" for part in parts), f"{sum(parts):,}", charts.bar(parts, most)])
    columns = ["label", *(_key(n, split or "(no split)") for n, split in enumerate(splits)), "all", "share"]
    caption = "Photographs by label and split"
    if len(listed) < len(labels):
        caption += f"; the {len(listed)} labels with the most, of {len(labels):,}"
    return join(table(caption, columns, rows), _growth(report))


def _growth(report: Report) -> Html:
    assert report.holdings is not None
    batches = report.holdings.batches
    totals = list(accumulate(count for _, _, count in batches))
    rows = [
        [
            str(number),
            f"{at:%Y-%m-%d %H:%M}",
            f"{count:,}",
            f"{total:,}",
            charts.bar([total - count, count], totals[-1]),
        ]
        for (number, at, count), total in zip(batches, totals, strict=True)
    ][-BATCHES_LISTED:]
    caption = "Growth by batch: photographs by the batch that brought what they are now"
    return table(caption, ["batch", "at (UTC)", _key(1, "new"), _key(0, "all"), "growth"], rows)


def _held(report: Report) -> Html:
    held = report.held
    if held is None:
        return _words("Nothing is held back.")
    reasons = [[reason, f"{count:,}", _code(advice)] for reason, count, advice in held.reasons]
    note = f"The newest {len(held.files)} of {held.count:,}; `fruits quarantine --all` lists them all."
    return join(
        table("Files that are no photographs, by reason", ["reason", "files", "what to do"], reasons),
        element("h3", "The newest"),
        _words(note) if held.count > len(held.files) else None or Html(""),
        element("ul", *map(_held_file, held.files), class_="cards"),
    )


def _held_file(file: HeldFile) -> Html:
    seen = _image(file.picture, f"what can be seen of {_name(file.path)}") if file.picture else _no_picture()
    return element(
        "li",
        seen,
        element("span", file.reason, class_="tag"),
        element("span", _name(file.path), class_="name"),
        element("small", f"{_label(file.label)}, {file.length:,} bytes. {file.detail}"),
    )


# ---- what the components show ---------------------------------------------------------------------------------------


def _variance(report: Report) -> Html:
    variance = report.variance
    if variance is None:
        return _words("There is no PCA yet: it needs two photographs that differ, and `fruits run`.")
    k, explained = variance.components, variance.cumulative[variance.components - 1]
    words = f"{k} components explain {explained:.2%} of the variance; the threshold is {variance.threshold:.0%}."
    rows = []
    for share in sorted({0.5, 0.8, 0.9, 0.95, variance.threshold}):
        needed = next((n for n, c in enumerate(variance.cumulative, start=1) if c >= share - 1e-12), None)
        rows.append([f"{share:.0%}", f"{needed:,}" if needed else "–"])
    caption = "The cumulative share of the variance (line) and each component's (bars); dashed: threshold and k."
    figure = element(
        "figure",
        charts.variance_curve(variance.ratio, variance.cumulative, k, variance.threshold, words),
        element("figcaption", caption),
    )
    needed_table = table("Components that are needed", ["share of the variance", "components"], rows, class_="narrow")
    return join(_words(words), element("div", figure, needed_table, class_="beside"))


def _lie(report: Report) -> Html:
    projected = report.projected
    if projected is None:
        return _words(_NO_PROJECTIONS)
    keys = "Point at a photograph, or tap it, to see it."
    keys += " With the keyboard: n and p go from one to the next, Escape ends that, + and − zoom, 0 goes back."
    return join(
        _words(sampled(projected.sample, report.thumbnails)),
        element("noscript", _words("The plots need JavaScript; the table below does not.")),
        element("fieldset", element("legend", "Labels"), element("div", id="labels"), class_="labels", hidden=True),
        element("p", keys, class_="hint", id="keys"),
        element(
            "div",
            _plot("plane", "PC1 and PC2", "Drag to move."),
            _plot("space", "PC1, PC2 and PC3", "Drag, or use the arrow keys, to turn."),
            class_="plots",
        ),
        element("p", id="spoken", class_="unseen", aria_live="polite"),
        _centers(projected),
    )


def sampled(sample: Sample, thumbnails: dict[str, str]) -> str:
    """How the photographs that are drawn were chosen, and how many of them can be seen."""
    if len(sample) == sample.of:
        words = f"All {sample.of:,} photographs are drawn."
    else:
        words = (
            f"{len(sample):,} of {sample.of:,} photographs are drawn and compared: a fourth shared evenly among the "
            "labels, the rest at random (by a hash of the path, so the same ones each time). Counts, ends of "
            "components and distances of labels are of all photographs."
        )
    seen = sum(path in thumbnails for path in sample.paths)
    if seen < len(sample):
        words += f" {seen:,} of them can be seen; the others' content would be too much to read."
    return words


def _plot(identity: str, name: str, hint: str) -> Html:
    buttons = [
        element("button", sign, type="button", data_zoom=zoom, aria_label=f"{words} in {name}")
        for sign, zoom, words in (
            ("+", "in", "Zoom in"),
            ("−", "out", "Zoom out"),
            ("Reset", "reset", "Reset the view"),
        )
    ]
    canvas = element("canvas", tabindex="0", role="img", aria_label=f"Scatter plot of {name}", aria_describedby="keys")
    return element(
        "figure",
        element("figcaption", element("strong", name), " ", element("span", hint, class_="hint")),
        element("div", canvas, element("div", class_="tip", hidden=True), class_="frame"),
        element("div", *buttons, class_="buttons"),
        id=identity,
        class_="plot",
    )


def _centers(projected: Projected) -> Html:
    centroids = projected.centroids.largest(LABELS_LISTED)
    rows = [
        [label, f"{count:,}", *(f"{value:.2f}" for value in center[:3])]
        for label, count, center in zip(centroids.labels, centroids.counts, centroids.centers, strict=True)
    ]
    columns = ["label", "photographs", *(f"PC{n + 1}" for n in range(min(3, centroids.centers.shape[1])))]
    if not rows:
        return Html("")
    made = table("Where the labels lie: the mean of their photographs", columns, rows)
    return element("details", element("summary", "The same as figures"), made)


def _meaning(report: Report) -> Html:
    projected, variance = report.projected, report.variance
    if projected is None:
        return _words(_NO_PROJECTIONS)
    made = []
    for number, (low, high) in enumerate(projected.ends, start=1):
        share = f" explains {variance.ratio[number - 1]:.1%}" if variance else ""
        sides = [
            element("div", element("h4", words), _strip(end, report.thumbnails))
            for words, end in (("low end", low), ("high end", high))
        ]
        made.append(element("article", element("h3", f"PC{number}{share}"), *sides, class_="ends"))
    return join(_words("Of all photographs, those that lie furthest out."), element("div", *made, class_="components"))


def _strip(end: End, thumbnails: dict[str, str]) -> Html:
    return element("ul", *(_card(path, _label(label), thumbnails) for path, label in end.photographs), class_="strip")


def _alike(report: Report) -> Html:
    if report.projected is None:
        return _words(_NO_PROJECTIONS)
    everything = report.projected.centroids
    if len(everything.labels) < 2:
        return _words("There are not two labels to compare.")
    centroids = everything.largest(LABELS_COMPARED)
    distances = centroids.distances
    rows, columns = np.triu_indices(len(centroids.labels), 1)
    order = np.argsort(distances[rows, columns], kind="stable")[:3]
    closest = "; ".join(
        f"{centroids.labels[rows[n]]} and {centroids.labels[columns[n]]} ({distances[rows[n], columns[n]]:.1f})"
        for n in order
    )
    spread = float(np.average(everything.spread, weights=everything.counts))
    words = f"The closest are {closest}. Around its label's centroid a photograph lies {spread:.1f} away (root mean "
    words += "square): labels that are closer than that overlap."
    caption = (
        "Distance between the centroids of two labels among all components; the stronger the colour, the more alike"
    )
    if len(centroids.labels) < len(everything.labels):
        caption += f"; the {LABELS_COMPARED} labels with the most photographs, of {len(everything.labels):,}"
    return join(_words(words), charts.heat_map(caption, centroids.labels, distances))


def _odd(report: Report) -> Html:
    projected, holdings = report.projected, report.holdings
    parts: list[Html] = []
    if projected is not None:
        sample, found, seen = projected.sample, projected.neighbours, report.thumbnails
        suspects = [_two(sample, one.photograph, one.other, _doubt(one.ratio), seen) for one in found.suspects]
        pairs = [_two(sample, one.one, one.other, f"{one.distance:.2f} apart", seen) for one in found.pairs]
        parts += _pairs(
            "Labels in doubt", suspects, "No photograph has a neighbour of another label.",
            "Each with the nearest photograph of another label. The number says how many times as far the nearest of "
            "its own label is: above 1 it lies among the others.",
        )  # fmt: skip
        parts += _pairs(
            "Near-duplicates", pairs, "There are no two photographs to compare.",
            f"The closest pairs of different content; usually the nearest photograph is {found.usual:.2f} away. In "
            "two splits they let a model be tested on what it was trained on.",
        )  # fmt: skip
    if holdings is not None:
        copies = [_copies(one, report.thumbnails) for one in holdings.copies]
        parts += _pairs(
            "The same bytes twice", copies, "No photograph is held under two paths.",
            f"{holdings.surplus:,} of {holdings.images:,} photographs are held under another path too.",
        )  # fmt: skip
    return join(*parts) if parts else _words(_NO_PROJECTIONS)


def _pairs(name: str, items: Sequence[Html], none: str, words: str) -> list[Html]:
    heading = element("h3", name)
    return [heading, _words(words), element("ol", *items, class_="pairs")] if items else [heading, _words(none)]


def _doubt(ratio: float) -> str:
    return f"{ratio:.2f} ×" if np.isfinite(ratio) else "the same bytes"


def _two(sample: Sample, one: int, other: int, words: str, thumbnails: dict[str, str]) -> Html:
    cards = [
        _card(sample.paths[n], " · ".join(filter(None, (_label(sample.labels[n]), sample.splits[n]))), thumbnails)
        for n in (one, other)
    ]
    return element("li", element("strong", words), element("ul", *cards, class_="strip"))


def _copies(copies: Copies, thumbnails: dict[str, str]) -> Html:
    words = f"{copies.count:,} paths" + (", under different labels or splits" if copies.apart else "")
    cards = [_card(path, "", thumbnails, copies.paths[0]) for path in copies.paths]
    return element("li", element("strong", words), element("ul", *cards, class_="strip"))


def _differ(report: Report) -> Html:
    if not report.versions:
        return _words("There is no PCA yet.")
    current = report.variance.version if report.variance else None
    rows = [_version(version, current) for version in reversed(report.versions)]
    columns = ["version", "fitted (UTC)", "photographs", "k", "explained", "threshold", "why"]
    columns += ["angle to the one before", "its scaler"]
    words = "Angles are the principal angles between the subspaces that the components of two versions span: 0° where "
    words += "one holds the other, 90° where a direction of one has no part in the other. Under another scaler the "
    words += "components are taken into the space of the version before, so that what they measure is compared."
    return join(table("Versions of the PCA, the newest first", columns, rows), _words(words))


def _version(version: ModelVersion, current: int | None) -> list[str]:
    angles = version.angles
    first = f"{version.number}" + (" (in use)" if version.number == current else "")
    apart = f"mean {angles.mean:.1f}°, largest {angles.largest:.1f}°" if angles else version.unknown or "–"
    return [
        first,
        f"{version.fitted_at:%Y-%m-%d %H:%M}",
        f"{version.images:,}",
        f"{version.components:,}",
        f"{version.explained:.2%}",
        f"{version.threshold:.0%}",
        version.reason,
        apart,
        f"{version.scaler}" + (f", {angles.scaler}" if angles else ""),
    ]


_SECTIONS: list[tuple[str, str, Callable[[Report], Html]]] = [
    ("counts", "What is there", _counts),
    ("held", "What was held back", _held),
    ("variance", "How much the components explain", _variance),
    ("lie", "How the photographs lie", _lie),
    ("meaning", "What the leading components mean", _meaning),
    ("alike", "Which labels look alike", _alike),
    ("odd", "Odd ones out", _odd),
    ("versions", "How PCA versions differ", _differ),
]


# ---- parts ----------------------------------------------------------------------------------------------------------


def _words(words: str) -> Html:
    return element("p", _code(words))


def _code(words: str) -> Html:
    """Words of ours, in which what stands in backquotes is code."""
    return join(*(element("code", part) if n % 2 else text(part) for n, part in enumerate(words.split("`"))))


def _key(part: int, words: str) -> Html:
    """A column's heading with the colour of its part of the bars."""
    return join(element("span", class_=f"key key{part % 4}"), words)


def _label(label: str | None) -> str:
    return UNLABELLED if label is None else label


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _short(path: str) -> str:
    return "/".join(path.split("/")[-2:])


def _image(content: str, words: str) -> Html:
    return element("img", src=f"data:image/webp;base64,{content}", alt=words)


def _no_picture() -> Html:
    return element("span", "no picture", class_="none")


def _card(path: str, words: str, thumbnails: dict[str, str], content: str | None = None) -> Html:
    """A photograph with its name; `content` is the path of the same bytes where its own is not at hand."""
    found = thumbnails.get(path) or thumbnails.get(content or path)
    picture = _image(found, f"{words or 'photograph'}: {_name(path)}") if found else _no_picture()
    return element("li", picture, element("span", words) if words else None, element("small", _name(path)), title=path)


def _points(report: Report) -> Html:
    """What the script draws; paths are told without what all of them begin with."""
    if report.projected is None:
        return data("points", None)
    sample = report.projected.sample
    labels = sorted({_label(label) for label in sample.labels})
    places = {label: number for number, label in enumerate(labels)}
    shown = sample.components[:, :3]
    return data(
        "points",
        {
            "labels": labels,
            "label": [places[_label(label)] for label in sample.labels],
            "split": [split or "" for split in sample.splits],
            "name": [_short(path) for path in sample.paths],
            "at": [[float(f"{value:.5g}") for value in column] for column in shown.T.tolist()],
            "picture": [report.thumbnails.get(path) for path in sample.paths],
        },
    )
