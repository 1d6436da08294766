"""The settings of a run: the lake's and each layer's together, from one file, the environment and the options."""

import os
from collections.abc import Mapping
from pathlib import Path

from bronze.settings import BronzeSettings
from gold.settings import GoldSettings
from lakehouse.settings import Given, gather, load

DEFAULT_FILE = "conf/local.yaml"


class Settings(GoldSettings, BronzeSettings):
    """What a run is told; see `conf/local.yaml` for the meaning and the default of each key."""


def load_settings(file: str | Path | None = None, /, **options: object) -> Settings:
    """Read the settings: the file over the shipped defaults, the environment over it, options over both.

    Args:
        file: a YAML file; by default `conf/local.yaml` under the working directory where it exists.
        options: values given on the command line; None means not given.

    Raises:
        SettingsError: a key, type or value is wrong; the message names the key, its source, and what is allowed.
    """
    return load(Settings, DEFAULT_FILE, file, options, _from_environment(os.environ))


def gather_settings(file: str | Path | None = None, /, **options: object) -> dict[str, Given]:
    """The settings as `load_settings` reads them, each as it was given and with what gave it.

    Raises:
        SettingsError: the file cannot be read, or is no mapping.
    """
    return gather(DEFAULT_FILE, file, options, _from_environment(os.environ))


def _from_environment(environment: Mapping[str, str]) -> dict[str, tuple[object, str]]:
    names = {f"FRUITS_{key.upper()}": key for key in Settings.model_fields} | {"MLFLOW_TRACKING_URI": "tracking_uri"}
    return {key: (environment[name], name) for name, key in names.items() if environment.get(name)}
