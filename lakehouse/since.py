"""Which keys have changed in the upstream since a table followed it: so that a difference looks at these alone.

A table's newest commit may say which versions of its upstream it was brought to, and by which rules. Whatever differs
now has then changed upstream since, which the files tell that came and went, without a look at the others. Where
nobody says it, where the history is gone, or where most of the upstream was written anew, all rows are compared; and
where a data file is lost, for whoever reads all of it says so.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pyarrow as pa
from deltalake.exceptions import DeltaError

from lakehouse.engine.port import CHANGE, Engine, HistoryLostError, Marks, Rows
from lakehouse.errors import DamagedTableError
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.folder import has_lost_files
from lakehouse.tables.table import Table

BROUGHT_TO = "fruits.brought_to"
"""Where a commit's entry in the history says by which rules, and to which versions of which tables, it was made."""
BATCH = "batch"
"""The column by which files are passed over: rows that came together have the same, and the log's statistics know."""
_FEW, _MOST = 0.25, 1_000_000
"""Rows in files that came or went, up to which these are compared: a share of all, and what each process can hold."""


@dataclass(frozen=True)
class Changed:
    """The keys that may differ from what the downstream has.

    Attributes:
        upstream: columns that tell the upstream's rows of these keys: the key, and the batch where it is known.
        downstream: the keys that the downstream may hold; those that are new upstream are not among them.
    """

    upstream: Rows
    downstream: Rows


def brought_to(lake: Lake, sources: Sequence[Table], rules: str) -> Marks:
    """The marks of a commit after which a table has what its sources' present versions and the rules give it."""
    return {BROUGHT_TO: json.dumps({"rules": rules, "versions": _versions(lake, sources)}, sort_keys=True)}


@contextmanager
def changed_since(
    engine: Engine, lake: Lake, table: Table, sources: Sequence[Table], rules: str
) -> Iterator[Changed | None]:
    """The keys that have changed since a table was last brought to its sources; None: all must be compared.

    Args:
        engine: what computes.
        lake: where the tables are.
        table: the table that follows; a key that its first source lacks it lacks too.
        sources: the tables, of the same key of one column, that its rows follow from.
        rules: what else they follow from.
    """
    with ExitStack() as stack:
        yield _changed(engine, lake, table, sources, rules, stack)


def _changed(
    engine: Engine, lake: Lake, table: Table, sources: Sequence[Table], rules: str, stack: ExitStack
) -> Changed | None:
    before = _noted(lake, table, sources, rules)
    if before is None:
        return None
    (key,) = table.key
    told = BATCH in sources[0].schema.names
    try:
        parts = {}
        for number, (source, version) in enumerate(zip(sources, before, strict=True)):
            columns = [key, BATCH] if told and not number else [key]
            parts[f"part{number}"] = _changes(engine, source, columns, version, _version(lake, source))
        text = " UNION ALL ".join(
            f"SELECT {key}, {CHANGE} AS change, {BATCH if told and not number else 'CAST(NULL AS BIGINT)'} AS {BATCH}, "
            f"{'false' if number else 'true'} AS leads FROM {name}"
            for number, name in enumerate(parts)
        )
        changes = stack.enter_context(engine.kept(engine.sql(text, None, **parts)))
        counted = (
            f"SELECT count(*) AS n FROM (SELECT {key} FROM changes GROUP BY {key} HAVING NOT bool_or(leads)) others"
        )
        others = engine.arrow(engine.sql(counted, changes=changes))["n"][0].as_py()
    except HistoryLostError:
        return None
    chosen = f"SELECT DISTINCT {key} FROM changes"
    if told and not others:  # then the row that each key has upstream now is among the changes
        chosen = f"SELECT DISTINCT {key}, {BATCH} FROM changes WHERE leads AND change IN ('insert', 'update_postimage')"
    known = f"""
        SELECT {key} FROM changes GROUP BY {key}
        HAVING NOT coalesce(bool_and(CASE WHEN leads THEN change = 'insert' END), false)
    """
    return Changed(engine.sql(chosen, changes=changes), engine.sql(known, changes=changes))


def _changes(engine: Engine, table: Table, columns: Sequence[str], before: int, after: int) -> Rows:
    if before == after:  # which Spark's change feed does not take
        none = pa.schema([*(table.schema.field(name) for name in columns), (CHANGE, pa.string())])
        return engine.of(none.empty_table())
    return engine.changes(table, columns, before, after)


def _noted(lake: Lake, table: Table, sources: Sequence[Table], rules: str) -> list[int] | None:
    """The versions of its sources that a table was brought to; None where nobody says, or too much has come since."""
    try:
        said = json.loads(str(delta.metadata(lake, table).get(BROUGHT_TO)))
    except ValueError:
        return None
    now = _versions(lake, sources)
    if not isinstance(said, Mapping) or said.get("rules") != rules or said.get("versions", {}).keys() != now.keys():
        return None
    before = [said["versions"][name] for name in now]
    if any(has_lost_files(lake, one) for one in (table, *sources)):
        return None
    try:
        few = all(_is_few(lake, source, version) for source, version in zip(sources, before, strict=True))
    except (DeltaError, DamagedTableError, OSError):  # the log was cleaned up
        return None
    return before if few else None


def _is_few(lake: Lake, table: Table, before: int) -> bool:
    """Whether the files that came or went since a version hold few of the rows."""
    if before > _version(lake, table):
        return False
    if before == _version(lake, table):
        return True
    old, new = ({file.name: file.rows or 0 for file in delta.snapshot(lake, table, one)} for one in (before, None))
    touched = sum((old | new)[name] for name in old.keys() ^ new.keys())
    return touched <= min(_MOST, _FEW * max(sum(old.values()), sum(new.values())))


def _versions(lake: Lake, sources: Sequence[Table]) -> dict[str, int]:
    """By the table's id, its version."""
    handles = [delta.existing(lake, source) for source in sources]
    return {str(handle.metadata().id): handle.version() for handle in handles}


def _version(lake: Lake, table: Table) -> int:
    return delta.existing(lake, table).version()
