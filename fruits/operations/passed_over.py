"""Which files of the images' folder are passed over, and by which rule."""

from collections.abc import Mapping, Sequence

from bronze.inventory import inventory_of, photographs_of
from fruits.console import OUT, in_words
from fruits.settings import Settings
from lakehouse.engine import open_engine
from lakehouse.printable import printable
from lakehouse.progress import NullProgress
from lakehouse.storage.folder_rules import Rule
from lakehouse.tables.delta import Lake

SHOWN = 20
"""Files that are named for each rule, where not all are asked for."""


def examine_images(settings: Settings) -> tuple[int, dict[str, list[str]]]:
    """List the images' folder as a run does; how many files are taken, and the paths that each rule passes over.

    A folder that is passed over is one path. The paths are held in memory, and the others are not.

    Raises:
        SettingsError: no folder was named, or the lake's.
        StorageError: the folder cannot be listed.
    """
    engine = open_engine(settings.model_copy(update={"engine": "local"}), Lake(settings.lake), NullProgress())
    try:
        with photographs_of(engine, settings, inventory_of(settings)) as (listing, seen):
            if not seen.rules:
                return seen.files, {}
            chosen = "SELECT rule, path FROM listing WHERE rule IS NOT NULL ORDER BY rule, path"
            rows = engine.arrow(engine.sql(chosen, listing=listing)).to_pylist()
    finally:
        engine.close()
    files: dict[str, list[str]] = {}
    for row in rows:
        files.setdefault(row["rule"], []).append(row["path"])
    return seen.files - seen.skipped, files


def print_passed_over(files: Mapping[str, Sequence[str]]) -> None:
    """Name the files of each rule, the first of many, and what to do about them."""
    for rule, paths in files.items():
        advice = Rule(rule).advice if rule in set(Rule) else ""
        OUT.print(f"{len(paths):,} passed over: {in_words(rule)}. {advice}".rstrip(), soft_wrap=True)
        for path in paths[:SHOWN]:
            OUT.print(f"  {printable(path)}", soft_wrap=True)
        if len(paths) > SHOWN:
            OUT.print(f"  and {len(paths) - SHOWN:,} more; `--format json` names them all.")
