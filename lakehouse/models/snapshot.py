"""A snapshot of MLflow's model records, kept beside its database so that reading needs no MLflow.

`registry.json` names the state of the database that it was read from. It counts as long as the database is in that
very state; whatever else changes it, as a person who moves an alias in MLflow's UI, makes the snapshot stale, and
MLflow is asked. A snapshot that cannot be understood is stale too. It holds no address of the lake's: artifacts are
named as they lie below its folder.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from lakehouse.models.records import Model, Version
from lakehouse.storage import object_storage, read_file, write_file
from lakehouse.storage.uri import local_path

NAME = "registry.json"
LAYOUT = 1
ABSENT = "absent"
"""The fingerprint where there is no database: nothing is registered."""
_COUNTER = slice(24, 28)  # in SQLite's header: the file change counter, one up with each transaction


class _KeptVersion(TypedDict):
    """A version as it stands in the file."""

    number: int
    run_id: str
    tags: dict[str, str]
    location: str


class _KeptModel(TypedDict):
    """A model as it stands in the file."""

    aliases: dict[str, int]
    versions: list[_KeptVersion]


@dataclass(frozen=True)
class Snapshot:
    """All registered models, and the fingerprint of the database that they were read from."""

    fingerprint: str
    models: Mapping[str, Model]


def read_snapshot(folder: str, fingerprint: str) -> Snapshot | None:
    """The snapshot in a folder, a URI; None where it is not of the database with this fingerprint."""
    if fingerprint == ABSENT:
        return Snapshot(ABSENT, {})
    try:
        found = json.loads(read_file(f"{folder}/{NAME}"))
        if (found["layout"], found["database"]) != (LAYOUT, fingerprint):
            return None
        models = {str(name): _from_json(folder, name, model) for name, model in found["models"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # not there, or not understood
        return None
    return Snapshot(fingerprint, models)


def write_snapshot(folder: str, snapshot: Snapshot) -> None:
    """Keep a snapshot in a folder, a URI, in place of the one that is there."""
    models = {name: _to_json(folder, model) for name, model in snapshot.models.items()}
    content = {"layout": LAYOUT, "database": snapshot.fingerprint, "models": models}
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


def _to_json(folder: str, model: Model) -> _KeptModel:
    versions: list[_KeptVersion] = [
        {
            "number": version.number,
            "run_id": version.run_id,
            "tags": dict(version.tags),
            "location": model.locations.get(version.number, "").removeprefix(f"{folder}/"),
        }
        for version in model.versions
    ]
    return {"aliases": dict(model.aliases), "versions": versions}


def _from_json(folder: str, name: str, found: _KeptModel) -> Model:
    versions = [
        Version(name, int(one["number"]), str(one["run_id"]), {str(key): str(one["tags"][key]) for key in one["tags"]})
        for one in found["versions"]
    ]
    places = {int(one["number"]): str(one["location"]) for one in found["versions"]}
    locations = {n: place if "://" in place else f"{folder}/{place}" for n, place in places.items() if place}
    aliases = {str(alias): int(number) for alias, number in found["aliases"].items()}
    return Model(versions, aliases, locations)
