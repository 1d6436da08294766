"""Commands that look after a lake."""

from typing import Annotated

import typer

from fruits.cli.options import Config, EngineOption, Images, LakeUri, Shape, settings_of
from fruits.console import ERR, OUT, Format, bars, print_json, print_table
from lakehouse.errors import SettingsError

app = typer.Typer()


@app.command()
def forget(
    paths: Annotated[list[str], typer.Argument(help="Paths of photographs, whether or not the files are still there.")],
    lake: LakeUri = None,
    engine: EngineOption = None,
    config: Config = None,
    shape: Shape = Format.table,
) -> None:
    """Erase photographs from every layer, table history and model artifacts included."""
    from fruits.operations.forget import forget as erase
    from fruits.operations.forget import format_forgotten

    done = erase(settings_of(config, lake=lake, engine=engine), paths)
    if shape == Format.json:
        print_json(vars(done))
    else:
        OUT.print(format_forgotten(done), soft_wrap=True)


@app.command()
def relabel(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH… LABEL", help="Photographs, by their paths or by ends that no other path has; last the label."
        ),
    ] = None,
    file: Annotated[
        str | None, typer.Option("--from", help="Read lines `path,label[,split]` from this CSV or .jsonl file.")
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="The photographs' split, too.")] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Take corrections back: PATH… without LABEL. Folder or manifest count again.")
    ] = False,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; kept in `bronze.corrections`.")] = None,
    lake: LakeUri = None,
    config: Config = None,
    shape: Shape = Format.table,
) -> None:
    """Correct labels and splits of photographs; the next run brings them into all layers, and computes nothing."""
    from bronze.manifest import Labelling, read_manifest
    from fruits.operations import relabel as relabelling

    words = words or []
    if file is not None and (words or split or undo):
        raise SettingsError("--from reads photographs, labels and splits from the file: give no others, nor --undo.")
    if undo and (split or not words):
        raise SettingsError("Name the photographs whose corrections to take back: `fruits relabel --undo PATH…`.")
    if file is None and not undo and (len(words) < 2 or not words[-1].strip()):
        raise SettingsError("Name photographs and their label: `fruits relabel PATH… LABEL`, or a file: `--from FILE`.")
    settings = settings_of(config, lake=lake)
    if undo:
        done = relabelling.undo(settings, words, reason)
    else:
        *paths, label = words or [""]
        named = [Labelling(0, path, label.strip(), split) for path in paths]
        lines = named if file is None else read_manifest(_uri_of(file)).lines
        done = relabelling.relabel(settings, lines, reason)
    if shape == Format.json:
        print_json(vars(done))
    else:
        OUT.print(relabelling.format_relabelled(done, undone=undo), soft_wrap=True)


def _uri_of(file: str) -> str:
    from lakehouse.storage.uri import absolute_uri

    try:
        return absolute_uri(file)
    except ValueError as error:
        raise SettingsError(f"--from is {file!r}: {error}") from error


@app.command()
def maintain(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show each table's files and what would be done; change nothing.")
    ] = False,
    lake: LakeUri = None,
    engine: EngineOption = None,
    config: Config = None,
    shape: Shape = Format.table,
) -> None:
    """Merge small files, remove files that no version within `history_days` needs, and sum up the tables' logs."""
    from fruits.operations.maintain import format_upkept, maintain_lake, print_states
    from fruits.operations.upkeep import examine_upkeep

    settings = settings_of(config, lake=lake, engine=engine)
    if not dry_run:
        done = maintain_lake(settings)
        if shape == Format.json:
            print_json(vars(done))
        else:
            OUT.print(format_upkept(done), soft_wrap=True)
        return
    with bars("maintain"):
        states = examine_upkeep(settings)
    if shape == Format.json:
        print_json([vars(state) for state in states])
    else:
        print_states(states)


@app.command()
def doctor(
    images: Images = None,
    lake: LakeUri = None,
    engine: EngineOption = None,
    config: Config = None,
    shape: Shape = Format.table,
    repair: Annotated[bool, typer.Option("--repair", help="Repair what can be repaired without photographs.")] = False,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Read all data, to find damage inside of files.")
    ] = False,
) -> None:
    """Check the installation and the lake, and say how to fix what is wrong."""
    from fruits.operations import health
    from fruits.operations.doctor import examine
    from fruits.operations.maintain import print_states
    from fruits.operations.passed_over import print_passed_over

    settings = settings_of(config, images=images, lake=lake, engine=engine)
    with bars("doctor"):
        for sentence in health.repair(settings, thorough=thorough) if repair else []:
            ERR.print(sentence)
        findings = examine(settings, thorough=thorough)
    if shape == Format.json:
        print_json([{**vars(one), "tables": [vars(table) for table in one.tables]} for one in findings])
    else:
        rows = [(one.name, "ok" if one.ok else "FAIL", f"{one.found} {one.advice}") for one in findings]
        print_table(["", "", "found"], rows)
        for finding in findings:
            print_passed_over(finding.passed_over)
            if finding.tables:
                print_states(finding.tables)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)
