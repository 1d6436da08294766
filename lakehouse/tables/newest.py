"""Open handles of tables, each kept for as long as its version is the newest."""

from dataclasses import dataclass, field

from deltalake import DeltaTable

from lakehouse.storage import identity_of


@dataclass(frozen=True)
class _Kept:
    handle: DeltaTable
    options: dict[str, str]
    log: str
    version: int
    identity: str

    def is_newest(self) -> bool:
        """Whether nobody has committed since, nor put another table in its place."""
        return (
            identity_of(_entry(self.log, self.version + 1)) is None
            and identity_of(_entry(self.log, self.version)) == self.identity
        )


@dataclass(frozen=True)
class NewestVersions:
    """To open a table reads its log, whole; to see that nothing has come to the log takes a look at two names.

    A run opens each of a dozen tables about ten times, from several threads. Whoever has a handle has a snapshot: none
    is moved to a newer version, so handles must not be changed either (`DeltaTable.create_write_transaction` does so).
    """

    _kept: dict[str, _Kept] = field(default_factory=dict)

    def open(self, path: str, log: str, options: dict[str, str]) -> DeltaTable:
        """The newest version of a table; raises what delta-rs does.

        Args:
            path: its folder, as delta-rs names it.
            log: the URI of its log.
            options: storage options for delta-rs.
        """
        kept = self._kept.get(path)
        if kept is not None and kept.options == options and kept.is_newest():  # credentials end
            return kept.handle
        handle = DeltaTable(path, storage_options=options)
        version = handle.version()
        identity = identity_of(_entry(log, version))
        if identity is not None:  # else the entry was cleaned up, and only its checkpoint is there
            self._kept[path] = _Kept(handle, options, log, version, identity)
        return handle


def _entry(log: str, version: int) -> str:
    return f"{log}/{version:020}.json"
