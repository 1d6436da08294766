"""What is in the lake, how it grew, and what was held back."""

from itertools import accumulate

from fruits.report import charts
from fruits.report.contents import Report
from fruits.report.held import HeldFile
from fruits.report.markup import Html, element, join, table
from fruits.report.parts import LABELS_LISTED, file_name, image, key, label_name, no_picture, with_code, words_of

BATCHES_LISTED = 50


def counts(report: Report) -> Html:
    """Photographs by label and split, and by batch."""
    holdings = report.holdings
    if holdings is None:
        return words_of("There are no photographs yet: `fruits run --images FOLDER` takes them up.")
    splits, labels = holdings.splits, sorted(holdings.labels, key=lambda label: -holdings.of_label(label))
    listed = [label for label in holdings.labels if label in set(labels[:LABELS_LISTED])]
    most = max(map(holdings.of_label, listed))
    rows = []
    for label in listed:
        parts = [holdings.counts.get((label, split), 0) for split in splits]
        rows.append([label_name(label), *(f"{part:,}" for part in parts), f"{sum(parts):,}", charts.bar(parts, most)])
    columns = ["label", *(key(n, split or "(no split)") for n, split in enumerate(splits)), "all", "share"]
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
    return table(caption, ["batch", "at (UTC)", key(1, "new"), key(0, "all"), "growth"], rows)


def held_back(report: Report) -> Html:
    """What was held back, by reason, and the newest of it."""
    held = report.held
    if held is None:
        return words_of("Nothing is held back.")
    reasons = [[reason, f"{count:,}", with_code(advice)] for reason, count, advice in held.reasons]
    note = f"The newest {len(held.files)} of {held.count:,}; `fruits quarantine --all` lists them all."
    return join(
        table("Files that are no photographs, by reason", ["reason", "files", "what to do"], reasons),
        element("h3", "The newest"),
        words_of(note) if held.count > len(held.files) else None or Html(""),
        element("ul", *map(_held_file, held.files), class_="cards"),
    )


def _held_file(file: HeldFile) -> Html:
    seen = image(file.picture, f"what can be seen of {file_name(file.path)}") if file.picture else no_picture()
    return element(
        "li",
        seen,
        element("span", file.reason, class_="tag"),
        element("span", file_name(file.path), class_="name"),
        element("small", f"{label_name(file.label)}, {file.length:,} bytes. {file.detail}"),
    )
