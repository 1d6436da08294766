"""What the components show: how much they explain, how the photographs lie, and what lies at their ends."""

from fruits.report import charts
from fruits.report.contents import Projected, Report
from fruits.report.markup import Html, data, element, join, table
from fruits.report.parts import LABELS_LISTED, NO_PROJECTIONS, card, label_name, short_path, words_of
from fruits.report.sample import End, Sample


def variance(report: Report) -> Html:
    """How much the components explain: the cumulative curve, with threshold and k."""
    found = report.variance
    if found is None:
        return words_of("There is no PCA yet: it needs two photographs that differ, and `fruits run`.")
    k, explained = found.components, found.cumulative[found.components - 1]
    words = f"{k} components explain {explained:.2%} of the variance; the threshold is {found.threshold:.0%}."
    rows = []
    for share in sorted({0.5, 0.8, 0.9, 0.95, found.threshold}):
        needed = next((n for n, c in enumerate(found.cumulative, start=1) if c >= share - 1e-12), None)
        rows.append([f"{share:.0%}", f"{needed:,}" if needed else "–"])
    caption = "The cumulative share of the variance (line) and each component's (bars); dashed: threshold and k."
    figure = element(
        "figure",
        charts.variance_curve(found.ratio, found.cumulative, k, found.threshold, words),
        element("figcaption", caption),
    )
    needed_table = table("Components that are needed", ["share of the variance", "components"], rows, class_="narrow")
    return join(words_of(words), element("div", figure, needed_table, class_="beside"))


def places(report: Report) -> Html:
    """How the photographs lie: two plots, and the labels' means as figures."""
    projected = report.projected
    if projected is None:
        return words_of(NO_PROJECTIONS)
    keys = "Point at a photograph, or tap it, to see it."
    keys += " With the keyboard: n and p go from one to the next, Escape ends that, + and − zoom, 0 goes back."
    return join(
        words_of(sampled(projected.sample, report.thumbnails)),
        element("noscript", words_of("The plots need JavaScript; the table below does not.")),
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


def meaning(report: Report) -> Html:
    """The photographs at both ends of each leading component."""
    projected, variance = report.projected, report.variance
    if projected is None:
        return words_of(NO_PROJECTIONS)
    made = []
    for number, (low, high) in enumerate(projected.ends, start=1):
        share = f" explains {variance.ratio[number - 1]:.1%}" if variance else ""
        sides = [
            element("div", element("h4", words), _strip(end, report.thumbnails))
            for words, end in (("low end", low), ("high end", high))
        ]
        made.append(element("article", element("h3", f"PC{number}{share}"), *sides, class_="ends"))
    return join(
        words_of("Of all photographs, those that lie furthest out."), element("div", *made, class_="components")
    )


def _strip(end: End, thumbnails: dict[str, str]) -> Html:
    return element(
        "ul", *(card(path, label_name(label), thumbnails) for path, label in end.photographs), class_="strip"
    )


def points(report: Report) -> Html:
    """What the script draws; paths are told without what all of them begin with."""
    if report.projected is None:
        return data("points", None)
    sample = report.projected.sample
    labels = sorted({label_name(label) for label in sample.labels})
    places = {label: number for number, label in enumerate(labels)}
    shown = sample.components[:, :3]
    return data(
        "points",
        {
            "labels": labels,
            "label": [places[label_name(label)] for label in sample.labels],
            "split": [split or "" for split in sample.splits],
            "name": [short_path(path) for path in sample.paths],
            "at": [[float(f"{value:.5g}") for value in column] for column in shown.T.tolist()],
            "picture": [report.thumbnails.get(path) for path in sample.paths],
        },
    )
