"""Labels and splits of `bronze.images`: those of corrections, and their counts."""

import json
from collections.abc import Mapping
from typing import NotRequired, TypedDict

from bronze.alike import labels_alike
from bronze.tables import CORRECTIONS, IMAGES
from lakehouse.engine.port import Engine, Rows
from lakehouse.tables.table import Row

LABELLED = ("label", "split", "given_label", "given_split", "corrected")
"""The columns of `bronze.images` that say what a photograph is of."""
Corrections = Mapping[str, tuple[str | None, str | None]]
"""By SHA-256 of the content: the label and the split that a person gave; None leaves what folder or manifest give."""


class LabelCounts(TypedDict):
    """What the photographs in `bronze.images` are labelled with: different labels, photographs without, and splits.

    `alike` are groups of labels that look alike, and is there only where some do; see `labels_alike`.
    """

    labels: int
    without_label: int
    splits: dict[str, int]
    alike: NotRequired[list[list[str]]]


def corrections_in_force(engine: Engine) -> Rows:
    """sha256, label and split of the newest correction of each content, unless that took another one back."""
    return engine.sql(
        """
        WITH ranked AS (
            SELECT sha256, label, split, row_number() OVER (PARTITION BY sha256 ORDER BY corrected_at DESC) AS place
            FROM corrections
        )
        SELECT sha256, label, split FROM ranked WHERE place = 1 AND (label IS NOT NULL OR split IS NOT NULL)
        """,
        corrections=engine.rows(CORRECTIONS, ["sha256", "label", "split", "corrected_at"]),
    )


def read_corrections(engine: Engine) -> Corrections:
    """The corrections in force, in memory: some 200 bytes each."""
    rows = engine.arrow(corrections_in_force(engine)).to_pylist()
    return {row["sha256"]: (row["label"], row["split"]) for row in rows}


def labelled(given_label: str | None, given_split: str | None, sha256: str, corrections: Corrections) -> Row:
    """The columns LABELLED of a photograph, by what folder or manifest give and the corrections in force."""
    correct_label, correct_split = corrections.get(sha256, (None, None))
    label = given_label if correct_label is None else correct_label
    split = given_split if correct_split is None else correct_split
    corrected = (label, split) != (given_label, given_split)
    return dict(zip(LABELLED, (label, split, given_label, given_split, corrected), strict=True))


def relabel_images(engine: Engine, files: Rows) -> int:
    """Give rows of `bronze.images` the labels they should have; returns how many.

    Args:
        engine: what computes.
        files: path, new_label, new_split, given_label, given_split of these rows.
    """
    rows = engine.sql(
        """
        SELECT path, new_label AS label, new_split AS split, given_label, given_split,
               new_label IS DISTINCT FROM given_label OR new_split IS DISTINCT FROM given_split AS corrected
        FROM files
        """,
        files=files,
    )
    return engine.update(rows, IMAGES)


def count_labels(engine: Engine) -> LabelCounts:
    """Count labels and splits; reads these two columns."""
    counted = engine.sql(
        "SELECT label, split, count(*) AS n FROM images GROUP BY label, split",
        images=engine.rows(IMAGES, ["label", "split"]),
    )
    rows = engine.arrow(counted).to_pylist()
    splits = sorted({row["split"] for row in rows if row["split"] is not None})
    labels = {row["label"] for row in rows if row["label"] is not None}
    counts = LabelCounts(
        labels=len(labels),
        without_label=sum(row["n"] for row in rows if row["label"] is None),
        splits={split: sum(row["n"] for row in rows if row["split"] == split) for split in splits},
    )
    if alike := labels_alike(labels):
        counts["alike"] = alike
    return counts


def counts_to_text(counts: LabelCounts) -> str:
    """As a mark in a commit's metadata."""
    return json.dumps(counts, ensure_ascii=False)


def counts_from_text(text: str) -> LabelCounts:
    """From a mark."""
    counts: LabelCounts = json.loads(text)
    return counts
