"""`docs/tables.md` is the data dictionary: it is made here, from the tables' own declarations.

After a change: `python -m tests.test_tables_document > docs/tables.md`.
"""

from pathlib import Path
from textwrap import fill

import pyarrow as pa
import pytest

from fruits.catalog import ALL_TABLES
from lakehouse.tables.table import Table, comment_of

DOCUMENT = Path(__file__).parents[1] / "docs" / "tables.md"
INTRODUCTION = """# The tables

Made by `tests/test_tables_document.py` from the declarations (`tables.py` of each layer); the tests fail when it is out
of date. The same descriptions and comments stand in the tables themselves: `DESCRIBE` in Spark shows them, and
`.schema` at the prompt of `fruits sql`.

All are Delta tables that the oldest readers read (reader version 1, no partitions), under `<lake>/<layer>/<table>`,
with the change feed on. d is the number of features, k that of components. Any column may be null; instants are UTC.
"""
TYPES = {
    pa.string(): "string",
    pa.binary(): "binary",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.bool_(): "boolean",
}


def type_of(kind: pa.DataType) -> str:
    """A column's type in SQL."""
    if pa.types.is_list(kind):
        return f"array<{type_of(kind.value_type)}>"
    if pa.types.is_map(kind):
        return f"map<{type_of(kind.key_type)}, {type_of(kind.item_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{', '.join(f'{field.name}: {type_of(field.type)}' for field in kind)}>"
    return "timestamp" if pa.types.is_timestamp(kind) else TYPES[kind]


def section(table: Table) -> str:
    """What the page says of a table."""
    key = ", ".join(f"`{name}`" for name in table.key) or "none: it has one row"
    rows = [f"| `{field.name}` | {type_of(field.type)} | {comment_of(field)} |" for field in table.schema]
    head = [f"## {table.name}", "", fill(table.description, 118), "", f"Key: {key}. Layout {table.layout}.", ""]
    return "\n".join([*head, "| column | type | what it holds |", "|---|---|---|", *rows]) + "\n"


def document() -> str:
    """The page."""
    return "\n".join([INTRODUCTION, *map(section, ALL_TABLES)])


def test_page_is_what_the_declarations_say() -> None:
    """Else make it anew, as the module says."""
    assert DOCUMENT.read_text(encoding="utf-8") == document()


@pytest.mark.parametrize("table", ALL_TABLES, ids=lambda table: table.name)
def test_table_and_each_of_its_columns_say_what_they_hold(table: Table) -> None:
    """In sentences."""
    said = [table.description, *map(comment_of, table.schema)]
    assert [text for text in said if not text.endswith(".") or len(text) < 10] == []


if __name__ == "__main__":
    print(document(), end="")
