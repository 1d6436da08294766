"""`fruits demo`: the whole lakehouse in one command, on photographs that are drawn where there are none."""

import os
import shutil
import sys
from pathlib import Path

from fruits.console import ERR, OUT, bars, print_summary, print_table
from fruits.demo.draw import draw_photographs
from fruits.operations.run import run_layers
from fruits.query.sql import answer
from fruits.settings import Settings
from lakehouse.tables.delta import Lake
from silver.encoders.base import UNTRAINED, WeightsNotFoundError

_TABLES = """
    SELECT 'bronze.images' AS "table", count(*) AS "rows", 'bytes, label, split' AS holds FROM bronze.images
    UNION ALL SELECT 'bronze.quarantine', count(*), 'what could not be read, and why' FROM bronze.quarantine
    UNION ALL SELECT 'silver.features', count(*), 'features' FROM silver.features
    UNION ALL SELECT 'silver.scaled', count(*), 'the features, standardised' FROM silver.scaled
    UNION ALL SELECT 'gold.projections', count(*), 'principal components' FROM gold.projections
    UNION ALL SELECT 'gold.models', count(*), 'versions of the models' FROM gold.models
"""


def run_demo(settings: Settings, folder: Path) -> None:
    """Draw photographs into `folder` unless the settings name some, run all layers, and show what there is to see."""
    if settings.images is None:
        with bars("drawing"):
            drawn = draw_photographs(folder / "photographs")
        ERR.print(f"Photographs drawn into {folder / 'photographs'}: {drawn} new.")
        settings = settings.model_copy(update={"images": f"file://{(folder / 'photographs').absolute()}"})
    try:
        summary = run_layers(settings)
    except WeightsNotFoundError as error:
        ERR.print(str(error), style="red")
        ERR.print(
            "Going on with an UNTRAINED network: everything runs, but its features mean nothing.", style="bold red"
        )
        settings = settings.model_copy(update={"weights": UNTRAINED})
        summary = run_layers(settings)
    print_summary(summary)
    columns, rows = answer(Lake(settings.lake), _TABLES)
    lake = settings.lake.removeprefix("file://")
    print_table(columns, rows, title=f"\nThe lake in {lake}")
    query = "SELECT label, count(*) AS images, avg(pc1) AS pc1, avg(pc2) AS pc2 FROM gold.projections GROUP BY label"
    OUT.print("\nTry next:")
    for command in (f'sql "{query}"', "models", "ui"):
        OUT.print(f"  {_command()} {command} --lake {lake}", soft_wrap=True)


def _command() -> str:
    """How the reader can call this command from where they are."""
    return "fruits" if shutil.which("fruits") else os.path.relpath(sys.argv[0])
