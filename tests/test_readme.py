"""What README.md says of commands and tables is what there is."""

import re
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from fruits.catalog import TABLES
from fruits.cli import app
from lakehouse.tables.table import Table

README = (Path(__file__).parents[1] / "README.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in README.splitlines() if line.startswith("|")]


def documented() -> set[str]:
    """The commands in the table of commands; those that follow a first one of a group are of that group."""
    found = set()
    for first, *_ in ROWS:
        if first.startswith("`fruits "):
            named, *others = re.findall(r"`([^`]+)`", first)
            words = re.findall("[a-z]+", named.removeprefix("fruits "))
            group = words[:1] if words[0] == "emr" else []
            found |= {" ".join([*group, name]) for name in (words[len(group)], *others)}
    return found


def commands(group: TyperGroup) -> dict[str, str | None]:
    """All commands with their help texts."""
    found: dict[str, str | None] = {}
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            found |= {f"{name} {below}": text for below, text in commands(command).items()}
        else:
            found[name] = command.help
    return found


def test_every_command_is_in_the_table_of_commands_and_has_a_help_text() -> None:
    """But for two that are named elsewhere; and the table names no other."""
    whole = get_command(app)
    assert isinstance(whole, TyperGroup)
    there = commands(whole)
    assert documented() == there.keys() - {"setup", "demo"}
    assert all(there.values())


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_table_is_described_with_all_its_columns(table: Table) -> None:
    """In the table's order, whatever the words between."""
    (row,) = [cells for cells in ROWS if cells[0] == f"`{table.name}`"]
    assert re.findall(r"`([^`]+)`", row[2]) == table.schema.names
