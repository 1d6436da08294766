"""`fruits run`, `fruits bronze`, `fruits silver`, `fruits gold`: the jobs."""

import time
from collections.abc import Mapping
from typing import Any

import bronze.job
import gold.job
import silver.job
from fruits.console import bars
from lakehouse.settings import Settings
from lakehouse.workspace import Workspace

LAYERS = ("bronze", "silver", "gold")
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
        # MLflow's import and the model's conversion go on while Java starts.
        model = silver.job.prepare_model(workspace) if "silver" in layers else None
        if layers != ("bronze",):
            workspace.open_registry()
        workspace.spark  # noqa: B018 - the first look starts it
        seconds["spark"] = time.perf_counter() - started
        for layer in layers:
            begun = time.perf_counter()
            if layer == "bronze":
                summary[layer] = bronze.job.run(workspace)
            elif model is not None and layer == "silver":
                summary[layer] = silver.job.run(workspace, silver.job.mobilenet(workspace, model))
            else:
                summary[layer] = gold.job.run(workspace)
            seconds[layer] = time.perf_counter() - begun
    seconds["total"] = time.perf_counter() - started
    summary["seconds"] = {key: round(value, 2) for key, value in seconds.items()}
    return summary
