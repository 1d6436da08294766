"""The bronze job: ingest new, replaced and moved photographs, and quarantine what cannot be read."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple, TypedDict

import pyarrow as pa

from bronze.contents import has_orphans, known_contents, remove_orphans
from bronze.difference import (
    DIFFERENCE,
    IMAGES_COMPARED,
    QUARANTINE_COMPARED,
    FileChange,
    KeepUnseen,
    difference_of_files,
    folders_unseen,
)
from bronze.discover import Rules
from bronze.found import CANDIDATES, Found, count_found, in_portions
from bronze.ingest import CANDIDATE, HeldBack, Photographs, killing
from bronze.inventory import Inventory, inventory_of, photographs_of
from bronze.labels import (
    LABELLED,
    Corrections,
    LabelCounts,
    corrections_in_force,
    count_labels,
    counts_from_text,
    counts_to_text,
    read_corrections,
    relabel_images,
)
from bronze.manifest import Manifest, read_manifest, with_manifest
from bronze.reasons import Reason
from bronze.settings import BronzeSettings
from bronze.survey import ListingFingerprint
from bronze.tables import CONTENTS, CORRECTIONS, IMAGES, PHOTOGRAPH, QUARANTINE, TABLES
from lakehouse.engine.port import Counts, Rows, Work
from lakehouse.errors import StorageError
from lakehouse.failpoint import crash_point
from lakehouse.sync import is_in_sync_with, record_upstream, snapshot_id
from lakehouse.tables import delta
from lakehouse.workspace import Workspace

_BATCH = "fruits.batch"  # the log's transaction that numbers complete ingests
_LABELS = "fruits.labels"  # the mark that keeps the counts of labels beside the word that nothing is new
_UNLISTED = "fruits.unlisted"  # likewise, how many photographs nobody has looked for
_SEEN = "fruits.inventory"  # likewise, what an inventory named, which is not read again
_IN_MOTION = "in_motion"
"""The rule of files that went, or came to be readable, while the run read them: the next run takes what is there."""
_REVISION = 4
"""Of the rules that decide what becomes of a file. Raised with them, it has every run look again once, where an older
release has recorded that there is nothing new; without, a corrected rule would not reach what is there."""


class Summary(TypedDict):
    """What a run found and did, in files. discovered = ingested + unchanged + quarantined + skipped.

    `replaced` counts those of `ingested` whose path was there with other content; `relabelled` the photographs that
    were there and have another label or split now, or another one given beneath a correction; `batch` is the lake's
    newest; `labels` are of all that it holds. `skipped_by` has the numbers of `skipped` by the rule that passed a file,
    or a whole folder, over; `unlisted` counts photographs in the lake that stay because nobody could look for them.
    """

    discovered: int
    ingested: int
    replaced: int
    relabelled: int
    unchanged: int
    quarantined: int
    skipped: int
    skipped_by: dict[str, int]
    unlisted: int
    removed: int
    batch: int
    labels: LabelCounts


@dataclass(frozen=True)
class _Ingest:
    """One ingest: its number, when it began, the labels that people gave, and the files that ended each reader."""

    batch: int
    now: datetime
    corrections: Corrections
    killing: list[pa.RecordBatch]

    @property
    def killing_files(self) -> pa.Table:
        columns = pa.schema([IMAGES.schema.field(name) for name in CANDIDATE])
        return pa.Table.from_batches([batch.select(list(CANDIDATE)) for batch in self.killing], columns)


class _Taken(NamedTuple):
    """What became of candidates, in files; `held_back` did not get in, and of these `broken` are in quarantine."""

    inserted: int = 0
    replaced: int = 0
    held_back: int = 0
    broken: int = 0


def run(workspace: Workspace) -> Summary:
    """Bring the bronze tables up to date with the images folder.

    Raises:
        SettingsError: no folder was named.
        StorageError: the folder cannot be listed, its inventory cannot be read, or it is empty while rows are to be
            removed with it.
        ForeignTableError: a bronze table has another layout.
    """
    lake, settings, engine = workspace.lake, workspace.section(BronzeSettings), workspace.engine
    source = settings.source
    workspace.create_tables(TABLES)
    manifest = read_manifest(settings.labels) if settings.labels else None
    inventory = inventory_of(settings)
    if inventory is not None and _follows(workspace, inventory.named(Rules.of(settings)), manifest):
        return _told(workspace, _nothing_new(workspace, _seen_before(workspace)))
    with photographs_of(engine, settings, inventory) as (listing, seen):
        looked = inventory.named(Rules.of(settings)) if inventory else f"{seen.files} files {seen.fingerprint:x}"
        if inventory is None and _follows(workspace, looked, manifest):
            return _told(workspace, _nothing_new(workspace, seen))
        engine.prepare(seen.files - delta.count(lake, IMAGES))
        with with_manifest(engine, listing, manifest, source, workspace.progress) as labelled:
            summary = _take(workspace, labelled, seen, inventory)
    # What could not be read, for a reason outside the file, is tried again though the listing stays the same. What has
    # gone since an inventory was made stays gone; the next one names what came.
    settled = inventory is not None or summary["skipped"] == seen.skipped
    if settled and not delta.any_row(lake, QUARANTINE, "reason", Reason.UNREADABLE):
        notes = {_LABELS: counts_to_text(summary["labels"]), _UNLISTED: str(summary["unlisted"])}
        if inventory is not None:
            notes[_SEEN] = json.dumps({"files": summary["discovered"], "rules": summary["skipped_by"]})
        record_upstream(lake, QUARANTINE, _upstream(workspace, looked, manifest), notes)
    return _told(workspace, summary)


def _upstream(workspace: Workspace, looked: str, manifest: Manifest | None) -> str:
    """What bronze follows: what was looked at, what decides, and what the tables hold after it."""
    named = f"; labels {manifest.sha256}" if manifest else ""
    source, there = workspace.section(BronzeSettings).source, snapshot_id(workspace.lake, IMAGES, CORRECTIONS)
    return f"r{_REVISION} {source}: {looked}{named}; {_judgement(workspace)}; {there}"


def _follows(workspace: Workspace, looked: str, manifest: Manifest | None) -> bool:
    return is_in_sync_with(workspace.lake, QUARANTINE, _upstream(workspace, looked, manifest))


def _seen_before(workspace: Workspace) -> ListingFingerprint:
    """What the inventory named when it was read."""
    return ListingFingerprint(**json.loads(str(delta.metadata(workspace.lake, QUARANTINE)[_SEEN])))


def _told(workspace: Workspace, summary: Summary) -> Summary:
    unlisted = summary["unlisted"]
    if unlisted and workspace.section(BronzeSettings).inventory:
        workspace.progress.log(
            f"{unlisted:,} photographs of the lake stay, though the inventory does not name them: they are newer than "
            "it, or hardly older. A later inventory tells."
        )
    elif unlisted:
        workspace.progress.log(
            f"{unlisted:,} photographs of the lake stay, as nobody could look for them: they lie in folders that were "
            "passed over. `fruits doctor --images` names these."
        )
    return summary


def _nothing_new(workspace: Workspace, seen: ListingFingerprint) -> Summary:
    notes = delta.metadata(workspace.lake, QUARANTINE)
    return Summary(
        discovered=seen.files,
        ingested=0,
        replaced=0,
        relabelled=0,
        unchanged=seen.files - seen.skipped,
        quarantined=0,
        skipped=seen.skipped,
        skipped_by=dict(seen.rules),
        unlisted=int(str(notes[_UNLISTED])),
        removed=0,
        batch=delta.transaction_version(workspace.lake, IMAGES, _BATCH),
        labels=counts_from_text(str(notes[_LABELS])),
    )


def _judgement(workspace: Workspace) -> str:
    """What decides, beside the files, what becomes of them."""
    clauses = workspace.section(BronzeSettings).limits.clauses.values()
    return "; ".join([*clauses, f"removed: {workspace.section(BronzeSettings).removed_images}"])


def _deletes(workspace: Workspace) -> bool:
    return workspace.section(BronzeSettings).removed_images == "delete"


def _take(workspace: Workspace, listing: Rows, seen: ListingFingerprint, inventory: Inventory | None) -> Summary:
    """Find the difference between a listing and the tables, and work it off."""
    engine, root = workspace.engine, workspace.section(BronzeSettings).source
    corrected = bool(delta.count(workspace.lake, CORRECTIONS))
    files = difference_of_files(
        engine,
        listing,
        engine.rows(IMAGES, (*IMAGES_COMPARED, "sha256") if corrected else IMAGES_COMPARED),
        engine.rows(QUARANTINE, QUARANTINE_COMPARED),
        corrections_in_force(engine) if corrected else None,
        root,
        workspace.section(BronzeSettings).limits.clauses,
        inventory.known_until if inventory else None,
    )
    if unseen := folders_unseen(engine, listing, root, seen.rules):
        files = engine.map(files, KeepUnseen(unseen), DIFFERENCE)
    with engine.kept(files) as kept:
        found = count_found(engine, kept, seen, removing=_deletes(workspace))
        _refuse_to_erase_all(workspace, found)
        crash_point("bronze.found")
        return _ingest(workspace, found, seen)


def _refuse_to_erase_all(workspace: Workspace, found: Found) -> None:
    gone = found.count(FileChange.GONE)
    if gone and _deletes(workspace) and not found.count(*CANDIDATES, FileChange.UNCHANGED):
        source = workspace.section(BronzeSettings).source
        raise StorageError(
            f"{source} holds no photographs, while the lake holds {gone} from there and "
            "`removed_images: delete` would erase them all. If that is meant, use `removed_images: keep` and `fruits "
            "forget`."
        )


def _ingest(workspace: Workspace, found: Found, seen: ListingFingerprint) -> Summary:
    lake, candidates = workspace.lake, found.count(*CANDIDATES)
    relabelled = _relabel(workspace, found)
    crash_point("bronze.relabelled")
    corrections = read_corrections(workspace.engine) if candidates and delta.count(lake, CORRECTIONS) else {}
    ingest = _Ingest(delta.transaction_version(lake, IMAGES, _BATCH) + 1, datetime.now(UTC), corrections, [])
    inserted, replaced, held_back, broken = _take_in(workspace, found, ingest)
    removed = _remove(workspace, found)
    crash_point("bronze.removed")
    _remove_orphans(workspace)
    crash_point("bronze.orphans-removed")
    _finish_batch(workspace, ingest.batch)
    crash_point("bronze.batch-numbered")
    # A file that could not be read first, and could then, or was gone: the next run takes what is there.
    in_motion = held_back - broken
    return Summary(
        discovered=found.count(*CANDIDATES, FileChange.UNCHANGED, FileChange.SKIPPED),
        ingested=inserted + replaced,
        replaced=replaced,
        relabelled=relabelled,
        # With a candidate that has a new time stamp and the old bytes.
        unchanged=found.count(FileChange.UNCHANGED) + candidates - inserted - replaced - held_back,
        quarantined=broken,
        skipped=found.count(FileChange.SKIPPED) + in_motion,
        skipped_by={**seen.rules, **({_IN_MOTION: in_motion} if in_motion else {})},
        unlisted=found.count(FileChange.UNSEEN, images=True),
        removed=removed,
        batch=delta.transaction_version(lake, IMAGES, _BATCH),
        labels=count_labels(workspace.engine),
    )


# ---- labels ---------------------------------------------------------------------------------------------------------


def _relabel(workspace: Workspace, found: Found) -> int:
    """Give rows that are there the labels they should have; returns how many photographs got another.

    Before the ingest, by the content that is there: what is replaced then gets the labels of its new content.
    """
    engine, leaving = workspace.engine, FileChange.GONE if _deletes(workspace) else ""
    if found.held_relabelled:
        held = engine.sql("SELECT path, label FROM files WHERE held_relabelled", files=found.files)
        engine.update(held, QUARANTINE)
    if not found.relabelled:
        return 0
    chosen = "SELECT * FROM files WHERE relabelled AND change <> :leaving"
    return relabel_images(engine, engine.sql(chosen, {"leaving": leaving}, files=found.files))


# ---- photographs ----------------------------------------------------------------------------------------------------


def _take_in(workspace: Workspace, found: Found, ingest: _Ingest) -> _Taken:
    """Read the candidates and write what they are, portion by portion: after each a later run goes on behind it."""
    settings, taken = workspace.settings, _Taken()
    for part in in_portions(workspace.engine, found, settings.portion_rows, settings.portion_bytes):
        reading = replace(ingest, killing=[])
        inserted, replaced = _write_images(workspace, part, reading)
        crash_point("bronze.images-written")
        held_back, broken = _hold_back(workspace, part, reading) if inserted < part.count(*CANDIDATES) else (0, 0)
        crash_point("bronze.quarantine-written")
        taken = _Taken(*map(sum, zip(taken, (inserted, replaced, held_back, broken), strict=True)))
    return taken


def _write_images(workspace: Workspace, found: Found, ingest: _Ingest) -> tuple[int, int]:
    """Write the candidates that are photographs; returns how many were new, and how many replaced other content."""
    inserted = replaced = 0
    if new := found.count(FileChange.NEW):
        inserted = _write(workspace, _photographs(workspace, found, FileChange.NEW, new, ingest)).inserted
    if changed := found.count(FileChange.CHANGED):
        before = delta.existing(workspace.lake, IMAGES).version()
        rows = _photographs(workspace, found, FileChange.CHANGED, changed, ingest)
        inserted += _write(workspace, rows, touch=("length", "modification_time", *LABELLED)).inserted
        if found.count(FileChange.CHANGED, images=True):
            replaced = _count_replaced(workspace, found, before)
    return inserted, replaced


def _write(workspace: Workspace, photographs: Rows, touch: Sequence[str] | None = None) -> Counts:
    """Write photographs to both tables; those of `touch` may be there."""
    engine = workspace.engine
    known = known_contents(engine, workspace.lake)
    return engine.write_apart(photographs, IMAGES, CONTENTS, known, touch, _between)


def _between() -> None:
    crash_point("bronze.contents-written")


def _photographs(workspace: Workspace, found: Found, change: FileChange, count: int, ingest: _Ingest) -> Rows:
    engine, settings = workspace.engine, workspace.section(BronzeSettings)
    chosen = f"SELECT {', '.join(CANDIDATE)} FROM files WHERE change = :change"
    candidates = engine.sql(chosen, {"change": change}, files=found.files)
    read = Photographs(
        workspace.section(BronzeSettings).limits, settings.readers, ingest.batch, ingest.now, ingest.corrections
    )
    work = Work("photographs read", count, found.bytes, "length", ingest.killing.append, found.before, found.total)
    return engine.map(candidates, read, PHOTOGRAPH, work)


def _count_replaced(workspace: Workspace, found: Found, before: int) -> int:
    """How many candidates have other content than in an older version; with the same bytes one was touched alone."""
    engine = workspace.engine
    paths = engine.sql("SELECT path FROM files WHERE change = 'changed' AND in_images", files=found.files)
    with engine.kept(paths) as changed:
        count = engine.sql(
            """
            SELECT count(*) AS n FROM old JOIN new ON old.path = new.path WHERE old.sha256 IS DISTINCT FROM new.sha256
            """,
            old=engine.rows(IMAGES, ["path", "sha256"], before, among=changed),
            new=engine.rows(IMAGES, ["path", "sha256"], among=changed),
        )
        return int(engine.arrow(count)["n"][0].as_py())


# ---- quarantine -----------------------------------------------------------------------------------------------------


def _hold_back(workspace: Workspace, found: Found, ingest: _Ingest) -> tuple[int, int]:
    """Read again what could not be read, for its reason; returns how many did not get in, and how many are held back.

    Read twice, because two tables cannot be written in one pass, and the broken ones are few.
    """
    engine = workspace.engine
    unread = engine.sql(
        f"""
        SELECT {", ".join(f"files.{name}" for name in CANDIDATE)}
        FROM files LEFT JOIN images ON files.path = images.path
             AND files.length = images.length AND files.modification_time = images.modification_time
        WHERE files.change IN ('new', 'changed') AND images.path IS NULL
        """,
        files=found.files,
        images=engine.rows(IMAGES, ["path", "length", "modification_time"]),
    )
    with engine.kept(unread) as rest:
        count = int(engine.arrow(engine.sql("SELECT count(*) AS n FROM rest", rest=rest))["n"][0].as_py())
        if not count:
            return 0, 0
        with engine.kept(_broken(workspace, rest, count, ingest)) as broken:
            if _deletes(workspace) and found.count(FileChange.CHANGED, images=True):
                # Not what cannot be read at present: nobody knows what it holds.
                replaced = "SELECT path FROM broken WHERE reason <> :reason"
                engine.delete(engine.sql(replaced, {"reason": Reason.UNREADABLE}, broken=broken), IMAGES)
            held = engine.arrow(engine.sql("SELECT count(*) AS n FROM broken", broken=broken))["n"][0].as_py()
            engine.merge(broken, QUARANTINE)
            return count, int(held)


def _broken(workspace: Workspace, rest: Rows, count: int, ingest: _Ingest) -> Rows:
    """The rows of `bronze.quarantine`, those first that nobody can read and live."""
    engine, settings = workspace.engine, workspace.section(BronzeSettings)
    killed = killing(ingest.killing_files, ingest.batch, ingest.now)
    candidates = engine.sql(
        f"SELECT {', '.join(CANDIDATE)} FROM rest WHERE path NOT IN (SELECT path FROM killed)",
        rest=rest,
        killed=engine.of(killed.select(["path"])),
    )
    judge = HeldBack(workspace.section(BronzeSettings).limits, settings.readers, ingest.batch, ingest.now)
    judged = engine.map(candidates, judge, QUARANTINE.schema, Work("read again", count, 0, "length"))
    return engine.sql("SELECT * FROM judged UNION ALL SELECT * FROM killed", judged=judged, killed=engine.of(killed))


def _remove(workspace: Workspace, found: Found) -> int:
    """Remove what has been repaired or is gone from quarantine, and what is gone from images where that is wanted."""
    engine = workspace.engine
    if found.count(*CANDIDATES, FileChange.GONE, quarantine=True):
        resolved = engine.sql(
            """
            SELECT files.path FROM files LEFT JOIN images ON files.path = images.path
                   AND files.length = images.length AND files.modification_time = images.modification_time
            WHERE files.in_quarantine
                  AND (files.change = 'gone' OR (files.change IN ('new', 'changed') AND images.path IS NOT NULL))
            """,
            files=found.files,
            images=engine.rows(IMAGES, ["path", "length", "modification_time"]),
        )
        engine.delete(resolved, QUARANTINE)
    if _deletes(workspace) and found.count(FileChange.GONE, images=True):
        gone = engine.sql("SELECT path FROM files WHERE change = 'gone' AND in_images", files=found.files)
        return engine.delete(gone, IMAGES)
    return 0


def _remove_orphans(workspace: Workspace) -> None:
    """Remove contents with the photographs that are removed or replaced, or by whom a run that died was to write them.

    Else they stay until somebody erases a photograph, or upkeep has to write their files anyway: one that is replaced
    would cost a file of others' bytes.
    """
    if _deletes(workspace) and has_orphans(workspace.engine, workspace.lake):
        remove_orphans(workspace.engine)


def _finish_batch(workspace: Workspace, batch: int) -> None:
    """Number the ingest as complete, if it wrote rows: one that died before this goes on under the same number."""
    newest = max(delta.maximum(workspace.lake, table, "batch") or 0 for table in TABLES)
    if newest >= batch:
        delta.mark_transaction(workspace.lake, IMAGES, _BATCH, batch)
