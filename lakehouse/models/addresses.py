"""The addresses of artifacts in MLflow's SQLite file, which are absolute: put right where a lake has been moved."""

import sqlite3
from contextlib import closing
from pathlib import Path

_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Tables and columns that say where a lake's artifacts lie. Where a data set lay when a model was fitted stays as it
is: that is a record of then."""


def artifacts_folder(database: Path, experiment: str) -> str | None:
    """Where a database says that an experiment's artifacts are; None where it has no such experiment.

    Raises:
        sqlite3.Error: it is no database of MLflow's.
    """
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        query = "SELECT artifact_location FROM experiments WHERE name = ?"
        found = connection.execute(query, (experiment,)).fetchone()
    return found and str(found[0])


def move_artifacts(database: Path, old: str, new: str) -> None:
    """Put another folder in place of one in all addresses, in one transaction.

    Raises:
        sqlite3.Error: it cannot be written; nothing was changed.
    """
    with closing(sqlite3.connect(database)) as connection, connection:
        for table, column in _ADDRESSES:
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
            )
