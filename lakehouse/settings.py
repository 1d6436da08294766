"""Reading settings: a YAML file, overridden by the environment, overridden by options; and the keys of a lake.

The only reader of YAML. Defaults stand in `conf/` alone, in a file for each kind of settings.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import quote

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from lakehouse.errors import SettingsError
from lakehouse.failures import why
from lakehouse.printable import printable
from lakehouse.storage.uri import absolute_uri, check_utf8, local_path, on_disk

EngineName = Literal["auto", "local", "spark"]
Model = TypeVar("Model", bound=BaseModel)
SHIPPED = "the shipped"
"""How the source of a default begins."""
_CONTROL = "".join(map(chr, range(1, 32))) + "\x7f"
_URL_SYNTAX = f"%#?\\{_CONTROL}"
"""What delta-rs reads as an escape, a query or a separator, or refuses, in the name of a lake."""
_LONGEST_KEY = 900
"""Bytes of 1,024 that S3 allows a key; the others are for the names of files in a lake."""


class LakeSettings(BaseModel):
    """What every layer needs; see `conf/local.yaml` for the meaning and the default of each key.

    A layer adds its own keys in a model of its own that extends this one, and `fruits.settings` puts all of them
    together: one file, in which no key is named twice.
    """

    # Only the settings that are put together are ever validated: the others need no validator, 5 ms each.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, defer_build=True)

    lake: str
    tracking_uri: str | None
    region: str | None
    experiment: Annotated[str, Field(min_length=1)]

    engine: EngineName
    processes: Annotated[int, Field(ge=1, le=1024)] | None
    portion_rows: Annotated[int, Field(ge=1)]
    portion_bytes: Annotated[int, Field(ge=1)]
    upkeep: Literal["auto", "never"]
    history_days: Annotated[float, Field(gt=0, le=36500)]
    reader_hours: Annotated[float, Field(gt=0, le=8760)]

    register_tables: bool
    packages: list[str]
    s3_packages: list[str]
    spark: dict[str, str | bool | int | float]
    spark_local: dict[str, str | bool | int | float]

    @field_validator("lake")
    @classmethod
    def _without_url_syntax(cls, value: str) -> str:
        uri = check_utf8(absolute_uri(value))
        _check_characters(uri)
        if on_disk(uri):
            # delta-rs follows links itself, and makes a URL of where they lead.
            real = check_utf8(os.path.realpath(local_path(uri)))
            _check_characters(real, "leads to {}, and ")
        else:
            _check_key(uri.partition("://")[2].partition("/")[2])
        return uri

    @property
    def jars(self) -> list[str]:
        """The Maven coordinates that Spark needs for this lake; [] where the platform brings its own."""
        return [*self.packages, *(self.s3_packages if self.packages and not on_disk(self.lake) else ())]


@dataclass(frozen=True)
class Given:
    """A value of a setting, and what gave it.

    Attributes:
        value: as it was given.
        source: in words: a file, a variable, an option.
        parts: of a mapping, the source of each of its keys.
    """

    value: object
    source: str
    parts: Mapping[str, str] = field(default_factory=dict)


def load(
    model: type[Model],
    default_file: str,
    file: str | Path | None,
    options: Mapping[str, object],
    environment: Mapping[str, tuple[object, str]] | None = None,
) -> Model:
    """Read settings, as `gather` puts them together.

    Args:
        model: what they are.
        default_file: see `gather`, as the others.
        file: see there.
        options: see there.
        environment: see there.

    Raises:
        SettingsError: a key, type or value is wrong; the message names the key, its source, and what is allowed.
    """
    gathered = gather(default_file, file, options, environment)
    try:
        return model.model_validate({key: given.value for key, given in gathered.items()})
    except ValidationError as error:
        raise SettingsError(_explain(error, gathered, model)) from error


def gather(
    default_file: str,
    file: str | Path | None,
    options: Mapping[str, object],
    environment: Mapping[str, tuple[object, str]] | None = None,
) -> dict[str, Given]:
    """Put settings together: the file over the shipped defaults, the environment over it, options over both.

    A mapping is merged with the one below it key by key, one level deep, and null removes a key. Any other value
    replaces the one below it.

    Args:
        default_file: the file of that name that is shipped holds every key, the one under the working directory some.
        file: a YAML file to read instead of that one.
        options: values given on the command line; None means not given.
        environment: by key, what the environment says, and in which variable.

    Raises:
        SettingsError: the file cannot be read, or is no mapping.
    """
    values: dict[str, Given] = {}
    _lay_over(values, {key: (value, f"{SHIPPED} {default_file}") for key, value in shipped(default_file).items()})
    path = Path(file) if file is not None else Path(default_file)
    if file is not None or path.is_file():
        _lay_over(values, {key: (value, str(path)) for key, value in _read_yaml(path).items()})
    _lay_over(values, environment or {})
    given = {key: (value, f"--{key.replace('_', '-')}") for key, value in options.items() if value is not None}
    _lay_over(values, given)
    return values


def _lay_over(values: dict[str, Given], upper: Mapping[str, tuple[object, str]]) -> None:
    for key, (value, source) in upper.items():
        if not isinstance(value, Mapping):
            values[key] = Given(value, source)
            continue
        lower = values[key] if key in values and isinstance(values[key].value, Mapping) else Given({}, source)
        assert isinstance(lower.value, Mapping)
        merged = {name: one for name, one in {**lower.value, **value}.items() if one is not None}
        parts = {**lower.parts, **dict.fromkeys(map(str, value), source)}
        values[key] = Given(merged, source, {name: parts[name] for name in merged})


def shipped(file: str) -> dict[str, object]:
    """What a file of `conf/` holds that is shipped with the package."""
    name = file.rpartition("/")[2]
    content = _parse(files("lakehouse.conf").joinpath(name).read_text(encoding="utf-8"))
    assert isinstance(content, dict), f"{name} is shipped with keys"
    return content


def to_yaml(settings: Mapping[str, object]) -> str:
    """Settings as a file that `load` reads."""
    return yaml.safe_dump(dict(settings), allow_unicode=True, sort_keys=True)


def _read_yaml(path: Path) -> dict[str, object]:
    try:
        content = _parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"The settings file {path} cannot be read: {why(error)}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"The settings file {path} is not valid YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"The settings file {path} must hold `key: value` lines, not a {type(content).__name__}.")
    return {str(key): value for key, value in content.items()}


def _parse(text: str) -> object:
    # As `safe_load`, by libyaml where that is there: a tenth of the time.
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _check_characters(folder: str, where: str = "") -> None:
    if found := [character for character in _URL_SYNTAX if character in folder]:
        raise ValueError(
            f"a lake's folder {where.format(repr(folder))}is named without {' '.join(map(printable, found))}, which "
            "delta-rs reads as part of a URL. Name another folder."
        )


def _check_key(folder: str) -> None:
    """Raise a ValueError where delta-rs does not come to a folder's objects."""
    if folder and {"", ".", ".."} & {*folder.split("/")}:
        raise ValueError("no part of a lake's name is empty, `.` or `..`, which delta-rs refuses. Name another folder.")
    if found := re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", folder):
        raise ValueError(
            f"a lake's folder does not begin with {found[0]}, which delta-rs reads as a URL's scheme. Name another "
            "folder."
        )
    if len(quote(quote(folder))) > _LONGEST_KEY:
        raise ValueError(
            "a lake's name is shorter, for delta-rs asks for its files by encoded keys. Name another folder."
        )


def _explain(error: ValidationError, gathered: Mapping[str, Given], model: type[BaseModel]) -> str:
    lines = []
    for problem in error.errors():
        if not problem["loc"]:  # of several settings together
            lines.append(f"The settings do not go together: {problem['ctx']['error']}")
            continue
        key = str(problem["loc"][0])
        where = gathered[key].source if key in gathered else "the settings"
        name = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            lines.append(f"Unknown setting `{key}` in {where}. Valid settings: {', '.join(model.model_fields)}.")
        elif problem["type"] == "value_error":
            lines.append(f"`{name}` in {where} is {problem['input']!r}: {problem['ctx']['error']}")
        else:
            lines.append(f"`{name}` in {where} is {problem['input']!r}: {problem['msg']}.")
    return "\n".join(lines)
