"""Where rows are computed: the contract (`port`), and the engines that keep it (`local`, `spark`)."""

import os
from typing import TYPE_CHECKING

# Nothing is imported here that a worker process does not need: it imports this package too.
if TYPE_CHECKING:
    from lakehouse.engine.port import Engine
    from lakehouse.progress import Progress
    from lakehouse.settings import LakeSettings
    from lakehouse.tables.delta import Lake


def chosen_engine(settings: "LakeSettings") -> str:
    """The engine that `auto` stands for: Spark where `spark-submit` has started this process, else the local one."""
    if settings.engine != "auto":
        return settings.engine
    return "spark" if "PYSPARK_GATEWAY_PORT" in os.environ else "local"


def open_engine(settings: "LakeSettings", lake: "Lake", progress: "Progress") -> "Engine":
    """The engine that the settings name; nothing is started before it is used."""
    if chosen_engine(settings) == "spark":
        from lakehouse.engine.spark.engine import SparkEngine

        return SparkEngine(settings, lake, progress)
    from lakehouse.engine.local.engine import LocalEngine

    return LocalEngine(lake, progress, settings.processes)
