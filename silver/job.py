"""The silver job: images without features get them, moments follow, and all features stand on one scale."""

from dataclasses import dataclass, replace
from typing import TypedDict

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from bronze.tables import IMAGES
from bronze.tables import TABLES as BRONZE_TABLES
from lakehouse import delta
from lakehouse.errors import SettingsError
from lakehouse.failpoint import reach
from lakehouse.follow import bring_up, difference, follows, mark_follows, state
from lakehouse.progress import counted
from lakehouse.registry import Fit, Version
from lakehouse.workspace import Background, Workspace
from silver.featurize import Encoder, copy_features, featurize
from silver.fitted import SCALER, Covered, Scaler, read_moments, registered_scaler, write_moments
from silver.mobilenet import converted_model, encoder
from silver.moments import Moments, merge_moments, partial_moments
from silver.scale import fit_scaler, scale, standardness
from silver.tables import FEATURES, MOMENTS, SCALED, TABLES

_PARTIALS = 32  # bounds what the driver gathers: 32 × 13 MB


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

    rows: DataFrame
    counts: dict[tuple[str, str], int]
    batches: list[int]

    def count(self, action: str, change: str | None = None) -> int:
        return sum(n for (one, kind), n in self.counts.items() if one == action and change in (None, kind))

    def paths(self, action: str) -> DataFrame:
        return self.rows.where(F.col("action") == action).select("path")


def prepare_model(workspace: Workspace) -> Background[tuple[str, bytes]]:
    """Begin to convert the model, if the lake has none, while other work goes on."""
    settings, folder = workspace.settings, workspace.lake.uri_of("models")
    return Background(lambda: converted_model(settings.weights, folder))


def mobilenet(model: Background[tuple[str, bytes]]) -> Encoder:
    """The MobileNetV2 encoder of a run."""
    return encoder(*model.get())


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
    reach("silver.features-written")
    moments = update_moments(workspace, encoder.feature_version, encoder.dimension)
    reach("silver.moments-written")
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
        reach("silver.champion-moved")
    return scaled, scaler.version.number, reason


# ---- features -------------------------------------------------------------------------------------------------------


def _follow_images(workspace: Workspace, encoder: Encoder) -> tuple[int, int, int]:
    """Bring `silver.features` to `bronze.images`; returns how many were computed, copied and removed."""
    lake = workspace.lake
    upstream = f"{state(lake, IMAGES)} as {encoder.feature_version}"
    if follows(lake, FEATURES, upstream):
        return 0, 0, 0
    work = _find(workspace, encoder)
    reach("silver.found")
    try:
        _write_features(workspace, encoder, work)
    finally:
        work.rows.unpersist()
    mark_follows(lake, FEATURES, upstream)
    return work.count("compute"), work.count("copy"), work.count("delete")


def _find(workspace: Workspace, encoder: Encoder) -> _Work:
    spark, lake = workspace.spark, workspace.lake
    features = delta.read(spark, lake, FEATURES).select("path", "sha256", "feature_version")
    images = delta.read(spark, lake, IMAGES).select("path", "sha256", "batch")
    wanted = images.withColumn("feature_version", F.lit(encoder.feature_version))
    changes = difference(wanted, features, "path", ["sha256", "feature_version"])
    rows = with_action(changes, features, encoder).persist()
    found = rows.groupBy("action", "change", "batch").count().collect()
    counts: dict[tuple[str, str], int] = {}
    for action, change, _, n in found:
        counts[action, change] = counts.get((action, change), 0) + n
    return _Work(rows, counts, sorted({batch for action, _, batch, _ in found if action != "delete"}))


def with_action(changes: DataFrame, features: DataFrame, encoder: Encoder) -> DataFrame:
    """What each change needs: one image of each content that is not known is computed, the others are copies.

    Args:
        changes: path, sha256, batch, change, as `difference` returns them.
        features: path, sha256, feature_version of the rows that are there.
        encoder: whose features count.
    """
    known = features.where(F.col("feature_version") == encoder.feature_version).select("sha256").distinct()
    first = F.row_number().over(Window.partitionBy("sha256").orderBy("path")) == 1
    action = (
        F.when(F.col("change") == "delete", "delete")
        .when(F.col("known") | ~F.col("first"), "copy")
        .otherwise("compute")
    )
    return (
        changes.join(known.withColumn("known", F.lit(True)), on="sha256", how="left")
        .withColumns({"known": F.coalesce("known", F.lit(False)), "first": first})
        .select("path", "sha256", "batch", "change", action.alias("action"))
    )


def _write_features(workspace: Workspace, encoder: Encoder, work: _Work) -> None:
    spark, lake, compute = workspace.spark, workspace.lake, work.count("compute")
    # The batches are named so that the files of other batches are passed over.
    images = delta.read(spark, lake, IMAGES).where(F.col("batch").isin(work.batches))
    if compute:
        with counted(spark, workspace.progress, "features computed", compute) as count:
            chosen = images.join(work.paths("compute"), on="path", how="left_semi")
            tasks = max(spark.sparkContext.defaultParallelism, -(-compute // workspace.settings.images_per_task))
            _put(workspace, featurize(chosen.repartition(tasks, "path"), encoder, count), work, "compute")
        reach("silver.features-computed")
    if work.count("copy"):
        chosen = images.drop("content").join(work.paths("copy"), on="path", how="left_semi")
        _put(workspace, copy_features(chosen, delta.read(spark, lake, FEATURES), encoder), work, "copy")
        reach("silver.features-copied")
    if work.count("delete"):  # last, so that the features of a moved image can be copied before
        delta.delete(work.paths("delete"), lake, FEATURES)


def _put(workspace: Workspace, rows: DataFrame, work: _Work, action: str) -> None:
    write = delta.merge if work.count(action, "update") else delta.append
    write(rows, workspace.lake, FEATURES)


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
    after = Covered(moments, feature_version, version, str(features.metadata().id), fresh)
    if before or rows:
        write_moments(lake, after)
    return after


def _summed(workspace: Workspace, dimension: int) -> Moments:
    """The moments of all features, in one pass over them."""
    features = delta.read(workspace.spark, workspace.lake, FEATURES)
    return merge_moments(partial_moments(_few(workspace, features)), dimension)


def _incremented(workspace: Workspace, before: Covered, version: int) -> Moments | None:
    """The moments after the changes since `before`, None where the history that tells them is gone."""
    moments = before.moments
    dimension = len(moments.mean)
    added = F.col("_change_type").isin("insert", "update_postimage")
    try:
        changes = delta.read_changes(workspace.spark, workspace.lake, FEATURES, before.features_version + 1, version)
        plus = merge_moments(partial_moments(_few(workspace, changes.where(added))), dimension)
        minus = merge_moments(partial_moments(_few(workspace, changes.where(~added))), dimension)
    except delta.READ_ERRORS as error:
        reason = str(error).strip().partition("\n")[0]
        workspace.progress.say(
            f"The change feed of {FEATURES.name} cannot be read; recomputing the moments. ({reason})"
        )
        return None
    return moments + plus - minus


def _few(workspace: Workspace, rows: DataFrame) -> DataFrame:
    return rows.select("features").coalesce(min(workspace.spark.sparkContext.defaultParallelism, _PARTIALS))


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
    found = workspace.registry.find(SCALER, _tags(covered))
    fitted = found or _register_scaler(workspace, _without_residue(workspace, covered), reason)
    reach("silver.scaler-registered")
    again = champion is not None and fitted.number == champion.version.number
    return registered_scaler(workspace.registry, fitted), None if again else reason


def _pinned_scaler(workspace: Workspace, covered: Covered, number: int) -> Scaler:
    version = workspace.registry.version(SCALER, number)
    if version is None or version.tags["feature_version"] != covered.feature_version:
        raise SettingsError(
            f"The champion is pinned to a PCA that needs {SCALER} version {number}, which is "
            + (f"of the features {version.tags['feature_version']}" if version else "not in the registry")
            + f"; the lake's are {covered.feature_version}. Release it: `fruits rollback --unpin`."
        )
    scaler = registered_scaler(workspace.registry, version)
    if reason := _why_not_standard(workspace, scaler, covered):
        workspace.progress.say(f"{SCALER} version {number} is pinned; else it would be fitted anew: {reason}.")
    return scaler


def _why_refit(workspace: Workspace, champion: Scaler | None, covered: Covered) -> str | None:
    settings = workspace.settings
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
    settings = workspace.settings
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
    summed = replace(covered, moments=_summed(workspace, len(covered.moments.mean)), fresh=True)
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
    upstream = f"{state(lake, FEATURES)} by {SCALER} {number}"
    if follows(lake, SCALED, upstream):
        return 0
    features = delta.read(workspace.spark, lake, FEATURES)
    made, _ = bring_up(
        features,
        lake,
        SCALED,
        lambda rows: scale(rows, *scaler.arrays, number),
        same=["sha256"],
        version=("scaler_version", number),
    )
    reach("silver.scaled-written")
    mark_follows(lake, SCALED, upstream)
    return made
