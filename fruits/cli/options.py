"""Options that several commands take, and the settings that they make."""

import os
from pathlib import Path
from typing import Annotated

import typer

from fruits.console import Format
from fruits.settings import DEFAULT_FILE, Settings, load_settings

Config = Annotated[Path | None, typer.Option("--config", help=f"Settings file.  [default: {DEFAULT_FILE}]")]
LakeUri = Annotated[str | None, typer.Option("--lake", help="Folder of the lakehouse.")]
Images = Annotated[str | None, typer.Option("--images", help="Folder with the photographs.")]
Refit = Annotated[str | None, typer.Option("--refit", help="When to fit the models anew: auto, always or never.")]
EngineOption = Annotated[
    str | None, typer.Option("--engine", help="Where rows are computed: auto, local (no Java) or spark.")
]
Shape = Annotated[Format, typer.Option("--format", help="How the result is printed on stdout.")]


def settings_of(config: Path | None, **options: object) -> Settings:
    """The settings, with options over them; the region is set for this process and those it starts."""
    settings = load_settings(config, **options)
    if settings.region:
        # Where all four that go to S3 look: boto3, delta-rs, MLflow and Hadoop, and what they start.
        os.environ["AWS_REGION"] = os.environ["AWS_DEFAULT_REGION"] = settings.region
    return settings
