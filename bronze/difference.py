"""Compare a listing with the tables: which files must be read, and which rows have another label than they should."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

from bronze.discover import LISTING
from bronze.labels import LABELLED
from bronze.reasons import Reason
from lakehouse.arrow import pc
from lakehouse.engine.port import Batches, Engine, Given, Rows
from lakehouse.storage.folder_rules import hides
from lakehouse.storage.uri import on_disk
from lakehouse.tables.table import INSTANT


class FileChange(StrEnum):
    """What has become of a file since the tables were written; only the first two are read."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    GONE = "gone"
    UNSEEN = "unseen"
    ELSEWHERE = "elsewhere"


IMAGES_COMPARED = ("path", "length", "modification_time", *LABELLED)
"""The columns of `bronze.images` that are compared; with corrections, `sha256` too."""
QUARANTINE_COMPARED = ("path", "length", "modification_time", "label", "reason", "detail")
"""The columns of `bronze.quarantine` that are compared."""


DIFFERENCE = pa.schema(
    [
        *(LISTING.field(name) for name in LISTING.names if name != "fingerprint"),
        ("change", pa.string()),
        ("in_images", pa.bool_()),
        ("in_quarantine", pa.bool_()),
        ("relabelled", pa.bool_()),
        ("new_label", pa.string()),
        ("new_split", pa.string()),
        ("given_label", pa.string()),
        ("given_split", pa.string()),
        ("held_relabelled", pa.bool_()),
    ]
)
"""The columns that `difference_of_files` returns."""


@dataclass(frozen=True)
class KeepUnseen:
    """From DIFFERENCE to DIFFERENCE: files below folders that nobody has looked into are UNSEEN, and not GONE."""

    folders: frozenset[str]

    def __call__(self, files: Given) -> Batches:
        """Look at the files that are gone."""
        for batch in files:
            gone = pc.equal(batch.column("change"), FileChange.GONE.value)
            if pc.any(gone).as_py():
                unseen = [path is not None and self._is_below(path) for path in _where(batch.column("path"), gone)]
                change = pc.if_else(pa.array(unseen), FileChange.UNSEEN.value, batch.column("change"))
                batch = batch.set_column(batch.schema.get_field_index("change"), "change", change)
            yield batch

    def _is_below(self, path: str) -> bool:
        at = path.rfind("/")
        while at > 0:
            if path[:at] in self.folders:
                return True
            at = path.rfind("/", 0, at)
        return False


def folders_unseen(engine: Engine, listing: Rows, root: str, rules: Iterable[str]) -> frozenset[str]:
    """The folders under a root that nobody has looked into: those that one of the listing's rules passes over.

    None on S3, where each key is listed, whatever becomes of it.
    """
    hiding = {f"rule{number}": rule for number, rule in enumerate(rules) if hides(rule)}
    if not hiding or not on_disk(root):
        return frozenset()
    chosen = f"SELECT path FROM listing WHERE rule IN ({', '.join(f':{name}' for name in hiding)})"
    return frozenset(engine.arrow(engine.sql(chosen, hiding, listing=listing))["path"].to_pylist())


def _where(values: pa.Array, chosen: pa.Array) -> list[str | None]:
    """Values as Python's, None where they are not chosen."""
    found: list[str | None] = pc.if_else(chosen, values, None).to_pylist()
    return found


def difference_of_files(
    engine: Engine,
    listing: Rows,
    images: Rows,
    quarantine: Rows,
    corrections: Rows | None,
    root: str,
    clauses: Mapping[str, str],
    known_until: int | None = None,
) -> Rows:
    """What must be read, removed or labelled anew: files that are as they were are left out.

    Read are the candidates whose length and modification time no table holds. A path stands in `quarantine` when its
    newest content could not be read; that row then speaks for it, and the row in `images`, if any, is of older content.
    A held-back file is tried again as it is where the reason lay outside it, in limits that are no more, or is one of
    another release's.

    A photograph's label is that of a correction of its content, else what the listing gives its path; of a path that is
    not listed, else what was given when it was. The same for its split.

    Args:
        engine: whose rows they are.
        listing: as `list_photographs` returns it.
        images: IMAGES_COMPARED of `bronze.images`.
        quarantine: QUARANTINE_COMPARED of `bronze.quarantine`.
        corrections: sha256, label and split of the corrections in force; None: there are none.
        root: the folder that was listed; of rows that are not under it only the labels are compared.
        clauses: by reason, the words that a detail has which was written under the limits of now.
        known_until: the listing may lack files of this time or newer, microseconds since 1970-01-01 UTC, or have them
            as they were before; None: it lacks none.

    Returns:
        path, label, split, length, modification_time, rule as the listing has them, and
        change: a `FileChange`; UNCHANGED, SKIPPED, and ELSEWHERE, not under the root, only where a row is relabelled;
            UNSEEN only where the listing need not know of the file, the others are left to `KeepUnseen`,
        in_images, in_quarantine: whether that table holds the path,
        relabelled: whether the row in `images` must take new_label, new_split, given_label, given_split,
        held_relabelled: whether the row in `quarantine` must take the listing's label.
    """
    listed = ", ".join(f"'{reason}'" for reason in Reason)
    retried = [f"reason = '{Reason.UNREADABLE}'", f"reason NOT IN ({listed})"]  # what another release has said
    retried += [f"(reason = '{reason}' AND NOT contains(detail, :{reason}))" for reason in clauses]
    below = root.rstrip("/") + "/"
    correct = "CAST(NULL AS STRING) AS correct_label, CAST(NULL AS STRING) AS correct_split"
    joined, given = "", dict[str, Rows]()
    if corrections is not None:
        correct = "corrections.label AS correct_label, corrections.split AS correct_split"
        joined = "LEFT JOIN corrections ON images.sha256 = corrections.sha256"
        given["corrections"] = corrections
    newer = "false"
    if known_until is not None:
        newer = "known.modification_time >= (SELECT instant FROM until)"
        instants = pa.schema([("instant", INSTANT)])
        given["until"] = engine.of(pa.Table.from_arrays([pa.array([known_until], INSTANT)], schema=instants))
    return engine.sql(
        f"""
        WITH held AS (
            SELECT path, length, modification_time, label, {" OR ".join(retried)} AS retried
            FROM quarantine WHERE substr(path, 1, :length) = :below
        ), kept AS (
            SELECT images.path, images.length, images.modification_time, images.label, images.split,
                   CASE WHEN images.corrected IS NULL THEN images.label ELSE images.given_label END AS given_label,
                   CASE WHEN images.corrected IS NULL THEN images.split ELSE images.given_split END AS given_split,
                   coalesce(images.corrected, false) AS corrected,
                   {correct}, substr(images.path, 1, :length) = :below AS below_root
            FROM images {joined}
        ), known AS (
            SELECT coalesce(held.path, kept.path) AS path,
                   coalesce(held.retried, false) AS retried,
                   kept.path IS NOT NULL AS in_images,
                   held.path IS NOT NULL AS in_quarantine,
                   coalesce(kept.below_root, true) AS below_root,
                   coalesce(held.length, kept.length) AS length,
                   coalesce(held.modification_time, kept.modification_time) AS modification_time,
                   held.label AS held_label, kept.label, kept.split, kept.given_label, kept.given_split, kept.corrected,
                   kept.correct_label, kept.correct_split
            FROM kept FULL OUTER JOIN held ON kept.path = held.path
        ), compared AS (
            SELECT coalesce(listing.path, known.path) AS path,
                   listing.label, listing.split, listing.length, listing.modification_time, listing.rule,
                   CASE WHEN listing.path IS NULL AND NOT known.below_root THEN 'elsewhere'
                        WHEN listing.path IS NULL AND {newer} THEN 'unseen'
                        WHEN listing.path IS NULL THEN 'gone'
                        WHEN listing.rule IS NOT NULL THEN 'skipped'
                        WHEN known.path IS NULL THEN 'new'
                        WHEN listing.length = known.length AND listing.modification_time = known.modification_time
                             AND NOT known.retried THEN 'unchanged'
                        WHEN listing.modification_time < known.modification_time AND {newer}
                             AND NOT known.retried THEN 'unchanged'
                        ELSE 'changed' END AS change,
                   coalesce(known.in_images, false) AS in_images,
                   coalesce(known.in_quarantine, false) AS in_quarantine,
                   known.held_label, known.label AS old_label, known.split AS old_split,
                   known.given_label AS old_given_label, known.given_split AS old_given_split, known.corrected,
                   known.correct_label, known.correct_split,
                   CASE WHEN listing.path IS NULL THEN known.given_label ELSE listing.label END AS given_label,
                   CASE WHEN listing.path IS NULL THEN known.given_split ELSE listing.split END AS given_split
            FROM listing FULL OUTER JOIN known ON listing.path = known.path
        ), labelled AS (
            SELECT *, coalesce(correct_label, given_label) AS new_label,
                   coalesce(correct_split, given_split) AS new_split
            FROM compared
        ), judged AS (
            SELECT *, in_images AND (
                       old_label IS DISTINCT FROM new_label OR old_split IS DISTINCT FROM new_split
                       OR old_given_label IS DISTINCT FROM given_label OR old_given_split IS DISTINCT FROM given_split
                   ) AS relabelled,
                   in_quarantine AND change IN ('unchanged', 'skipped')
                   AND held_label IS DISTINCT FROM label AS held_relabelled
            FROM labelled
        )
        SELECT path, label, split, length, modification_time, rule, change, in_images, in_quarantine, relabelled,
               new_label, new_split, given_label, given_split, held_relabelled
        FROM judged WHERE change IN ('new', 'changed', 'gone', 'unseen') OR relabelled OR held_relabelled
        """,
        {**clauses, "below": below, "length": len(below)},
        listing=listing,
        images=images,
        quarantine=quarantine,
        **given,
    )
