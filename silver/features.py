"""Sync `silver.features` with `bronze.images`: compute new rows, copy those of known content, delete removed ones."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

import pyarrow as pa

from bronze.ingest import CANDIDATE, killing
from bronze.reasons import Reason
from bronze.tables import CONTENTS, IMAGES, QUARANTINE
from lakehouse.engine.port import Engine, Rows, Work, WorkerKilledError
from lakehouse.errors import DamagedTableError
from lakehouse.failpoint import crash_point
from lakehouse.portions import portions_of, within
from lakehouse.since import Changed, brought_to, changed_since
from lakehouse.sync import LABELS, Change, difference, is_in_sync_with, record_upstream, snapshot_id
from lakehouse.tables import delta
from lakehouse.workspace import Workspace
from silver.encoders.base import Encoder
from silver.featurize import IMAGE, Encoding
from silver.tables import FEATURES

_REVISION = 3
"""Of the rules of the difference; see `bronze.job`. What features depend on is in the feature version."""


_FEW = 100_000
"""Copies up to which only the rows that they are made of are read; of more, all are, as each process holds the few."""


class Action(StrEnum):
    """What the features of an image need, in the order in which it is done."""

    COPY = "copy"
    COMPUTE = "compute"
    REPEAT = "repeat"
    RELABEL = "relabel"
    DELETE = "delete"


@dataclass(frozen=True)
class _Work:
    """The difference between images and features, with what each row needs.

    `before` and `total` are the images to compute in the portions before this one, and in all; None where this is none.
    """

    rows: Rows
    counts: dict[tuple[Action, Change], int]
    bytes: int
    before: int = 0
    total: int | None = None

    def count(self, action: Action, change: Change | None = None) -> int:
        return sum(n for (one, kind), n in self.counts.items() if one == action and change in (None, kind))


class Followed(NamedTuple):
    """How many features were computed, copied from the same content, given another label or split, and removed."""

    computed: int
    copied: int
    relabelled: int
    removed: int


def follow_images(workspace: Workspace, encoder: Encoder) -> Followed:
    """Bring `silver.features` to `bronze.images`."""
    lake = workspace.lake
    upstream = f"r{_REVISION} {snapshot_id(lake, IMAGES)} as {encoder.feature_version}"
    if is_in_sync_with(lake, FEATURES, upstream):
        return Followed(0, 0, 0, 0)
    engine = workspace.engine
    same, sources = ["sha256", "feature_version"], (IMAGES, QUARANTINE)
    rules = f"r{_REVISION} {encoder.feature_version}"
    notes = brought_to(lake, sources, rules)
    with changed_since(engine, lake, FEATURES, sources, rules) as since:
        there = _there(engine, None if since is None else since.downstream)
        changes = difference(engine, _wanted(engine, encoder, since), there, "path", same, LABELS)
        with engine.kept(changes) as changed, engine.kept(_with_action(engine, changed, encoder, since)) as rows:
            work = _counted(engine, rows)
            crash_point("silver.found")
            made = _write_features(workspace, encoder, work)
    record_upstream(lake, FEATURES, upstream, notes)
    return made


def _wanted(engine: Engine, encoder: Encoder, since: Changed | None) -> Rows:
    """The features that there should be, by this encoder: of each image that is not held back as it is."""
    columns = ["path", "sha256", "length", "modification_time", "batch", *LABELS]
    return engine.sql(
        """
        SELECT images.path, images.sha256, images.length, images.batch, images.label, images.split,
               :version AS feature_version
        FROM images LEFT JOIN held ON images.path = held.path AND held.reason = :reason
             AND images.length = held.length AND images.modification_time = held.modification_time
        WHERE held.path IS NULL
        """,
        {"version": encoder.feature_version, "reason": Reason.KILLS_THE_READER},
        images=engine.rows(IMAGES, columns, among=None if since is None else since.upstream),
        held=engine.rows(QUARANTINE, ["path", "length", "modification_time", "reason"]),
    )


def _there(engine: Engine, among: Rows | None) -> Rows:
    return engine.rows(FEATURES, ["path", "sha256", "feature_version", *LABELS], among=among)


def _with_action(engine: Engine, changes: Rows, encoder: Encoder, since: Changed | None) -> Rows:
    chosen = "SELECT DISTINCT sha256 FROM changes WHERE change IN ('insert', 'update')"
    contents = None if since is None else engine.sql(chosen, changes=changes)
    known = engine.rows(FEATURES, ["sha256", "feature_version"], among=contents)
    return with_action(engine, changes, known, encoder)


def with_action(engine: Engine, changes: Rows, features: Rows, encoder: Encoder) -> Rows:
    """What each change needs: of each content that is not known one image is computed, and the others repeat it.

    Args:
        engine: whose rows they are.
        changes: path, sha256, length, batch, label, split, change, as `difference` returns them.
        features: sha256, feature_version of the rows that are there, or of those of them with one of these contents.
        encoder: whose features count.

    Returns:
        path, sha256, length, batch, label, split, change, and action: an `Action`.
    """
    return engine.sql(
        """
        WITH known AS (SELECT DISTINCT sha256 FROM features WHERE feature_version = :version),
        ranked AS (
            SELECT path, sha256, length, batch, label, split, change,
                   row_number() OVER (PARTITION BY sha256 ORDER BY path) AS place
            FROM changes WHERE change IN ('insert', 'update')
        )
        SELECT ranked.path, ranked.sha256, ranked.length, ranked.batch, ranked.label, ranked.split, ranked.change,
               CASE WHEN known.sha256 IS NOT NULL THEN 'copy' WHEN ranked.place = 1 THEN 'compute' ELSE 'repeat' END
               AS action
        FROM ranked LEFT JOIN known ON ranked.sha256 = known.sha256
        UNION ALL
        SELECT path, sha256, length, batch, label, split, change, change AS action
        FROM changes WHERE change IN ('relabel', 'delete')
        """,
        {"version": encoder.feature_version},
        changes=changes,
        features=features,
    )


def _counted(engine: Engine, rows: Rows) -> _Work:
    counted = engine.sql(
        """
        SELECT action, change, count(*) AS images, CAST(coalesce(sum(length), 0) AS BIGINT) AS bytes
        FROM work GROUP BY action, change
        """,
        work=rows,
    )
    found = engine.arrow(counted).to_pylist()
    counts = {(Action(row["action"]), Change(row["change"])): row["images"] for row in found}
    return _Work(rows, counts, sum(row["bytes"] for row in found if row["action"] == Action.COMPUTE))


def _write_features(workspace: Workspace, encoder: Encoder, work: _Work) -> Followed:
    """Work the difference off."""
    engine = workspace.engine
    computed = copied = relabelled = removed = 0
    # First, all at once: what is written next may take the place of the only features of a content that has moved.
    if work.count(Action.COPY):
        copied = _put(workspace, _copied(engine, encoder, work, Action.COPY), work, Action.COPY)
        crash_point("silver.features-copied")
    for part in _in_portions(workspace, work):
        killed: list[pa.RecordBatch] = []
        made = _put(workspace, _computed(workspace, encoder, part, killed), part, Action.COMPUTE)
        computed += made
        crash_point("silver.features-computed")
        _refuse_lost(workspace, part.count(Action.COMPUTE) - made - sum(batch.num_rows for batch in killed))
        if killed:
            _hold_back(workspace, pa.Table.from_batches(killed), computed)
    if work.count(Action.REPEAT):
        copied += _put(workspace, _copied(engine, encoder, work, Action.REPEAT), work, Action.REPEAT)
        crash_point("silver.features-repeated")
    if work.count(Action.RELABEL):
        chosen = "SELECT path, label, split FROM work WHERE action = 'relabel'"
        relabelled = engine.update(engine.sql(chosen, work=work.rows), FEATURES)
        crash_point("silver.features-relabelled")
    if work.count(Action.DELETE):
        removed = engine.delete(engine.sql("SELECT path FROM work WHERE action = 'delete'", work=work.rows), FEATURES)
    return Followed(computed, copied, relabelled, removed)


def _in_portions(workspace: Workspace, work: _Work) -> Iterator[_Work]:
    """The images to compute, in portions of the settings' size: each is committed, and never computed again."""
    engine, settings, compute = workspace.engine, workspace.settings, work.count(Action.COMPUTE)
    if compute <= settings.portion_rows and work.bytes <= settings.portion_bytes:
        if compute:
            yield work
        return
    todo = engine.sql("SELECT path, length FROM work WHERE action = 'compute'", work=work.rows)
    for portion in portions_of(engine, todo, settings.portion_rows, settings.portion_bytes):
        with engine.kept(within(engine, work.rows, portion, "action = 'compute'")) as rows:
            yield replace(_counted(engine, rows), before=portion.before, total=portion.total)


def _computed(workspace: Workspace, encoder: Encoder, work: _Work, killed: list[pa.RecordBatch]) -> Rows:
    """The features of images whose content has none: computed of their contents, with what describes them beside."""
    engine, compute = workspace.engine, work.count(Action.COMPUTE)
    todo = Work("features computed", compute, work.bytes, "length", killed.append, work.before, work.total)
    along = [name for name in IMAGE if name != "sha256"]
    chosen = f"SELECT sha256, {', '.join(along)} FROM work WHERE action = 'compute'"
    columns = ["sha256", "length", "content"]
    if compute < delta.count(workspace.lake, CONTENTS) and _came_with_their_images(engine, work):
        # The ingest is named so that the files of other ingests are passed over.
        chosen = chosen.replace("SELECT sha256", "SELECT sha256, batch AS first_batch")
        columns.append("first_batch")
    contents = engine.rows(CONTENTS, columns, among=engine.sql(chosen, work=work.rows), along=along)
    return engine.map(contents, Encoding(encoder), FEATURES.schema, todo)


def _came_with_their_images(engine: Engine, work: _Work) -> bool:
    """Whether each content to compute came with the image that it is computed for; a copy's may be of before."""
    chosen = "SELECT sha256, batch AS first_batch FROM work WHERE action = 'compute'"
    among = engine.sql(chosen, work=work.rows)
    found = engine.rows(CONTENTS, ["sha256", "first_batch"], among=among)
    count = engine.arrow(engine.sql("SELECT count(*) AS n FROM found", found=found))["n"][0].as_py()
    return bool(count == work.count(Action.COMPUTE))


def _copied(engine: Engine, encoder: Encoder, work: _Work, action: Action) -> Rows:
    """The features of images whose content has been featurized under another path: by now, or by this run."""
    columns = ", ".join(f"images.{name}" for name in IMAGE)
    paths = contents = None
    if work.count(action) <= _FEW:
        chosen = {"action": action}
        paths = engine.sql("SELECT path, batch FROM work WHERE action = :action", chosen, work=work.rows)
        contents = engine.sql("SELECT DISTINCT sha256 FROM work WHERE action = :action", chosen, work=work.rows)
    return engine.sql(
        f"""
        WITH copies AS (SELECT path, sha256 FROM work WHERE action = :action),
        known AS (
            SELECT sha256, any_value(features) AS features FROM featurized
            WHERE feature_version = :version AND sha256 IN (SELECT sha256 FROM copies) GROUP BY sha256
        )
        SELECT {columns}, known.features, :version AS feature_version
        FROM images JOIN copies ON images.path = copies.path JOIN known ON images.sha256 = known.sha256
        """,
        {"version": encoder.feature_version, "action": action},
        images=engine.rows(IMAGES, IMAGE, among=paths),
        work=work.rows,
        featurized=engine.rows(FEATURES, ["sha256", "feature_version", "features"], among=contents),
    )


def _put(workspace: Workspace, rows: Rows, work: _Work, action: Action) -> int:
    engine = workspace.engine
    if not work.count(action, Change.UPDATE):
        return engine.append(rows, FEATURES)
    counts = engine.merge(rows, FEATURES)
    return counts.inserted + counts.updated


def _refuse_lost(workspace: Workspace, lost: int) -> None:
    if lost > 0:
        raise DamagedTableError(
            f"The contents of {lost:,} photographs are in bronze.images alone, and not in bronze.contents of "
            f"{workspace.lake.uri}. Run `fruits doctor --repair`, and then `fruits run`, which reads them again."
        )


def _hold_back(workspace: Workspace, killed: pa.Table, computed: int) -> None:
    """Put images into quarantine that end each process which computes their features, with all their copies.

    `bronze.images` keeps them, for it may hold their only copy; they have no features until the file is replaced.

    Raises:
        WorkerKilledError: no other image was computed, so that it may as well be the encoder's fault.
    """
    engine = workspace.engine
    paths = killed["path"].to_pylist()
    if not computed:
        raise WorkerKilledError(
            f"Each process that computed features ended, of {len(paths)} photographs and of no other: {paths[0]} … If "
            "that is the photographs' fault, replace or `fruits forget` them; else there is not enough memory, or the "
            "installation is broken (`fruits doctor`)."
        )
    same = engine.of(pa.table({"sha256": killed["sha256"]}))
    files = engine.arrow(engine.rows(IMAGES, [*CANDIDATE, "sha256", "batch"], among=same))
    for path in files["path"].to_pylist():
        workspace.progress.log(f"{path} ends each process that computes its features: it goes to quarantine.")
    batch = max(files["batch"].to_pylist())
    engine.merge(engine.of(killing(files.select(list(CANDIDATE)), batch, datetime.now(UTC))), QUARANTINE)
