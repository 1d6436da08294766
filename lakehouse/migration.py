"""Open a lake for writing: check its tables, migrate those of older releases, and add what has been declared since.

Layers list their migrations; which layers there are, this module does not know.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltalake import DeltaTable

from lakehouse.errors import ForeignTableError
from lakehouse.tables import delta
from lakehouse.tables.declare import bring_up
from lakehouse.tables.layout import check_layout, is_declared, layout_of, may_be_older
from lakehouse.tables.table import Table

if TYPE_CHECKING:
    from lakehouse.workspace import Workspace


@dataclass(frozen=True)
class Migration:
    """A step that brings a table from one layout to the next.

    `apply` makes the step in one commit: `delta.rewrite` changes rows and layout together, `delta.create_filled` makes
    a new table. So a run that is killed leaves the table as it was or as it is to be, and the next calls it again. It
    opens the table by its declaration of then, a `Table` that the migration keeps.

    Attributes:
        table: as this release declares it.
        layout: where the step begins; 0: the lake lacks the table, and an older release may have kept elsewhere what
            is in it. Such a step may also find that there is nothing to bring; then the job creates the table.
        apply: makes the step, as the lake's one writer.
    """

    table: Table
    layout: int
    apply: Callable[["Workspace"], None]


def open_for_writing(
    workspace: "Workspace", tables: Sequence[Table], migrations: Sequence[Migration] = ()
) -> list[str]:
    """Bring the tables that there are to this release's declarations; what is missing the jobs create.

    Nothing is changed unless all of them can be. A run that finds all as declared commits nothing.

    Args:
        workspace: where, as the lake's one writer.
        tables: all that the project has.
        migrations: in the order in which they are to be applied.

    Returns:
        What was done, a sentence each.

    Raises:
        ForeignTableError: a table is of a newer release, of a stranger, or so old that no step leads here.
        DamagedTableError: a log cannot be read.
    """
    found = _find(workspace, tables)
    for table in tables:
        _check(table, found[table.name], migrations)
    steps = [step for step in migrations if _is_needed(step, found[step.table.name])]
    if any(handle is not None for handle in found.values()):  # else it is a new lake, with nothing to bring
        done = [said for step in steps if (said := _migrated(workspace, step))]
    else:
        done = []
    if done:
        found = _find(workspace, tables)
    for table in tables:
        handle = found[table.name]
        if handle is not None:
            check_layout(table, handle)
            if bring_up(workspace.lake, table, handle):
                done.append(f"Brought columns and comments of {table.name} to this release.")
            workspace.created.add(table.name)
            workspace.opened[table.name] = handle.version()
    return done


def pending(workspace: "Workspace", tables: Sequence[Table], migrations: Sequence[Migration] = ()) -> list[str]:
    """The tables that `open_for_writing` would change, by their names; raises as it does, and changes nothing."""
    found = _find(workspace, tables)
    for table in tables:
        _check(table, found[table.name], migrations)
    return [
        table.name for table in tables if (handle := found[table.name]) is not None and not is_declared(table, handle)
    ]


def _find(workspace: "Workspace", tables: Sequence[Table]) -> dict[str, DeltaTable | None]:
    """All tables side by side, for on S3 each answer takes its time."""
    with ThreadPoolExecutor(max(len(tables), 1)) as pool:
        found = pool.map(lambda table: delta.find_table(workspace.lake, table), tables)
        return dict(zip([table.name for table in tables], found, strict=True))


def _check(table: Table, found: DeltaTable | None, migrations: Sequence[Migration]) -> None:
    if found is None:
        return
    if not may_be_older(table, found):
        check_layout(table, found)
        return
    known = {step.layout for step in migrations if step.table.name == table.name}
    lacking = {*range(layout_of(found) or 0, table.layout)} - known
    if lacking:
        raise ForeignTableError(
            f"The table {table.name} has the layout {layout_of(found)}, and this version, which writes {table.layout}, "
            "knows no way from there. It was not touched. Migrate it with a release in between."
        )


def _is_needed(step: Migration, found: DeltaTable | None) -> bool:
    if found is None:
        return step.layout == 0
    return 0 < (layout_of(found) or 0) <= step.layout


def _migrated(workspace: "Workspace", step: Migration) -> str | None:
    name, lake = step.table.name, workspace.lake
    step.apply(workspace)
    after = delta.find_table(lake, step.table)
    if after is None and step.layout == 0:
        return None
    assert after is not None, f"the migration of {name} has lost it"
    assert layout_of(after) == step.layout + 1, f"the migration of {name} has not brought it on"
    made = "Made" if step.layout == 0 else "Migrated"
    return f"{made} {name}, layout {step.layout + 1}."
