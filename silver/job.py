"""The silver job: images without features get them, moments follow, and all features stand on one scale."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypedDict

import pyarrow as pa

from bronze.ingest import CANDIDATE, killing
from bronze.reasons import Reason
from bronze.tables import IMAGES, QUARANTINE
from bronze.tables import TABLES as BRONZE_TABLES
from lakehouse.background import Background
from lakehouse.engine.port import Engine, HistoryLostError, Rows, Work, WorkerKilledError
from lakehouse.errors import SettingsError
from lakehouse.failpoint import crash_point
from lakehouse.models.registry import Fit, Version
from lakehouse.sync import difference, is_in_sync_with, record_upstream, snapshot_id, sync_table
from lakehouse.tables import delta
from lakehouse.workspace import Workspace
from silver.encoders import encoder_module
from silver.encoders.base import Encoder
from silver.featurize import IMAGE, Encoding
from silver.fitted import SCALER, Covered, Scaler, read_moments, registered_scaler, write_moments
from silver.moments import CombinedMoments, Moments, PartialMoments, merge_moments
from silver.scale import FEATURE, Scaling, fit_scaler, standardness
from silver.settings import SilverSettings
from silver.tables import FEATURES, MOMENTS, SCALED, TABLES


class Summary(TypedDict):
    """What a run did, in images; `refit` is why the scaler was fitted anew, or null."""

    featurized: int
    copied: int
    scaled: int
    removed: int
    feature_version: str
    scaler_version: int | None
    refit: str | None


@dataclass(frozen=True)
class _Work:
    """The difference between images and features, with what each row needs: compute, copy or delete."""

    rows: Rows
    counts: dict[tuple[str, str], int]
    bytes: int

    def count(self, action: str, change: str | None = None) -> int:
        return sum(n for (one, kind), n in self.counts.items() if one == action and change in (None, kind))


def prepare_encoder(workspace: Workspace) -> Background[Encoder]:
    """Begin to make the encoder, which may take seconds where the lake has none yet, while other work goes on."""
    settings, folder = workspace.section(SilverSettings), workspace.lake.uri_of("models")
    module = encoder_module(settings.encoder)
    return Background(lambda: module.prepare(settings.weights, folder))


def run(workspace: Workspace, encoder: Encoder, pinned: int | None = None) -> Summary:
    """Bring the silver tables up to date with `bronze.images`.

    Args:
        workspace: where.
        encoder: what computes features.
        pinned: the scaler version to stay with, whatever the features have become.

    Raises:
        SettingsError: the settings forbid the fit that is needed, or the pinned scaler is not for these features.
        ForeignTableError: a table has another layout.
        TamperedModelError: the champion's artifact is not the one that was registered.
    """
    delta.create(workspace.lake, (*BRONZE_TABLES, *TABLES))
    featurized, copied, removed = _follow_images(workspace, encoder)
    crash_point("silver.features-written")
    moments = update_moments(workspace, encoder.feature_version, encoder.dimension)
    crash_point("silver.moments-written")
    scaled, scaler, reason = rescale(workspace, moments, pinned)
    return Summary(
        featurized=featurized,
        copied=copied,
        scaled=scaled,
        removed=removed,
        feature_version=encoder.feature_version,
        scaler_version=scaler,
        refit=reason,
    )


def rescale(workspace: Workspace, covered: Covered, pinned: int | None) -> tuple[int, int | None, str | None]:
    """Choose the scaler and bring `silver.scaled` to it: the second half of a run, and of a rollback.

    Returns:
        How many rows were scaled, the scaler's version (None where there are too few images for one), why it is new.
    """
    scaler, reason = _choose_scaler(workspace, covered, pinned)
    if scaler is None:
        return 0, None, None
    scaled = _write_scaled(workspace, scaler)
    if scaler.version != workspace.registry.champion(SCALER):
        workspace.registry.set_champion(scaler.version)
        crash_point("silver.champion-moved")
    return scaled, scaler.version.number, reason


# ---- features -------------------------------------------------------------------------------------------------------


def _follow_images(workspace: Workspace, encoder: Encoder) -> tuple[int, int, int]:
    """Bring `silver.features` to `bronze.images`; returns how many were computed, copied and removed."""
    lake = workspace.lake
    upstream = f"{snapshot_id(lake, IMAGES)} as {encoder.feature_version}"
    if is_in_sync_with(lake, FEATURES, upstream):
        return 0, 0, 0
    engine = workspace.engine
    changes = difference(engine, _wanted(engine, encoder), _there(engine), "path", ["sha256", "feature_version"])
    with engine.kept(changes) as changed, engine.kept(with_action(engine, changed, _there(engine), encoder)) as rows:
        work = _counted(engine, rows)
        crash_point("silver.found")
        made = _write_features(workspace, encoder, work)
    record_upstream(lake, FEATURES, upstream)
    return made


def _wanted(engine: Engine, encoder: Encoder) -> Rows:
    """The features that there should be, by this encoder: of each image that is not held back as it is."""
    return engine.sql(
        """
        SELECT images.path, images.sha256, images.length, images.batch, :version AS feature_version
        FROM images LEFT JOIN held ON images.path = held.path AND held.reason = :reason
             AND images.length = held.length AND images.modification_time = held.modification_time
        WHERE held.path IS NULL
        """,
        {"version": encoder.feature_version, "reason": Reason.KILLS_THE_READER},
        images=engine.rows(IMAGES, ["path", "sha256", "length", "modification_time", "batch"]),
        held=engine.rows(QUARANTINE, ["path", "length", "modification_time", "reason"]),
    )


def _there(engine: Engine) -> Rows:
    return engine.rows(FEATURES, ["path", "sha256", "feature_version"])


def with_action(engine: Engine, changes: Rows, features: Rows, encoder: Encoder) -> Rows:
    """What each change needs: one image of each content that is not known is computed, the others are copies.

    Args:
        engine: whose rows they are.
        changes: path, sha256, length, batch, change, as `difference` returns them.
        features: path, sha256, feature_version of the rows that are there.
        encoder: whose features count.

    Returns:
        path, sha256, length, batch, change, and action: compute, copy or delete.
    """
    return engine.sql(
        """
        WITH known AS (SELECT DISTINCT sha256 FROM features WHERE feature_version = :version),
        ranked AS (
            SELECT path, sha256, length, batch, change, row_number() OVER (PARTITION BY sha256 ORDER BY path) AS place
            FROM changes WHERE change <> 'delete'
        )
        SELECT ranked.path, ranked.sha256, ranked.length, ranked.batch, ranked.change,
               CASE WHEN known.sha256 IS NOT NULL OR ranked.place > 1 THEN 'copy' ELSE 'compute' END AS action
        FROM ranked LEFT JOIN known ON ranked.sha256 = known.sha256
        UNION ALL
        SELECT path, sha256, length, batch, change, 'delete' AS action FROM changes WHERE change = 'delete'
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
    counts = {(row["action"], row["change"]): row["images"] for row in found}
    return _Work(rows, counts, sum(row["bytes"] for row in found if row["action"] == "compute"))


def _write_features(workspace: Workspace, encoder: Encoder, work: _Work) -> tuple[int, int, int]:
    """Work the difference off; returns how many images were computed, copied and removed."""
    engine, killed = workspace.engine, list[pa.RecordBatch]()
    computed = copied = removed = 0
    if work.count("compute"):
        computed = _put(workspace, _computed(workspace, encoder, work, killed), work, "compute")
        crash_point("silver.features-computed")
    if killed:
        _hold_back(workspace, pa.Table.from_batches(killed), computed)
    if work.count("copy"):
        copied = _put(workspace, _copied(engine, encoder, work), work, "copy")
        crash_point("silver.features-copied")
    if work.count("delete"):  # last, so that the features of a moved image can be copied before
        removed = engine.delete(engine.sql("SELECT path FROM work WHERE action = 'delete'", work=work.rows), FEATURES)
    return computed, copied, removed


def _computed(workspace: Workspace, encoder: Encoder, work: _Work, killed: list[pa.RecordBatch]) -> Rows:
    engine, compute = workspace.engine, work.count("compute")
    columns = [*IMAGE, "length", "content"]
    wanted = None
    if compute < delta.count(workspace.lake, IMAGES):
        # The batches are named so that the files of other batches are passed over.
        wanted = engine.sql("SELECT path, batch FROM work WHERE action = 'compute'", work=work.rows)
    todo = Work("features computed", compute, work.bytes, "length", killed.append)
    return engine.map(engine.rows(IMAGES, columns, among=wanted), Encoding(encoder), FEATURES.schema, todo)


def _copied(engine: Engine, encoder: Encoder, work: _Work) -> Rows:
    """The features of images whose content has been featurized under another path."""
    columns = ", ".join(f"images.{name}" for name in IMAGE)
    return engine.sql(
        f"""
        WITH copies AS (SELECT path, sha256 FROM work WHERE action = 'copy'),
        known AS (
            SELECT sha256, any_value(features) AS features FROM featurized
            WHERE feature_version = :version AND sha256 IN (SELECT sha256 FROM copies) GROUP BY sha256
        )
        SELECT {columns}, known.features, :version AS feature_version
        FROM images JOIN copies ON images.path = copies.path JOIN known ON images.sha256 = known.sha256
        """,
        {"version": encoder.feature_version},
        images=engine.rows(IMAGES, IMAGE),
        work=work.rows,
        featurized=engine.rows(FEATURES, ["sha256", "feature_version", "features"]),
    )


def _put(workspace: Workspace, rows: Rows, work: _Work, action: str) -> int:
    engine = workspace.engine
    if not work.count(action, "update"):
        return engine.append(rows, FEATURES)
    counts = engine.merge(rows, FEATURES)
    return counts.inserted + counts.updated


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
        workspace.progress.say(f"{path} ends each process that computes its features: it goes to quarantine.")
    batch = max(files["batch"].to_pylist())
    engine.merge(engine.of(killing(files.select(list(CANDIDATE)), batch, datetime.now(UTC))), QUARANTINE)


# ---- moments --------------------------------------------------------------------------------------------------------


def update_moments(workspace: Workspace, feature_version: str, dimension: int) -> Covered:
    """Bring the moments to all features of a version, from the change feed, or in one pass where that is lost."""
    lake = workspace.lake
    features = delta.existing(lake, FEATURES)
    version, rows = features.version(), delta.count(lake, FEATURES)
    before = read_moments(lake)
    if before and before.feature_version == feature_version and before.features_version == version:
        return before
    moments = None
    if before and before.feature_version == feature_version:
        moments = _incremented(workspace, before, version)
    fresh = moments is None or moments.count != rows
    if moments is None or fresh:
        moments = _summed(workspace, dimension)
    after = Covered(lambda: moments, feature_version, version, str(features.metadata().id), fresh)
    if before or rows:
        write_moments(lake, after)
    return after


def _summed(workspace: Workspace, dimension: int) -> Moments:
    """The moments of all features, in one pass over them."""
    return _moments_of(workspace, workspace.engine.rows(FEATURES, ["features"]), dimension)


def _moments_of(workspace: Workspace, features: Rows, dimension: int) -> Moments:
    return merge_moments(workspace.engine.fold(features, PartialMoments(), CombinedMoments()), dimension)


def _incremented(workspace: Workspace, before: Covered, version: int) -> Moments | None:
    """The moments after the changes since `before`, None where the history that tells them is gone."""
    engine, moments = workspace.engine, before.moments
    dimension = len(moments.mean)
    try:
        for kinds, sign in (("'insert', 'update_postimage'", 1), ("'delete', 'update_preimage'", -1)):
            changes = engine.changes(FEATURES, ["features"], before.features_version, version)
            chosen = engine.sql(f"SELECT features FROM changes WHERE _change_type IN ({kinds})", changes=changes)
            part = _moments_of(workspace, chosen, dimension)
            moments = moments + part if sign > 0 else moments - part
    except HistoryLostError as error:
        workspace.progress.say(f"{error} Recomputing the moments from all features.")
        return None
    return moments


# ---- scaler ---------------------------------------------------------------------------------------------------------


def _choose_scaler(workspace: Workspace, covered: Covered, pinned: int | None) -> tuple[Scaler | None, str | None]:
    """The scaler to use, and why it was fitted if it is new."""
    if pinned is not None:
        return _pinned_scaler(workspace, covered, pinned), None
    version = workspace.registry.champion(SCALER)
    champion = registered_scaler(workspace.registry, version) if version else None
    reason = _why_refit(workspace, champion, covered)
    if reason is None:
        return champion, None
    if covered.moments.count < 2:
        if champion is not None and champion.version.tags["feature_version"] == covered.feature_version:
            return champion, None
        workspace.progress.say("A scaler needs at least two photographs; the features wait until there are more.")
        return None, None
    workspace.registry.open()
    found = workspace.registry.find(SCALER, _tags(covered))
    fitted = found or _register_scaler(workspace, _without_residue(workspace, covered), reason)
    crash_point("silver.scaler-registered")
    again = champion is not None and fitted.number == champion.version.number
    return registered_scaler(workspace.registry, fitted), None if again else reason


def _pinned_scaler(workspace: Workspace, covered: Covered, number: int) -> Scaler:
    version = workspace.registry.version(SCALER, number)
    if version is None or version.tags["feature_version"] != covered.feature_version:
        raise SettingsError(
            f"The pinned PCA needs {SCALER} version {number}, "
            + (f"of the features {version.tags['feature_version']}" if version else "which is not in the registry")
            + f"; the lake has the features {covered.feature_version}. Unpin it: `fruits rollback --unpin`."
        )
    scaler = registered_scaler(workspace.registry, version)
    if reason := _why_not_standard(workspace, scaler, covered):
        workspace.progress.say(f"{SCALER} version {number} is pinned; else it would be fitted anew: {reason}.")
    return scaler


def _why_refit(workspace: Workspace, champion: Scaler | None, covered: Covered) -> str | None:
    settings = workspace.section(SilverSettings)
    needed = None
    if champion is None:
        needed = "first fit"
    elif champion.version.tags["feature_version"] != covered.feature_version:
        needed = "the feature version changed"
    if needed and settings.refit == "never" and covered.moments.count:
        raise SettingsError(f"A scaler must be fitted ({needed}), but `refit` is never. Run with `--refit auto`.")
    if champion is None or needed or settings.refit == "never":
        return needed
    if settings.refit == "always":
        return "asked for"
    return _why_not_standard(workspace, champion, covered)


def _why_not_standard(workspace: Workspace, champion: Scaler, covered: Covered) -> str | None:
    if champion.version.tags["fitted_on"] == covered.fitted_on or covered.moments.count < 2:
        return None  # standard by construction: there is nothing to load
    settings = workspace.section(SilverSettings)
    mean, variance = standardness(covered.moments.under(*champion.arrays))
    low, high = settings.scaler_variance_range
    if mean > settings.scaler_mean_limit:
        return f"the scaled features' average squared mean is {mean:.3f}, above {settings.scaler_mean_limit}"
    if not low <= variance <= high:
        return f"the scaled features' average variance is {variance:.3f}, outside {low} to {high}"
    return None


def _without_residue(workspace: Workspace, covered: Covered) -> Covered:
    """Moments for a fit: summed in one pass, not by increments.

    What a subtraction leaves of a feature that no longer varies is rounding, some 1e-15, which a scaler would blow up
    to a variance of one. A fit is rare, and scales every row anyway.
    """
    if covered.fresh:
        return covered
    moments = _summed(workspace, len(covered.moments.mean))
    summed = replace(covered, read=lambda: moments, fresh=True)
    write_moments(workspace.lake, summed)
    return summed


def _tags(covered: Covered) -> dict[str, str]:
    return {"feature_version": covered.feature_version, "fitted_on": covered.fitted_on}


def _register_scaler(workspace: Workspace, covered: Covered, reason: str) -> Version:
    dimension = len(covered.moments.mean)
    moments_version = delta.existing(workspace.lake, MOMENTS).version()
    fit = Fit(
        model=fit_scaler(covered.moments),
        shape=(dimension, dimension),
        tags=_tags(covered),
        params={
            "images": covered.moments.count,
            "feature_version": covered.feature_version,
            "silver.features version": covered.features_version,
            "silver.moments version": moments_version,
            "reason": reason,
        },
        metrics={"images": covered.moments.count},
        inputs={
            FEATURES.name: (workspace.lake.path(FEATURES), covered.features_version),
            MOMENTS.name: (workspace.lake.path(MOMENTS), moments_version),
        },
    )
    return workspace.registry.register(SCALER, fit)


def _write_scaled(workspace: Workspace, scaler: Scaler) -> int:
    """Bring `silver.scaled` to this scaler and to the features; returns how many rows were scaled."""
    lake, number = workspace.lake, scaler.version.number
    upstream = f"{snapshot_id(lake, FEATURES)} by {SCALER} {number}"
    if is_in_sync_with(lake, SCALED, upstream):
        return 0
    engine = workspace.engine

    def scaled(among: Rows | None) -> Rows:
        scaling = Scaling(*scaler.arrays, number)
        return engine.map(engine.rows(FEATURES, FEATURE, among=among), scaling, SCALED.schema)

    version = ("scaler_version", number)
    made, _ = sync_table(engine, lake, SCALED, FEATURES, scaled, same=["sha256"], version=version, follows=upstream)
    crash_point("silver.scaled-written")
    return made
