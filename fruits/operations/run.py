"""`fruits run`, `fruits bronze`, `fruits silver`, `fruits gold`: the jobs."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypedDict

import bronze.job
import gold.job
import silver.job
from fruits.catalog import BY_LAYER, Layer
from fruits.operations.mirror import MirrorUpdate, prepare_mirror
from fruits.operations.upkeep import keep_up
from fruits.operations.writing import exclusive_workspace
from fruits.settings import Settings
from gold.tables import PCA
from lakehouse.engine import chosen_engine
from lakehouse.errors import SettingsError
from lakehouse.workspace import Workspace
from silver.encoders import encoder_module
from silver.encoders.base import Encoder

LAYERS = tuple(Layer)
_MODELLED = {Layer.SILVER, Layer.GOLD}


class Summary(TypedDict, total=False):
    """What each layer says that has run, what upkeep did if any was due, and the seconds that each took."""

    bronze: bronze.job.Summary
    silver: silver.job.Summary
    gold: gold.job.Summary
    upkeep: dict[str, int]
    seconds: dict[str, float]


def run_layers(settings: Settings, layers: Sequence[Layer] = LAYERS) -> Summary:
    """Run layers in their order, as the lake's one writer; returns each one's summary, and the seconds each took.

    Raises:
        LeaseHeldError: another process writes to the lake; nothing was changed.
        SettingsError: the settings ask for what the engine cannot do; nothing was changed.
    """
    if settings.register_tables and chosen_engine(settings) != "spark":
        raise SettingsError(
            "`register_tables` enters the tables in Spark's catalog, which the engine `local` has not. Set it to "
            "false, or use `--engine spark`."
        )
    if Layer.BRONZE in layers:
        settings.source  # noqa: B018 - says that no folder was named before anything is started
    if Layer.SILVER in layers:
        encoder_module(settings.encoder)  # likewise, that there is no such encoder
    command = "run" if tuple(layers) == LAYERS else "+".join(layers)
    with exclusive_workspace(settings, command) as workspace:
        if Layer.SILVER in layers:
            prepared = silver.job.prepare_encoder(workspace)  # goes on while photographs are found

        def encoder() -> Encoder:
            _prepare_fit(workspace)
            return prepared.get()

        summary = run_pipeline(workspace, layers, encoder)
        begun = time.perf_counter()
        if done := keep_up(workspace):
            workspace.summary["upkeep"] = summary["upkeep"] = vars(done)
            summary["seconds"]["upkeep"] = round(time.perf_counter() - begun, 2)
        return summary


def _prepare_fit(workspace: Workspace) -> None:
    """Begin to import what a fit needs, where there will be one, while the features are computed by others.

    Not before: while photographs are read, this process hands them out and writes them, and imports would slow it.
    """
    prepare_mirror(workspace)
    if workspace.section(Settings).refit == "always" or workspace.registry.champion(PCA) is None:
        gold.job.prepare_fit()


def run_pipeline(workspace: Workspace, layers: Sequence[Layer], encoder: Callable[[], Encoder]) -> Summary:
    """Run layers in a workspace; `encoder` is asked for when silver begins."""
    engine = workspace.engine
    started, already = time.perf_counter(), engine.start_seconds
    mirror = MirrorUpdate(workspace)
    summary: Summary = {}
    if {*layers} & _MODELLED:
        mirror.obey()
    for layer in layers:
        with _timed(workspace, layer):
            match layer:
                case Layer.BRONZE:
                    workspace.summary["bronze"] = summary["bronze"] = bronze.job.run(workspace)
                case Layer.SILVER:
                    made = silver.job.run(workspace, encoder(), pinned_scaler(workspace))
                    workspace.summary["silver"] = summary["silver"] = made
                    engine.close()  # gold needs no workers, and all the memory
                case Layer.GOLD:
                    pinned_scaler(workspace)
                    with mirror.scaler_meanwhile():
                        workspace.summary["gold"] = summary["gold"] = gold.job.run(workspace)
            if workspace.settings.register_tables:
                engine.register(BY_LAYER[layer])
    by_stage = {str(layer): workspace.seconds[layer] for layer in layers}
    if {*layers} & _MODELLED:
        begun = time.perf_counter()
        mirror.finish()
        by_stage["mlflow"] = time.perf_counter() - begun
    seconds = {"start": engine.start_seconds - already, **by_stage, "total": time.perf_counter() - started}
    summary["seconds"] = {key: round(value, 2) for key, value in seconds.items()}
    return summary


@contextmanager
def _timed(workspace: Workspace, layer: Layer) -> Iterator[None]:
    """Note how long a layer takes, or took until it failed; the engine's start, if it is in it, is no part of that."""
    begun, start = time.perf_counter(), workspace.engine.start_seconds
    try:
        yield
    finally:
        workspace.seconds["start"] = workspace.engine.start_seconds
        workspace.seconds[layer] = time.perf_counter() - begun - (workspace.engine.start_seconds - start)


def pinned_scaler(workspace: Workspace) -> int | None:
    """The scaler that the pinned PCA needs, None where none is pinned; `--refit always` releases the pin."""
    if workspace.section(Settings).refit == "always":
        workspace.registry.release(PCA, "a refit was asked for")
    pinned = workspace.registry.pinned(PCA)
    return int(pinned.tags["scaler_version"]) if pinned else None
