"""The model registry: versions of models as rows of Delta tables, and which of them the lake stays with.

The lake's own tables are what counts. A model is plain arrays there, so that whoever computes with one deserialises
nothing. MLflow shows the same versions to people (`lakehouse.models.mirror`), and nobody needs it to compute.

A version is registered with tags that say what it was fitted on, in one commit, so that a run that died after
registering finds its version again instead of registering a second one.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from lakehouse.errors import StorageError
from lakehouse.failpoint import crash_point
from lakehouse.models.records import Arrays, Version, from_column, to_row
from lakehouse.models.tables import CHOICES, MODELS, TABLES
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import Row, Table

__all__ = ["CHAMPION", "PINNED", "Arrays", "Registry", "Version"]

CHAMPION = "champion"
"""The alias of the version that a lake's rows are of, or are about to be."""
PINNED = "pinned"
"""The alias of a version that somebody chose to stay with, until it is released."""
_DESCRIBED = ("model", "version", "fit", "fitted_at", "tags")


@dataclass(frozen=True)
class _Known:
    """What the tables held when they were read; `chosen` is the highest version of a model that was ever chosen."""

    lake_id: str | None
    versions: Mapping[str, list[Version]]
    chosen: Mapping[str, int]
    choices: int
    aliases: Mapping[tuple[str, str], int | None]


class Registry:
    """The models of one lake, as they are when first asked for: a run stays with what it has seen, and has written."""

    def __init__(self, lake: Lake) -> None:
        """Name the lake; nothing is read or made yet."""
        self._lake = lake
        self._seen: _Known | None = None

    @property
    def lake_id(self) -> str | None:
        """Names the lake wherever it lies: the table of its models has this ID; None before its first model."""
        return self._known.lake_id

    # ---- read -------------------------------------------------------------------------------------------------------

    def champion(self, name: str) -> Version | None:
        """The version that was chosen last, by a fit or by somebody; None before the first."""
        return self._with_alias(name, CHAMPION)

    def pinned(self, name: str) -> Version | None:
        """The version that somebody chose to stay with, None where nobody did."""
        return self._with_alias(name, PINNED)

    def versions(self, name: str) -> list[Version]:
        """All versions of a model, the oldest first."""
        return self._known.versions.get(name, [])

    def version(self, name: str, number: int | None) -> Version | None:
        """One version of a model, None where there is no such version."""
        return next((version for version in self.versions(name) if version.number == number), None)

    def find(self, name: str, tags: Mapping[str, str]) -> Version | None:
        """The newest version with all these tags, None where there is none."""
        found = [version for version in self.versions(name) if tags.items() <= version.tags.items()]
        return found[-1] if found else None

    def arrays(self, version: Version) -> Arrays:
        """What a version has learned, by the names that it was registered with.

        Raises:
            StorageError: its row is gone from the table.
        """
        for rows in delta.read_where(self._lake, MODELS, "version", [version.number], ["model", "arrays"]):
            for name, kept in zip(rows.column("model").to_pylist(), rows.column("arrays"), strict=True):
                if name == version.name:
                    return from_column(kept)
        raise StorageError(f"{version.name} version {version.number} is no longer in {self._lake.path(MODELS)}.")

    # ---- write ------------------------------------------------------------------------------------------------------

    def register(self, name: str, tags: Mapping[str, str], arrays: Arrays, *, above: int = 0) -> Version:
        """Make a fit the next version of a model; the version with the same tags, where there is one.

        Args:
            name: the model's.
            tags: what it was fitted on, and what it is like.
            arrays: what it has learned.
            above: the highest version that rows of other tables are of. Numbers are never given twice, also where rows
                of the registry are lost: rows of a lost version must not be taken for those of a new one.
        """
        self._seen = None  # numbers follow those that are there, whoever gave them
        found = self.find(name, tags)
        if found is not None:
            return found
        known = self.versions(name)
        number = 1 + max(above, self._known.chosen.get(name, 0), *(version.number for version in known))
        version = Version(name, number, uuid.uuid4().hex, datetime.now(UTC), dict(tags))
        self._append([to_row(version, arrays)], MODELS)
        crash_point("registry.registered")
        return version

    def choose(self, version: Version, reason: str, *, pin: bool = False) -> None:
        """Make a version champion, and with `pin` the one to stay with until it is released.

        Args:
            version: the version.
            reason: why, for people.
            pin: whether no fit shall take its place.
        """
        aliases = (CHAMPION, PINNED) if pin else (CHAMPION,)
        self._choose(version.name, dict.fromkeys(aliases, version.number), reason)

    def release(self, name: str, reason: str) -> None:
        """Take the pin of a model away, if there is one."""
        if self.pinned(name) is not None:
            self._choose(name, {PINNED: None}, reason)

    def _choose(self, name: str, aliases: Mapping[str, int | None], reason: str) -> None:
        self._seen = None
        now, first = datetime.now(UTC), self._known.choices + 1
        rows: list[Row] = [
            {"choice": choice, "model": name, "alias": alias, "version": number, "chosen_at": now, "reason": reason}
            for choice, (alias, number) in enumerate(aliases.items(), first)
        ]
        self._append(rows, CHOICES)

    def _append(self, rows: Sequence[Row], table: Table) -> None:
        delta.create(self._lake, TABLES)
        made = pa.Table.from_pylist(rows, schema=table.schema)
        delta.write_small(made, self._lake, table, mode="append")
        self._seen = None

    # ---- what is kept -----------------------------------------------------------------------------------------------

    def _with_alias(self, name: str, alias: str) -> Version | None:
        return self.version(name, self._known.aliases.get((name, alias)))

    @property
    def _known(self) -> _Known:
        if self._seen is None:
            self._seen = self._read()
        return self._seen

    def _read(self) -> _Known:
        models = delta.open_table(self._lake, MODELS)
        if models is None:
            return _Known(None, {}, {}, 0, {})
        versions: dict[str, list[Version]] = {}
        for row in delta.read_rows(self._lake, MODELS, _DESCRIBED):
            version = Version(row["model"], row["version"], row["fit"], row["fitted_at"], dict(row["tags"]))
            versions.setdefault(version.name, []).append(version)
        for found in versions.values():
            found.sort(key=lambda version: version.number)
        choices = sorted(delta.read_rows(self._lake, CHOICES, CHOICES.schema.names), key=lambda row: row["choice"])
        aliases = {(row["model"], row["alias"]): row["version"] for row in choices}
        chosen: dict[str, int] = {}
        for row in choices:
            chosen[row["model"]] = max(chosen.get(row["model"], 0), row["version"] or 0)
        last = choices[-1]["choice"] if choices else 0
        return _Known(str(models.metadata().id), versions, chosen, last, aliases)
