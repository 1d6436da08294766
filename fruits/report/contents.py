"""Collect the contents of a report from the lake's tables; read-only, without Java or TensorFlow."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from duckdb import DuckDBPyConnection

from bronze.tables import IMAGES, QUARANTINE
from fruits.query.sql import connect
from fruits.report.held import Held, read_held
from fruits.report.holdings import Holdings, read_holdings
from fruits.report.neighbours import Neighbours, compare
from fruits.report.ran import Ran, read_runs
from fruits.report.sample import End, Sample, draw_sample, find_ends
from fruits.report.thumbnails import read_thumbnails
from fruits.report.versions import ModelVersion, read_versions
from fruits.settings import Settings
from gold.likeness import Centroids, find_centroids
from gold.tables import EXPLAINED_VARIANCE, MODELS, PROJECTIONS
from lakehouse.progress import Progress
from lakehouse.runs.table import RUNS
from lakehouse.tables import delta
from lakehouse.tables.table import Table
from lakehouse.workspace import Workspace

_ROWS_AT_ONCE = 20_000  # of components: 16 MB at 200 a row
_MEMORY = "1GB"
"""What DuckDB may hold: it reads a million rows in less, and spills what a larger lake needs more for."""


@dataclass(frozen=True)
class Variance:
    """What the components of a version explain; `ratio` and `cumulative` are of component 1, 2 and so on."""

    version: int
    components: int
    threshold: float
    ratio: list[float]
    cumulative: list[float]


@dataclass(frozen=True)
class Projected:
    """What the projections show: a sample, and of all rows the ends of the components and the labels' centroids."""

    sample: Sample
    ends: list[tuple[End, End]]
    centroids: Centroids
    neighbours: Neighbours


@dataclass(frozen=True)
class Report:
    """What a lake holds at a moment; None for what it does not hold yet."""

    lake: str
    made_at: datetime
    holdings: Holdings | None = None
    held: Held | None = None
    variance: Variance | None = None
    projected: Projected | None = None
    versions: list[ModelVersion] = field(default_factory=list)
    thumbnails: dict[str, str] = field(default_factory=dict)
    runs: list[Ran] = field(default_factory=list)


def gather(settings: Settings, progress: Progress) -> Report:
    """Read what the report tells.

    Raises:
        LakehouseError: the lake has no table.
    """
    workspace = Workspace(settings)
    lake = workspace.lake
    connection = connect(lake)
    connection.execute(f"SET memory_limit = '{_MEMORY}'")
    asked = (IMAGES, QUARANTINE, PROJECTIONS, EXPLAINED_VARIANCE, MODELS, RUNS)
    there = {table for table in asked if _holds_rows(lake, table)}
    told = progress.stage("report", 5)
    holdings = read_holdings(connection) if IMAGES in there else None
    held = read_held(lake, settings) if QUARANTINE in there else None
    told(1)
    projected = _projected(connection) if PROJECTIONS in there else None
    told(2)
    variance = _variance(connection) if {PROJECTIONS, EXPLAINED_VARIANCE, MODELS} <= there else None
    paths = list(dict.fromkeys(_pictured(holdings, projected)))
    thumbnails = read_thumbnails(connection, paths, progress.stage("thumbnails", len(paths))) if holdings else {}
    told(4)
    versions = read_versions(connection, workspace) if MODELS in there else []
    told(5)
    runs = read_runs(connection) if RUNS in there else []
    return Report(lake.uri, datetime.now(UTC), holdings, held, variance, projected, versions, thumbnails, runs)


def _holds_rows(lake: delta.Lake, table: Table) -> bool:
    return delta.open_table(lake, table) is not None and delta.count(lake, table) > 0


def _projected(connection: DuckDBPyConnection) -> Projected:
    sample = draw_sample(connection)
    ends = find_ends(connection, sample.components.shape[1])
    rows = connection.sql("SELECT label, components FROM gold.projections WHERE label IS NOT NULL")
    centroids = find_centroids(rows.to_arrow_reader(_ROWS_AT_ONCE))
    return Projected(sample, ends, centroids, compare(sample))


def _variance(connection: DuckDBPyConnection) -> Variance | None:
    """Of the version that the projections are of."""
    query = "FROM gold.models WHERE pca_version = (SELECT max(pca_version) FROM gold.projections)"
    found = connection.execute(f"SELECT pca_version, components, threshold {query}").fetchall()
    if not found:
        return None
    version, components, threshold = found[0]
    rows = connection.execute(
        "SELECT ratio, cumulative FROM gold.explained_variance WHERE pca_version = ? ORDER BY component", [version]
    ).fetchall()
    ratio, cumulative = [row[0] for row in rows], [row[1] for row in rows]
    return Variance(version, components, threshold, ratio, cumulative) if rows else None


def _pictured(holdings: Holdings | None, projected: Projected | None) -> Iterable[str]:
    """The paths of what is shown, what is spoken of first."""
    for copies in holdings.copies if holdings else ():
        yield copies.paths[0]
    if projected is None:
        return
    for sides in projected.ends:
        for end in sides:
            yield from (path for path, _ in end.photographs)
    paths = projected.sample.paths
    for pair in projected.neighbours.pairs:
        yield from (paths[pair.one], paths[pair.other])
    for suspect in projected.neighbours.suspects:
        yield from (paths[suspect.photograph], paths[suspect.other])
    yield from paths
