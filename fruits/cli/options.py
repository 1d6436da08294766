"""Options that several commands take, and the settings that they make."""

import os
from pathlib import Path
from typing import Annotated

import typer

from fruits.console import Format
from fruits.limits import need_threads
from fruits.settings import DEFAULT_FILE, Settings, load_settings
from lakehouse.storage.access import declare
from lakehouse.storage.uri import bucket_of

# Whether it can be read is seen when it is read, and said in a sentence.
Config = Annotated[
    Path | None, typer.Option("--config", readable=False, help="Settings file.", show_default=DEFAULT_FILE)
]
LakeUri = Annotated[str | None, typer.Option("--lake", help="Folder of the lakehouse: a path or s3:// URI.")]
Images = Annotated[str | None, typer.Option("--images", help="Folder of photographs: a path or s3:// URI.")]
Refit = Annotated[str | None, typer.Option("--refit", help="When to fit the models again: auto, always or never.")]
EngineOption = Annotated[
    str | None, typer.Option("--engine", help="Where rows are computed: auto, local (no Java) or spark.")
]
Shape = Annotated[Format, typer.Option("--format", help="Output format.")]


def settings_of(config: Path | None, **options: object) -> Settings:
    """The settings, with options over them; region and access to S3 are set for this process and those it starts.

    Raises:
        SettingsError: a setting is wrong.
        LakehouseError: the machine leaves too few threads to work with.
    """
    need_threads()
    settings = load_settings(config, **options)
    if region := settings.region or os.environ.get("AWS_REGION"):
        # Where all four that go to S3 look: boto3, delta-rs, MLflow and Hadoop, and what they start. MLflow asks boto3,
        # which knows the second name alone, and else goes to another region first.
        os.environ["AWS_REGION"] = os.environ["AWS_DEFAULT_REGION"] = region
    if settings.root is not None and (bucket := bucket_of(settings.root)) is not None:
        declare(bucket, settings.images_access)
    return settings
