"""Bring a table to its declaration in one commit: schema, comments, properties, and with them its files if need be.

delta-rs changes one of these a commit, so the entry of the log is written here, as Delta's protocol has it.
"""

import json
import time
import uuid
from collections.abc import Sequence

from deltalake import DeltaTable, Schema
from deltalake.transaction import AddAction

from lakehouse.errors import ForeignTableError, StorageError
from lakehouse.storage import write_new_file
from lakehouse.tables.lake import Lake
from lakehouse.tables.layout import has_added_columns, is_declared
from lakehouse.tables.table import DataFile, Table

_PROTOCOL = {"protocol": {"minReaderVersion": 1, "minWriterVersion": 4}}  # as delta-rs makes one with a change feed
_NEWEST_WRITER = 4
"""The protocol's version for writers that our own tables have; what a newer one asks of a commit, we do not know."""


def declare(
    lake: Lake,
    table: Table,
    found: DeltaTable | None,
    added: Sequence[AddAction] = (),
    removed: Sequence[DataFile] = (),
) -> None:
    """Write the declaration of a table into its log, in one commit; rows stay as they are unless files are given.

    Args:
        lake: where the table is.
        table: what it is to be: schema, comments, description, properties.
        found: the table as it is; None: it is created.
        added: complete files in its folder, with all columns of the new declaration.
        removed: files of the found version.

    Raises:
        StorageError: somebody else has written to the table meanwhile.
    """
    now = int(time.time() * 1000)
    entry = [_commit_info(now, "CHANGE COLUMNS")] if found else [_commit_info(now, "CREATE TABLE"), _PROTOCOL]
    entry += [_metadata(table, found, now)]
    entry += [*(_removal(file, now) for file in removed), *map(_addition, added)]
    version = found.version() + 1 if found else 0
    lake.guard()
    name = f"{lake.log(table)}/{version:020}.json"
    if not write_new_file(name, "\n".join(json.dumps(action, ensure_ascii=False) for action in entry).encode()):
        raise StorageError(f"Somebody else has written {name} meanwhile; {table.name} was not changed.")


def bring_up(lake: Lake, table: Table, found: DeltaTable) -> bool:
    """Add the columns, comments and description that were declared since a table was made; returns whether it did.

    Raises:
        ForeignTableError: columns must be added, and the table's protocol is one that only its other writer knows.
    """
    if is_declared(table, found):
        return False
    if found.protocol().min_writer_version <= _NEWEST_WRITER:
        declare(lake, table, found)
        return True
    if not has_added_columns(table, found):
        raise ForeignTableError(
            f"The table {table.name} lacks columns of this release, and its protocol (writer version "
            f"{found.protocol().min_writer_version}) is one that they cannot be added under. It was not touched. Add "
            f"them in Spark: ALTER TABLE {table.name} ADD COLUMNS ({', '.join(table.added)} …)."
        )
    return False


def _commit_info(now: int, operation: str) -> dict[str, object]:
    return {"commitInfo": {"timestamp": now, "operation": operation, "operationParameters": {}}}


def _metadata(table: Table, found: DeltaTable | None, now: int) -> dict[str, object]:
    before = found.metadata() if found else None
    return {
        "metaData": {
            "id": str(before.id if before else uuid.uuid4()),
            "name": table.name,
            "description": table.description or None,
            "format": {"provider": "parquet", "options": {}},
            "schemaString": Schema.from_arrow(table.schema).to_json(),
            "partitionColumns": [],
            "createdTime": before.created_time if before else now,
            "configuration": {**(before.configuration if before else {}), **table.properties},
        }
    }


def _removal(file: DataFile, now: int) -> dict[str, object]:
    path = file.name.rpartition("/")[2]
    return {"remove": {"path": path, "dataChange": True, "deletionTimestamp": now, "size": file.size}}


def _addition(file: AddAction) -> dict[str, object]:
    return {
        "add": {
            "path": file.path,
            "size": file.size,
            "partitionValues": {},
            "modificationTime": file.modification_time,
            "dataChange": True,
            "stats": file.stats,
        }
    }
