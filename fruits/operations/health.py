"""Health checks of a lake (writer, tables, models), and repairs that need no photographs."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import gold.job
from bronze.alike import in_quotes, labels_alike
from bronze.contents import count_contents, remove_images_without_content
from bronze.reasons import Reason
from bronze.tables import IMAGES, QUARANTINE
from fruits.catalog import ALL_TABLES, MIGRATIONS
from fruits.console import bars, format_bytes
from fruits.operations.integrity import describe, examine_tables, repair_tables, summary
from fruits.operations.mirror import lacking_in_mirror, show_models
from fruits.operations.run import pinned_scaler
from fruits.operations.upkeep import SMALL_FILES, TableState, examine_upkeep
from fruits.operations.writing import exclusive_workspace, leased_workspace
from fruits.query.costs import warnings
from fruits.query.history import list_runs
from fruits.settings import Settings
from gold.tables import PCA, PROJECTIONS
from lakehouse.errors import LakehouseError
from lakehouse.lease import open_lease
from lakehouse.migration import pending
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.workspace import Workspace
from silver.scaler import rescale
from silver.statistics import read_moments
from silver.tables import FEATURES, MOMENTS, SCALED, SCALER

_REPAIR_ADVICE = "`fruits doctor --repair` brings them together."


@dataclass(frozen=True)
class CheckResult:
    """One thing that was looked at: well, or with what to do.

    Attributes:
        name: what was looked at.
        ok: whether it is well.
        found: what was found.
        advice: what to do about it.
        passed_over: by rule, files of the photographs' folder that are passed over.
        tables: the state of each table's files.
    """

    name: str
    ok: bool
    found: str
    advice: str = ""
    passed_over: Mapping[str, Sequence[str]] = field(default_factory=dict)
    tables: Sequence[TableState] = ()


def run_checks(settings: Settings, *checks: Callable[[Settings], CheckResult]) -> list[CheckResult]:
    """What each check finds; an error that a check raises on purpose is a finding."""
    return [_run_check(check, settings) for check in checks]


def examine_lake(settings: Settings) -> list[CheckResult]:
    """Look at the lake, its writer and its models; changes nothing."""
    checks = (_lake, _writer, _models, _mlflow, _contents, _rows, _labels, _reasons, _upkeep, _costs)
    return run_checks(settings, *checks)


def repair(settings: Settings, *, thorough: bool = False) -> list[str]:
    """Repair what can be repaired without photographs; returns what was done, a sentence each.

    An abandoned lease is removed. Lost and damaged files are taken out of the tables, and tables of an older release
    migrated. Scaled rows, projections and the champions are brought together: by the difference,
    as every run does it, so nothing is computed that is there. `thorough` looks for damage in all data files.

    Raises:
        LeaseHeldError: somebody writes to the lake; nothing was changed.
    """
    done = []
    if open_lease(settings.lake).break_abandoned():
        done.append("Removed an abandoned lease.")
    if not all(finding.ok for finding in examine_files(settings, thorough=thorough)):
        with leased_workspace(settings, "doctor --repair") as workspace:
            done += repair_tables(workspace, thorough=thorough)
    if all(finding.ok for finding in examine_lake(settings)):
        return done
    with exclusive_workspace(settings, "doctor --repair") as workspace:
        if lost := remove_images_without_content(workspace):
            done.append(f"Took {lost:,} photographs out of {IMAGES.name} whose content is lost.")
        begun = delta.open_table(workspace.lake, MOMENTS) is not None
        covered = read_moments(workspace.lake) if begun else None
        if covered is not None:
            scaled, scaler, _ = rescale(workspace, covered, pinned_scaler(workspace))
            workspace.summary["silver"] = {"scaled": scaled, "scaler_version": scaler}
            workspace.summary["gold"] = summary = gold.job.run(workspace)
            done.append(
                f"Scaled {scaled:,} images by {SCALER} version {scaler}, and projected {summary['projected']:,} onto "
                f"{PCA} version {summary['pca_version']}."
            )
        if shown := show_models(workspace, again=True):
            done.append(f"Showed {shown} versions in MLflow.")
    return done


def _run_check(check: Callable[[Settings], CheckResult], settings: Settings) -> CheckResult:
    try:
        return check(settings)
    except LakehouseError as error:
        return CheckResult(check.__name__.strip("_"), False, "does not work", str(error))


def _lake(settings: Settings) -> CheckResult:
    workspace = Workspace(settings)
    lake = workspace.lake
    known = [table for table in ALL_TABLES if delta.open_table(lake, table) is not None]
    if not known:
        return CheckResult("lake", True, f"nothing yet in {lake.uri}; `fruits run` makes it")
    found = f"{lake.uri}: " + ", ".join(f"{one.name} {delta.count(lake, one):,}" for one in known)
    older = pending(workspace, ALL_TABLES, MIGRATIONS)
    found += f"; of an older release, brought to this one by the next run: {', '.join(older)}" if older else ""
    return CheckResult("lake", True, found)


def examine_files(settings: Settings, *, thorough: bool = False) -> list[CheckResult]:
    """Look for lost, damaged and foreign files of the tables; `thorough` reads each data file whole.

    Returns:
        A result for each table that is not well, and one for the others together.
    """
    with bars("files") as progress:
        tables = examine_tables(Lake(settings.lake), progress, thorough=thorough)
    bad = [CheckResult("files", False, *describe(table)) for table in tables if not table.ok]
    return [*bad, CheckResult("files", True, summary(table for table in tables if table.ok))]


def _contents(settings: Settings) -> CheckResult:
    lake = Lake(settings.lake)
    if delta.open_table(lake, IMAGES) is None:
        return CheckResult("contents", True, "none yet")
    counts = count_contents(lake)
    unused = f", and {counts.unused:,} that no photograph has any more" if counts.unused else ""
    if not counts.lost:
        return CheckResult("contents", True, f"{counts.wanted:,}{unused}")
    found = f"{counts.wanted - counts.lost:,} of the {counts.wanted:,} that photographs have{unused}"
    advice = "`fruits doctor --repair`, and then `fruits run`, which reads the others again."
    return CheckResult("contents", False, found, advice)


def _labels(settings: Settings) -> CheckResult:
    lake = Lake(settings.lake)
    if delta.open_table(lake, IMAGES) is None:
        return CheckResult("labels", True, "none yet")
    columns = (rows.column("label").unique().drop_null() for rows in delta.read_columns(lake, IMAGES, ["label"]))
    labels = {label for column in columns for label in column.to_pylist()}
    found = f"{len(labels):,}"
    if not (alike := labels_alike(labels)):
        return CheckResult("labels", True, found)
    told = f"{found}; labels that look alike: {'; '.join(map(in_quotes, alike))}."
    return CheckResult("labels", True, told, "Rename the folders, or use `fruits relabel`, where one fruit is meant.")


def _reasons(settings: Settings) -> CheckResult:
    lake = Lake(settings.lake)
    if delta.open_table(lake, QUARANTINE) is None:
        return CheckResult("quarantine", True, "nothing yet")
    columns = delta.read_columns(lake, QUARANTINE, ["reason"])
    counts = Counter(reason for rows in columns for reason in rows.column("reason").to_pylist())
    unknown = {reason: count for reason, count in counts.items() if reason not in set(Reason)}
    found = f"{counts.total():,} files held back"
    if not unknown:
        return CheckResult("quarantine", True, found)
    found += ", of them with reasons of another release: " + ", ".join(f"{n:,} {one}" for one, n in unknown.items())
    return CheckResult("quarantine", False, found, "`fruits run` judges them by the rules of this release.")


def _upkeep(settings: Settings) -> CheckResult:
    states = examine_upkeep(settings)
    alive, dead = sum(one.bytes for one in states), sum(one.dead_bytes for one in states)
    found = f"{format_bytes(alive)} in {sum(one.files for one in states):,} files, {format_bytes(dead)} of older ones"
    return CheckResult("upkeep", True, found, " ".join(upkeep_advice(states, settings)), tables=states)


MANY_SMALL = 4 * SMALL_FILES
"""Small files of a table that upkeep, were it on, would have merged by now."""
DEAD_PER_LIVE = 5
DEAD_BYTES = 1_000_000_000
"""Less than that costs some cents a month."""


def upkeep_advice(states: Sequence[TableState], settings: Settings) -> list[str]:
    """What helps where a lake has more files or dead bytes than it should, a sentence each."""
    said = []
    crowded = [one.table for one in states if one.merges >= MANY_SMALL]
    if crowded:
        said.append(f"Many small files slow {', '.join(crowded)} down: `fruits maintain` merges them.")
        if settings.upkeep == "never":
            said.append("`upkeep: auto` keeps it so.")
    alive, dead = sum(one.bytes for one in states), sum(one.dead_bytes for one in states)
    if dead > max(DEAD_PER_LIVE * alive, DEAD_BYTES):
        going = sum(one.removes_bytes for one in states)
        said.append(
            f"Of {format_bytes(dead)} of old files `fruits maintain` removes {format_bytes(going)}; the others stay "
            f"for `history_days: {settings.history_days:g}`, which may be fewer."
        )
    return said


def _costs(settings: Settings) -> CheckResult:
    runs = list_runs(Lake(settings.lake))[:LATEST]
    said = [one for run in runs if run["summary"] for one in warnings(run, json.loads(run["summary"]))]
    if not said:
        return CheckResult("costs", True, f"the latest {len(runs)} runs cost what they should by what they did")
    return CheckResult("costs", True, f"{len(said)} times a run cost more than it should by what it did", said[0])


LATEST = 10
"""Runs whose costs are looked at."""


def _writer(settings: Settings) -> CheckResult:
    holder = open_lease(settings.lake).holder()
    if holder is None:
        return CheckResult("writer", True, "no active writer")
    until = f", until {holder.expires:%Y-%m-%d %H:%M:%S} UTC unless renewed" if holder.expires else ""
    return CheckResult("writer", True, f"{holder.name} since {holder.since:%Y-%m-%d %H:%M:%S} UTC{until}")


def _models(settings: Settings) -> CheckResult:
    workspace = Workspace(settings)
    if delta.open_table(workspace.lake, PROJECTIONS) is None:
        return CheckResult("models", True, "none yet")
    champion, pinned = workspace.registry.champion(PCA), workspace.registry.pinned(PCA)
    number = champion.number if champion else None
    held = delta.versions(workspace.lake, PROJECTIONS, "pca_version")
    found = f"champion {PCA} version {number}" + (f", pinned {pinned.number}" if pinned else "")
    if held <= {number} and pinned in (None, champion):
        return CheckResult("models", True, found)
    return CheckResult("models", False, f"{found}, gold.projections holds {sorted(held)}", _REPAIR_ADVICE)


def _mlflow(settings: Settings) -> CheckResult:
    workspace = Workspace(settings)
    lacking = lacking_in_mirror(workspace)
    if not lacking:
        where = settings.tracking_uri or workspace.lake.uri_of("mlflow")
        return CheckResult("mlflow", True, f"{where} shows the models")
    return CheckResult("mlflow", False, f"does not show {'; '.join(lacking)}", "`fruits doctor --repair` shows them.")


def _held_back(lake: Lake) -> int:
    """How many images have no features because they end each process that computes them."""
    as_it_is = ("path", "length", "modification_time")
    killing = delta.rows_where(lake, QUARANTINE, "reason", [Reason.KILLS_THE_READER], as_it_is)
    images = delta.rows_where(lake, IMAGES, "path", [row["path"] for row in killing], as_it_is) if killing else []
    return sum(row in killing for row in images)


def _rows(settings: Settings) -> CheckResult:
    workspace = Workspace(settings)
    tables = (IMAGES, FEATURES, SCALED, PROJECTIONS)
    if any(delta.open_table(workspace.lake, table) is None for table in tables):
        return CheckResult("rows", True, "not all layers have run yet; `fruits run` runs them")
    images, features, scaled, projections = (delta.count(workspace.lake, table) for table in tables)
    found = f"{images:,} images, {features:,} with features, {scaled:,} scaled, {projections:,} projected"
    held_back = _held_back(workspace.lake)
    found += f", {held_back:,} held back" if held_back else ""
    if images - held_back != features:
        return CheckResult("rows", False, found, "`fruits run` works off the difference.")
    waiting = workspace.registry.champion(PCA) is None  # too few photographs, or too much alike, for a fit
    good = features == scaled == projections or waiting
    return CheckResult("rows", good, found, "" if good else _REPAIR_ADVICE)
