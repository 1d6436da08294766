"""`fruits doctor`: what is missing or inconsistent, and what to do."""

import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from fruits.sql import TABLES
from gold.job import PCA
from gold.tables import PROJECTIONS
from lakehouse import delta, jvm
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from lakehouse.storage import cache_folder, list_folders
from lakehouse.workspace import Workspace
from silver.mobilenet import UNTRAINED, keras_weights

_TRIPLE = {"pyspark": "4.1.1", "delta-spark": "4.2.0"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: well, or with what to do."""

    name: str
    ok: bool
    found: str
    advice: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Look at everything a run needs; each finding says what was found."""
    checks: list[Callable[[Settings], Finding]] = [_python, _versions, _java, _jars, _weights, _images, _lake, _models]
    return [_look(check, settings) for check in checks]


def _look(check: Callable[[Settings], Finding], settings: Settings) -> Finding:
    try:
        return check(settings)
    except LakehouseError as error:
        return Finding(check.__name__.strip("_"), False, "does not work", str(error))


def _python(settings: Settings) -> Finding:
    good = sys.version_info >= (3, 11)
    return Finding("python", good, platform.python_version(), "" if good else "Install Python 3.11 or newer.")


def _versions(settings: Settings) -> Finding:
    found = {name: version(name) for name in (*_TRIPLE, "mlflow", "ai-edge-litert", "deltalake", "duckdb")}
    wrong = [f"{name}=={wanted}" for name, wanted in _TRIPLE.items() if found[name] != wanted]
    advice = f"Spark, Delta and Hadoop go together: pip install {' '.join(wrong)}" if wrong else ""
    return Finding("versions", not wrong, ", ".join(f"{name} {number}" for name, number in found.items()), advice)


def _java(settings: Settings) -> Finding:
    found = jvm.java_version()
    good = found is not None and int(found.partition(".")[0]) >= 17
    advice = "Install Java 17 or newer (Debian, Ubuntu: openjdk-17-jre-headless), or set JAVA_HOME to it."
    return Finding("java", good, found or "none", "" if good else advice)


def _jars(settings: Settings) -> Finding:
    if not settings.packages:
        return Finding("jars", True, "the platform's own")
    jars = jvm.jars(settings.packages)
    archive = jvm.class_archive(jars)
    if archive.exists():
        return Finding("jars", True, f"{len(jars)} jars and a class archive in {cache_folder()}")
    return Finding("jars", True, f"{len(jars)} jars, no class archive: `fruits setup` halves Spark's start")


def _weights(settings: Settings) -> Finding:
    if settings.weights == UNTRAINED:
        return Finding("weights", True, "untrained, as the setting `weights` wants it: the features mean nothing")
    path = Path(settings.weights) if settings.weights else keras_weights()
    if path.is_file():
        return Finding("weights", True, str(path))
    advice = "Keras will try to download them. Without network: set KERAS_HOME, or the setting `weights` to the file."
    return Finding("weights", False, f"not at {path}", advice)


def _images(settings: Settings) -> Finding:
    if settings.images is None:
        return Finding("images", True, "none named; name them with --images or FRUITS_IMAGES")
    return Finding("images", True, f"{settings.images}, {len(list_folders(settings.images))} folders")


def _lake(settings: Settings) -> Finding:
    lake = Workspace(settings).lake
    known = [table for table in TABLES if delta.open_table(lake, table) is not None]
    if not known:
        return Finding("lake", True, f"nothing yet in {lake.uri}; `fruits run` makes it")
    delta.create(lake, known)  # raises where a layout is foreign; makes nothing, for they are there
    return Finding("lake", True, f"{lake.uri}: " + ", ".join(f"{one.name} {delta.count(lake, one):,}" for one in known))


def _models(settings: Settings) -> Finding:
    workspace = Workspace(settings)
    if delta.open_table(workspace.lake, PROJECTIONS) is None:
        return Finding("models", True, "none yet")
    champion = workspace.registry.champion(PCA)
    number = champion.number if champion else None
    held = delta.versions(workspace.lake, PROJECTIONS, "pca_version")
    where = f"{workspace.registry.tracking_uri}: champion {PCA} version {number}"
    if held <= {number}:
        return Finding("models", True, where)
    return Finding("models", False, f"{where}, gold.projections holds {held}", "`fruits gold` brings them together.")
