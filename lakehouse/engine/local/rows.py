"""Rows of the local engine: a factory of record batches, called once for each use."""

from collections.abc import Callable

import pyarrow as pa

from lakehouse.engine.port import Batches


class LocalRows:
    """Rows that are computed when they are used: batches of one schema."""

    def __init__(self, schema: pa.Schema, make: Callable[[], Batches]) -> None:
        """Take what makes the batches; it is not called yet."""
        self.schema = schema
        self._make = make

    @property
    def columns(self) -> list[str]:
        """See `Rows`."""
        return list(self.schema.names)

    def batches(self) -> Batches:
        """The rows, computed now; batches without rows are left out."""
        return (batch for batch in self._make() if batch.num_rows)

    def table(self) -> pa.Table:
        """All rows, in memory."""
        return pa.Table.from_batches(self.batches(), self.schema)


class HeldRows(LocalRows):
    """Rows in memory."""

    def __init__(self, rows: pa.Table) -> None:
        """Hold the rows."""
        super().__init__(rows.schema, lambda: iter(rows.to_batches()))
        self._rows = rows

    def table(self) -> pa.Table:
        """The rows as they are held."""
        return self._rows
