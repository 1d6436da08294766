"""`fruits quarantine`: list files in quarantine by reason, with advice."""

from collections.abc import Sequence
from dataclasses import dataclass

from bronze.reasons import Reason, advice_on
from fruits.console import ERR, OUT, SqlFormat, print_json, print_table
from fruits.query.answers import print_answer
from fruits.query.sql import answer
from lakehouse.errors import SettingsError
from lakehouse.printable import printable
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import Row

SHOWN = 50
"""Files that are listed unless all are asked for: a lake may hold back a hundred thousand."""

_FILES = "path, label, reason, detail, length, quarantined_at AS since"


@dataclass(frozen=True)
class HeldBack:
    """Files that are held back: how many for each reason, the most first, and the files, the newest first."""

    counts: dict[str, int]
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


def held_back(lake: Lake, reason: str | None = None, most: int | None = None) -> HeldBack:
    """Ask `bronze.quarantine`.

    Args:
        lake: whose.
        reason: one of Reason; None for all.
        most: files that are listed; None for all.

    Raises:
        SettingsError: there is no such reason.
        LakehouseError: the lake has no table.
    """
    if reason is not None and reason not in set(Reason):
        raise SettingsError(f"--reason is {reason!r}; it is one of {', '.join(Reason)}.")
    where = "FROM bronze.quarantine" + (f" WHERE reason = '{reason}'" if reason else "")
    _, counts = answer(lake, f"SELECT reason, count(*) {where} GROUP BY reason ORDER BY count(*) DESC, reason")
    limit = "" if most is None else f"LIMIT {most}"
    columns, rows = answer(lake, f"SELECT {_FILES} {where} ORDER BY quarantined_at DESC, path {limit}")
    return HeldBack({str(found): int(str(n)) for found, n in counts}, columns, rows)


def show_quarantine(lake: Lake, reason: str | None, shape: SqlFormat, *, everything: bool) -> None:
    """Print what is held back on stdout: csv and json hold every file, the table the newest unless `everything`."""
    shorten = shape == SqlFormat.table and not everything
    found = held_back(lake, reason, SHOWN if shorten else None)
    if shape == SqlFormat.csv:
        print_answer(found.columns, found.rows, shape)
    elif shape == SqlFormat.json:
        files = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
        print_json({"reasons": _reasons(found), "files": files})
    elif not found.counts:
        OUT.print(f"Nothing is held back{f' as {reason}' if reason else ''}.")
    else:
        _print_tables(found)


def _reasons(found: HeldBack) -> list[dict[str, object]]:
    return [{"reason": reason, "files": files, "advice": advice_on(reason)} for reason, files in found.counts.items()]


def _print_tables(found: HeldBack) -> None:
    print_table(["reason", "files", "what to do"], [[*row.values()] for row in _reasons(found)])
    for row in found.rows:  # lines: a table would be as wide as the longest path, and take minutes to set
        print(_line(dict(zip(found.columns, row, strict=True))))
    more = sum(found.counts.values()) - len(found.rows)
    if more:
        ERR.print(
            f"These are the newest; `--all` shows {more:,} more, `--format csv` and `json` hold them all.",
            soft_wrap=True,
        )


def _line(file: Row) -> str:
    return printable(
        f"{file['since']:%Y-%m-%d %H:%M}  {file['reason']:<18} {file['length']:>13,}  {file['path']}  {file['detail']}"
    )
