"""`fruits run`, `fruits bronze`, `fruits silver`, `fruits gold`: the jobs."""

import time
from collections.abc import Mapping
from typing import Any

import bronze.job
import bronze.tables
import gold.job
import gold.tables
import silver.job
import silver.tables
from fruits.console import bars
from lakehouse import delta
from lakehouse.settings import Settings
from lakehouse.workspace import Workspace

LAYERS = ("bronze", "silver", "gold")
_TABLES = {"bronze": bronze.tables.TABLES, "silver": silver.tables.TABLES, "gold": gold.tables.TABLES}
Summary = dict[str, Mapping[str, Any]]


def run_layers(settings: Settings, layers: tuple[str, ...] = LAYERS) -> Summary:
    """Run layers in their order; returns each one's summary, and the seconds that each took."""
    started = time.perf_counter()
    seconds: dict[str, float] = {}
    summary: Summary = {}
    if "bronze" in layers:
        settings.source  # noqa: B018 - says that no folder was named before anything is started
    with bars() as progress:
        workspace = Workspace(settings, progress)
        # MLflow's import and the model's conversion go on while photographs are found and Java starts.
        model = silver.job.prepare_model(workspace) if "silver" in layers else None
        if layers != ("bronze",):
            workspace.open_registry()
        for layer in layers:
            begun, spark = time.perf_counter(), workspace.spark_seconds
            if layer == "bronze":
                summary[layer] = bronze.job.run(workspace)
            elif model is not None and layer == "silver":
                summary[layer] = silver.job.run(workspace, silver.job.mobilenet(model))
            else:
                summary[layer] = gold.job.run(workspace)
            if settings.register_tables:
                delta.register(workspace.spark, workspace.lake, _TABLES[layer])
            seconds[layer] = time.perf_counter() - begun - (workspace.spark_seconds - spark)
    seconds = {"spark": workspace.spark_seconds, **seconds, "total": time.perf_counter() - started}
    summary["seconds"] = {key: round(value, 2) for key, value in seconds.items()}
    return summary
