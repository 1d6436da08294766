"""What MLflow shows of a lake's models, kept beside its database so that asking needs no MLflow.

`registry.json` names the state of the database that it was read from. It counts as long as the database is in that
very state; whatever else changes it, as a person who moves an alias in MLflow's UI, makes it stale, and MLflow is
asked. So it does when the lake has been moved, and a file that cannot be understood is stale too.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from lakehouse.storage import object_storage, read_file, write_file
from lakehouse.storage.uri import local_path

NAME = "registry.json"
LAYOUT = 2
ABSENT = "absent"
"""The fingerprint where there is no database: nothing is shown."""
_COUNTER = slice(24, 28)  # in SQLite's header: the file change counter, one up with each transaction


@dataclass(frozen=True)
class ShownVersion:
    """A version as MLflow has registered it: by MLflow's own number and run, with its tags."""

    number: int
    run_id: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class ShownModel:
    """A model as MLflow has registered it.

    Attributes:
        versions: the oldest first.
        aliases: alias → MLflow's number of the version that carries it.
        tags: of the model itself.
    """

    versions: Sequence[ShownVersion] = ()
    aliases: Mapping[str, int] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def version(self, number: int | None) -> ShownVersion | None:
        """One version by MLflow's number, None where there is no such version."""
        return next((version for version in self.versions if version.number == number), None)


@dataclass(frozen=True)
class Shown:
    """What MLflow shows.

    Attributes:
        database: the fingerprint of the database that it was read from; None where that cannot be told.
        folder: the folder in which that database lay, a URI: in a lake that has been moved its addresses are wrong.
        models: by their names in MLflow.
        newest: by name, the newest version of the lake's that MLflow was ever told of.
    """

    database: str | None = ABSENT
    folder: str | None = None
    models: Mapping[str, ShownModel] = field(default_factory=dict)
    newest: Mapping[str, int] = field(default_factory=dict)


class _KeptVersion(TypedDict):
    number: int
    run_id: str
    tags: dict[str, str]


class _KeptModel(TypedDict):
    aliases: dict[str, int]
    tags: dict[str, str]
    versions: list[_KeptVersion]


def read_shown(folder: str) -> Shown | None:
    """What is kept in a folder, a URI; None where there is nothing that can be understood."""
    try:
        found = json.loads(read_file(f"{folder}/{NAME}"))
        if found["layout"] != LAYOUT:
            return None
        models = {str(name): _from_json(model) for name, model in found["models"].items()}
        newest = {str(name): int(number) for name, number in found["newest"].items()}
        return Shown(found["database"], found["folder"], models, newest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # not there, or not understood
        return None


def write_shown(folder: str, shown: Shown) -> None:
    """Keep what MLflow shows in a folder, a URI, in place of what is there."""
    models = {name: _to_json(model) for name, model in shown.models.items()}
    place = {"database": shown.database, "folder": shown.folder}
    content = {"layout": LAYOUT, **place, "newest": dict(shown.newest), "models": models}
    write_file(f"{folder}/{NAME}", json.dumps(content, indent=1).encode())


def fingerprint(database: str) -> str | None:
    """The state that a database, a URI, is in; None where that cannot be told, as in the middle of a change.

    On a disk its size, its modification time and the count of changes that SQLite keeps in it; on S3 its ETag.

    Raises:
        StorageError: S3 is out of reach.
    """
    objects = object_storage(database)
    return _of_file(local_path(database)) if objects is None else objects.etag_of(database) or ABSENT


def _of_file(path: Path) -> str | None:
    # A journal or a write-ahead log holds changes that the file itself lacks, or ones that are to be taken back.
    if any(path.with_name(path.name + suffix).exists() for suffix in ("-journal", "-wal")):
        return None
    try:
        with path.open("rb") as file:
            status, header = os.fstat(file.fileno()), file.read(_COUNTER.stop)
    except FileNotFoundError:
        return ABSENT
    except OSError:  # MLflow will say what it is
        return None
    if len(header) < _COUNTER.stop:
        return None
    return f"{status.st_size}-{status.st_mtime_ns}-{int.from_bytes(header[_COUNTER], 'big')}"


def _to_json(model: ShownModel) -> _KeptModel:
    versions: list[_KeptVersion] = [
        {"number": one.number, "run_id": one.run_id, "tags": dict(one.tags)} for one in model.versions
    ]
    return {"aliases": dict(model.aliases), "tags": dict(model.tags), "versions": versions}


def _from_json(found: _KeptModel) -> ShownModel:
    versions = [
        ShownVersion(int(one["number"]), str(one["run_id"]), {str(key): str(one["tags"][key]) for key in one["tags"]})
        for one in found["versions"]
    ]
    return ShownModel(
        versions,
        {str(alias): int(number) for alias, number in found["aliases"].items()},
        {str(key): str(value) for key, value in found["tags"].items()},
    )
