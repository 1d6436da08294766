"""`fruits doctor`: check the installation and the lake."""

import platform
import sys
from importlib.metadata import version

from fruits.operations.health import CheckResult, examine_files, examine_lake, run_checks
from fruits.operations.passed_over import examine_images
from fruits.settings import Settings
from lakehouse.engine import chosen_engine
from lakehouse.storage import exists
from lakehouse.user_folders import cache_folder
from silver.encoders import encoder_module
from silver.encoders.base import UNTRAINED

_TRIPLE = {"pyspark": "4.1.1", "delta-spark": "4.2.0"}


def examine(settings: Settings, *, thorough: bool = False) -> list[CheckResult]:
    """Look at everything a run needs; each finding says what was found. `thorough` reads each data file."""
    spark = (_java, _jars) if chosen_engine(settings) == "spark" else ()
    installation = run_checks(settings, _python, _versions, _engine, *spark, _weights, _images)
    return [*installation, *examine_lake(settings), *examine_files(settings, thorough=thorough)]


def _python(settings: Settings) -> CheckResult:
    good = sys.version_info >= (3, 11)
    return CheckResult("python", good, platform.python_version(), "" if good else "Install Python 3.11 or newer.")


def _versions(settings: Settings) -> CheckResult:
    found = {name: version(name) for name in (*_TRIPLE, "mlflow", "ai-edge-litert", "deltalake", "duckdb")}
    wrong = [f"{name}=={wanted}" for name, wanted in _TRIPLE.items() if found[name] != wanted]
    advice = f"Spark, Delta and Hadoop go together: pip install {' '.join(wrong)}" if wrong else ""
    return CheckResult("versions", not wrong, ", ".join(f"{name} {number}" for name, number in found.items()), advice)


def _engine(settings: Settings) -> CheckResult:
    chosen = chosen_engine(settings)
    needs = {"local": "this machine, no Java", "spark": "Spark"}
    return CheckResult("engine", True, f"{chosen} ({needs[chosen]})")


def _java(settings: Settings) -> CheckResult:
    from lakehouse.engine.spark.java import ADVICE, find_java

    java = find_java()
    return CheckResult("java", java.works, java.found, "" if java.works else ADVICE)


def _jars(settings: Settings) -> CheckResult:
    from lakehouse.engine.spark import jars

    if not settings.packages:
        return CheckResult("jars", True, "the platform's own")
    return CheckResult("jars", True, f"{len(jars.jars(settings.jars))} jars in {cache_folder()}")


def _weights(settings: Settings) -> CheckResult:
    uri = encoder_module(settings.encoder).weights_uri(settings.weights)
    if uri is None and settings.weights != UNTRAINED:
        return CheckResult("weights", True, f"none needed by the encoder {settings.encoder}")
    if uri is None:
        return CheckResult("weights", True, "untrained, as the setting `weights` wants it: the features mean nothing")
    if exists(uri):
        return CheckResult("weights", True, uri)
    advice = "Keras will try to download them. Without network: set KERAS_HOME, or the setting `weights` to the file."
    return CheckResult("weights", False, f"not at {uri}", advice)


def _images(settings: Settings) -> CheckResult:
    if settings.images is None:
        return CheckResult("images", True, "none named; name them with --images or FRUITS_IMAGES")
    taken, passed_over = examine_images(settings)
    found = f"{settings.images}, {taken:,} files"
    count = sum(len(paths) for paths in passed_over.values())
    return CheckResult("images", True, f"{found}, {count:,} passed over" if count else found, passed_over=passed_over)
