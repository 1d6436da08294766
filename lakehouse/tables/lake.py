"""Where a lake's tables are, and who may write to them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from deltalake.exceptions import DeltaError

from lakehouse.guard import no_check
from lakehouse.storage import delta_options, have_ended
from lakehouse.storage.uri import native_name
from lakehouse.tables.newest import NewestVersions
from lakehouse.tables.table import Table

T = TypeVar("T")


@dataclass(frozen=True)
class Lake:
    """The folder that holds the tables of all layers.

    Attributes:
        uri: the folder.
        guard: called before each commit; raises where it must not be made, as when the lease is lost.
        newest: the tables' handles that are open.
    """

    uri: str
    guard: Callable[[], None] = field(default=no_check, compare=False, repr=False)
    newest: NewestVersions = field(default_factory=NewestVersions, compare=False, repr=False)

    def path(self, table: Table) -> str:
        """The folder of a table, as Spark and delta-rs name it."""
        return self.folder(table.name.replace(".", "/"))

    def folder(self, name: str) -> str:
        """A folder of the lake's, as Spark and delta-rs name it: a path on a disk, a URI on S3."""
        return f"{native_name(self.uri)}/{name}"

    def uri_of(self, name: str) -> str:
        """The URI of a file or folder of the lake's that is no table (converted models, the MLflow store)."""
        return f"{self.uri}/{name}"

    def log(self, table: Table) -> str:
        """The URI of a table's log."""
        return self.uri_of(f"{table.name.replace('.', '/')}/_delta_log")

    @property
    def options(self) -> dict[str, str]:
        """Storage options for delta-rs."""
        return delta_options(self.uri)

    def asking(self, ask: Callable[[], T]) -> T:
        """What delta-rs answers; asked again once where the credentials that it was told had ended.

        Args:
            ask: opens the table it needs, and thereby looks for credentials; must do no harm where it is repeated.
        """
        try:
            return ask()
        except (DeltaError, OSError) as error:
            if not have_ended(self.uri, error):
                raise
        return ask()
