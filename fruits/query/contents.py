"""The bytes of photographs, from a connection in which the lake's tables are views."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
from duckdb import DuckDBPyConnection


def read_contents(
    connection: DuckDBPyConnection, sha256s: Sequence[str], rows: int = 64
) -> Iterator[list[tuple[str, bytes]]]:
    """The bytes of contents by their SHA-256, so many at a time; those that no photograph has are left out."""
    connection.register("asked_contents", pa.table({"sha256": pa.array(sha256s, pa.string())}))
    found = connection.sql(
        "SELECT sha256, content FROM bronze.contents SEMI JOIN asked_contents USING (sha256) "
        "SEMI JOIN bronze.images USING (sha256)"
    )
    for batch in found.to_arrow_reader(rows):
        yield list(zip(batch.column("sha256").to_pylist(), batch.column("content").to_pylist(), strict=True))
