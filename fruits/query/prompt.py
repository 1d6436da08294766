"""The interactive prompt of `fruits sql`, with history and completion."""

import re
from collections.abc import Iterable

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from fruits.catalog import ALL_TABLES, Layer
from fruits.console import ERR, OUT, SqlFormat, print_table
from fruits.query.answers import show_answer
from fruits.query.sql import Session, statements
from lakehouse.errors import LakehouseError, SettingsError
from lakehouse.tables import delta
from lakehouse.tables.table import Table, comment_of
from lakehouse.user_folders import state_folder

HELP = """\
A query ends with `;` and may take several lines. Tab completes tables,
columns and keywords, ↑ finds what was asked before.
  .tables          the tables, and how many rows each has now
  .schema [TABLE]  the columns of a table, or of all, and what they hold
  .help            this
  .exit            leave, as Ctrl-D does; Ctrl-C gives up the line, or the query that runs"""

_WORD = re.compile(r"[\w.]+")


class SqlCompleter(Completer):
    """Completes the word before the cursor: tables by their full names, columns (also after `table.`), keywords."""

    def __init__(self, keywords: Iterable[str]) -> None:
        """Take SQL's own words."""
        self._layers = {*Layer}
        self._columns = sorted({column for table in ALL_TABLES for column in table.schema.names})
        self._words = [
            *(table.name for table in ALL_TABLES),
            *self._columns,
            *sorted(word.upper() for word in keywords),
        ]

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002
        """What the word may become."""
        word = document.get_word_before_cursor(pattern=_WORD)
        if word:
            yield from _completed(word, self._words)
            table, dot, column = word.rpartition(".")
            if dot and table not in self._layers:
                yield from _completed(column, self._columns)


def converse(session: Session, shape: SqlFormat) -> None:
    """Answer what is typed until the end of it; wrong queries are told, and the next one is asked for."""
    session.show_all()  # an empty lake has nothing to talk about
    prompt = _prompt(session)
    OUT.print(f"{session.lake.uri}: a query ends with `;`, .help tells more.", soft_wrap=True)
    while True:
        try:
            text = prompt.prompt().strip()
            if text in (".exit", ".quit"):
                return
            _respond(session, text, shape)
        except EOFError:
            return
        except KeyboardInterrupt:
            ERR.print("Cancelled.", style="dim")
        except LakehouseError as error:
            ERR.print(str(error), style="red", soft_wrap=True)


def is_whole(text: str) -> bool:
    """Whether what was typed needs no further line: a command, a query with its semicolon, or nothing."""
    return not text.strip() or text.strip().startswith(".") or text.rstrip().endswith(";")


def _prompt(session: Session) -> "PromptSession[str]":
    folder = state_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    keywords = session.connection.sql("SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'")
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if is_whole(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    return PromptSession(
        "fruits> ",
        multiline=True,
        prompt_continuation="   ...> ",
        history=FileHistory(str(folder / "sql_history")),
        completer=SqlCompleter(word for (word,) in keywords.fetchall()),
        key_bindings=keys,
    )


def _respond(session: Session, text: str, shape: SqlFormat) -> None:
    command, *arguments = text.split() or [""]
    if command == ".help":
        OUT.print(HELP)
    elif command == ".tables":
        _print_tables(session)
    elif command == ".schema":
        _print_columns([_table(name.rstrip(";")) for name in arguments] or ALL_TABLES)
    elif command.startswith("."):
        raise SettingsError(f"{command} is no command: .tables, .schema [TABLE], .help, .exit.")
    else:
        for statement in statements(text):
            if (answer := session.execute(statement)) is not None:
                show_answer(answer, shape)


def _print_tables(session: Session) -> None:
    rows = []
    for table in ALL_TABLES:
        if delta.open_table(session.lake, table) is None:
            continue
        found = session.execute(f"SELECT count(*) FROM {table.name}")
        rows.append([table.name, *(next(found.rows()) if found else ())])
    print_table(["table", "rows"], rows)


def _table(name: str) -> Table:
    found = [table for table in ALL_TABLES if name.lower() in (table.name, table.name.rpartition(".")[2])]
    if not found:
        raise SettingsError(f"There is no table {name}: {', '.join(table.name for table in ALL_TABLES)}.")
    return found[0]


def _print_columns(tables: Iterable[Table]) -> None:
    rows = [[table.name, field.name, str(field.type), comment_of(field)] for table in tables for field in table.schema]
    print_table(["table", "column", "type", "what it holds"], rows)


def _completed(word: str, words: Iterable[str]) -> Iterable[Completion]:
    for one in words:
        if one.lower().startswith(word.lower()):
            yield Completion(one, start_position=-len(word))
