"""`fruits config`: every setting, with where it comes from."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fruits.console import Format, print_json, print_table
from fruits.settings import gather_settings, load_settings
from lakehouse.settings import SHIPPED


@dataclass(frozen=True)
class Setting:
    """One setting, or one key of a setting that is a mapping.

    Attributes:
        name: of the setting; of a key of a mapping both, with a blank between them.
        value: what it is, paths and URIs written out.
        source: a file, a variable, an option.
    """

    name: str
    value: object
    source: str


def list_settings(file: Path | None, options: Mapping[str, object]) -> Iterator[Setting]:
    """Every setting under these options, in the order of `conf/local.yaml`.

    Raises:
        SettingsError: one is wrong; the message names it and its source.
    """
    values = load_settings(file, **options).model_dump(mode="json")
    for name, given in gather_settings(file, **options).items():
        if given.parts:
            yield from (Setting(f"{name} {key}", values[name][key], source) for key, source in given.parts.items())
        else:
            yield Setting(name, values[name], given.source)


def show_settings(file: Path | None, options: Mapping[str, object], shape: Format) -> None:
    """Print them."""
    found = list(list_settings(file, options))
    if shape == Format.json:
        print_json([vars(setting) for setting in found])
    else:
        rows = [(one.name, _written(one.value), "" if one.source.startswith(SHIPPED) else one.source) for one in found]
        print_table(["setting", "value", "from, where it is no default"], rows)


def _written(value: object) -> str:
    """A value as a settings file may have it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
