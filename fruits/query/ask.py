"""`fruits sql`: run queries from the command line, stdin or the prompt."""

import sys
from pathlib import Path

from fruits.console import ERR, SqlFormat, bars
from fruits.query.answers import answer_format, show_answer, write_answer
from fruits.query.sql import Session, statements
from lakehouse.errors import SettingsError
from lakehouse.tables.delta import Lake
from lakehouse.tables.history import parse_as_of


def ask(lake: Lake, queries: str | None, shape: str | None, output: Path | None, as_of: str | None) -> None:
    """Answer what is asked: `queries`, or else what stdin holds, or else what is typed at a prompt.

    Args:
        lake: whose tables.
        queries: statements of SQL; None where they come from stdin.
        shape: one of FORMATS; None for the one of the file's name, or a table.
        output: the file for the answer of one statement; None for stdout.
        as_of: a version or a moment, as a text; None for the present.

    Raises:
        SettingsError: a query or an option is wrong.
        LakehouseError: the lake has no table, or not the one that is named.
    """
    wanted = answer_format(shape, output)
    session = Session(lake, None if as_of is None else parse_as_of(as_of))
    if queries is None and sys.stdin.isatty():
        if output is not None:
            raise SettingsError('--output is for one query: name it, as `fruits sql "SELECT …" --output FILE`.')
        from fruits.query.prompt import converse  # its libraries take a fifth of a second

        converse(session, SqlFormat(wanted))
        return
    asked = statements(sys.stdin.read() if queries is None else queries)
    if output is None:
        for statement in asked:
            with bars("query"):
                answer = session.execute(statement)
            if answer is not None:
                show_answer(answer, SqlFormat(wanted))
        return
    found = session.execute(asked[0]) if len(asked) == 1 else None
    if found is None:
        raise SettingsError("--output takes the answer of one query.")
    with bars("query"):
        rows = write_answer(found, wanted, output)
    ERR.print(f"{rows:,} rows in {output}", soft_wrap=True)
