"""Where MLflow keeps its records: a server, or the lake's own SQLite file with the artifacts beside it.

SQLite needs a disk. Of a lake on S3 the file is fetched when the registry is opened, and put back after each change
that others are to see. Two things keep two writers apart: the lake's lease, and that the file is put back only in place
of the very one that was fetched (a conditional PUT), so that who has lost the lease without knowing changes nothing.
A run that dies before it puts the file back has changed nothing either; the next one fits again what it fitted.
"""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Protocol

from lakehouse.errors import LeaseLostError
from lakehouse.models.database import Make, provide, sqlite_uri
from lakehouse.storage import object_storage
from lakehouse.storage.base import ObjectStorage
from lakehouse.storage.uri import local_path

DATABASE = "mlflow.db"


class TrackingStore(Protocol):
    """A tracking store as MLflow is told of it.

    Attributes:
        uri: MLflow's tracking URI.
        artifacts: the folder or URI for the artifacts of new experiments; None where a server decides.
        database: the SQLite file on this machine; None where a server has another.
        etag: of a file on S3, what it was when it was fetched or put back; None where there is none.
    """

    uri: str
    artifacts: str | None
    database: Path | None
    etag: str | None

    def publish(self) -> None:
        """Let others see what was changed."""


def open_store(tracking_uri: str | None, folder: str, make: Make) -> TrackingStore:
    """The store that is named, or the one in a lake's folder, a path or URI; made where there is none.

    `make` makes an empty database of MLflow's.
    """
    if tracking_uri is not None:
        return _Named(tracking_uri)
    objects = object_storage(folder)
    return _OnDisk(folder, make) if objects is None else _Fetched(folder, objects, make)


class _Named:
    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.artifacts: str | None = None
        self.database: Path | None = None
        self.etag: str | None = None

    def publish(self) -> None:
        """It is seen at once."""


class _OnDisk(_Named):
    def __init__(self, folder: str, make: Make) -> None:
        path = local_path(folder)
        super().__init__(sqlite_uri(path / DATABASE))
        self.artifacts, self.database = f"{path}/artifacts", path / DATABASE
        provide(path / DATABASE, self.artifacts, make)


class _Fetched(_Named):
    def __init__(self, folder: str, objects: ObjectStorage, make: Make) -> None:
        self._objects = objects
        self._work = tempfile.TemporaryDirectory(prefix="fruits-mlflow-")  # removed with this object
        self._copy = Path(self._work.name) / DATABASE
        self._name = f"{folder}/{DATABASE}"
        super().__init__(sqlite_uri(self._copy))
        found = objects.read_object(self._name)
        self.artifacts = f"{folder}/artifacts"
        if found is None:
            provide(self._copy, self.artifacts, make)
        else:
            content, self.etag = found
            self._copy.write_bytes(content)
        self.database = self._copy

    def publish(self) -> None:
        """Put the file back.

        Raises:
            LeaseLostError: somebody else has put another one there.
            StorageError: the storage is out of reach.
        """
        etag = self._objects.replace_object(self._name, self._snapshot(), self.etag)
        if etag is None:
            raise LeaseLostError(
                f"{self._name} was changed by somebody else while this run held the lake's lease. Nothing of this "
                "run's is registered; run again."
            )
        self.etag = etag

    def _snapshot(self) -> bytes:
        """The file's content as of now, whoever has it open."""
        with tempfile.TemporaryDirectory(dir=self._work.name) as folder:
            copy = Path(folder) / DATABASE
            with closing(sqlite3.connect(self._copy)) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
            return copy.read_bytes()
