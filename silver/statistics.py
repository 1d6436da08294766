"""The moments of all features: kept in `silver.moments`, and brought up to date by what has changed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import pyarrow as pa

from lakehouse.engine.port import CHANGE, HistoryLostError, Rows
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import Row
from lakehouse.workspace import Workspace
from silver.moments import CombinedMoments, Moments, PartialMoments, merge_moments
from silver.tables import FEATURES, MOMENTS

_FEATURES_VERSION = "fruits.features_version"
"""Where a commit without data says of which version of `silver.features` the row is the moments of, too."""


@dataclass(frozen=True)
class FeatureStatistics:
    """Moments, and what they are the moments of: a Delta version of `silver.features`, the table with this id.

    They are read when they are first needed, which a run without news never does. `fresh` says that they have just been
    summed over all rows, rather than by increments.
    """

    read: Callable[[], Moments] = field(compare=False, repr=False)
    feature_version: str
    features_version: int
    table_id: str
    fresh: bool = False

    @cached_property
    def moments(self) -> Moments:
        """The moments themselves: 13 MB of 1,280 features."""
        return self.read()

    @property
    def fitted_on(self) -> str:
        """Names these rows for ever, for the registry."""
        return f"{self.table_id}@{self.features_version}"


def read_moments(lake: Lake) -> FeatureStatistics | None:
    """The row of `silver.moments`, None before the first images."""
    version = delta.existing(lake, MOMENTS).version()
    covered = _row_of_moments(lake, version, ["feature_version", "features_version"])
    if covered is None:
        return None
    if (noted := delta.metadata(lake, MOMENTS).get(_FEATURES_VERSION)) is not None:
        covered["features_version"] = int(str(noted))

    def read() -> Moments:
        row = _row_of_moments(lake, version, ["count", "mean", "scatter"])
        assert row is not None, "a version of a table has the same rows for ever"
        return Moments.from_bytes(**row)

    return FeatureStatistics(read, **covered, table_id=str(delta.existing(lake, FEATURES).metadata().id))


def _row_of_moments(lake: Lake, version: int, columns: Sequence[str]) -> Row | None:
    tables = delta.read_columns(lake, MOMENTS, columns, version)
    return next((row for table in tables for row in table.to_pylist()), None)


def write_moments(lake: Lake, covered: FeatureStatistics) -> None:
    """Replace the row of `silver.moments`."""
    row = (covered.feature_version, covered.features_version, *covered.moments.to_bytes())
    columns = {name: [value] for name, value in zip(MOMENTS.schema.names, row, strict=True)}
    delta.write_small(pa.table(columns), lake, MOMENTS, mode="overwrite")


def update_moments(workspace: Workspace, feature_version: str, dimension: int) -> FeatureStatistics:
    """Bring the moments to all features of a version, from the change feed, or in one pass where that is lost."""
    lake = workspace.lake
    features = delta.existing(lake, FEATURES)
    version, rows = delta.rows_version(lake, FEATURES), delta.count(lake, FEATURES)
    before = read_moments(lake)
    if before and before.feature_version == feature_version and before.features_version == version:
        return before
    moments = None
    if before and before.feature_version == feature_version:
        if _has_same_features(workspace, before, version) and before.moments.count == rows:
            delta.write_metadata(lake, MOMENTS, {_FEATURES_VERSION: str(version)})
            return replace(before, features_version=version)
        moments = _incremented(workspace, before, version)
    fresh = moments is None or moments.count != rows
    if moments is None or fresh:
        moments = _summed(workspace, dimension)
    after = FeatureStatistics(lambda: moments, feature_version, version, str(features.metadata().id), fresh)
    if before or rows:
        write_moments(lake, after)
    return after


def _summed(workspace: Workspace, dimension: int) -> Moments:
    """The moments of all features, in one pass over them."""
    return _moments_of(workspace, workspace.engine.rows(FEATURES, ["features"]), dimension)


def _moments_of(workspace: Workspace, features: Rows, dimension: int) -> Moments:
    return merge_moments(workspace.engine.fold(features, PartialMoments(), CombinedMoments()), dimension)


def _has_same_features(workspace: Workspace, before: FeatureStatistics, version: int) -> bool:
    """Whether only labels and splits have changed since `before`: what its history says without a look at features.

    False where the history is gone.
    """
    engine, columns = workspace.engine, ["path", "sha256", "feature_version"]
    try:
        changes = engine.changes(FEATURES, columns, before.features_version, version)
        differing = engine.sql(
            f"""
            SELECT count(*) AS n FROM (
                SELECT {", ".join(columns)} FROM changes GROUP BY {", ".join(columns)}
                HAVING sum(CASE WHEN {CHANGE} IN ('insert', 'update_postimage') THEN 1 ELSE -1 END) <> 0
            ) differing
            """,
            changes=changes,
        )
        return not engine.arrow(differing)["n"][0].as_py()
    except HistoryLostError:
        return False


def _incremented(workspace: Workspace, before: FeatureStatistics, version: int) -> Moments | None:
    """The moments after the changes since `before`, None where the history that tells them is gone."""
    engine, moments = workspace.engine, before.moments
    dimension = len(moments.mean)
    try:
        for kinds, sign in (("'insert', 'update_postimage'", 1), ("'delete', 'update_preimage'", -1)):
            changes = engine.changes(FEATURES, ["features"], before.features_version, version)
            chosen = engine.sql(f"SELECT features FROM changes WHERE {CHANGE} IN ({kinds})", changes=changes)
            part = _moments_of(workspace, chosen, dimension)
            moments = moments + part if sign > 0 else moments - part
    except HistoryLostError as error:
        workspace.progress.log(f"{error} Recomputing the moments from all features.")
        return None
    return moments


def recompute_exact(workspace: Workspace, covered: FeatureStatistics) -> FeatureStatistics:
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
