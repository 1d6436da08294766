"""Commands that look after a lake."""

from typing import Annotated

import typer

from fruits.cli.options import Config, EngineOption, Images, LakeUri, Shape, settings_of
from fruits.console import ERR, OUT, Format, print_json, print_table

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
def doctor(
    images: Images = None,
    lake: LakeUri = None,
    engine: EngineOption = None,
    config: Config = None,
    shape: Shape = Format.table,
    repair: Annotated[bool, typer.Option("--repair", help="Repair what can be repaired without photographs.")] = False,
) -> None:
    """Check the installation and the lake, and say how to fix what is wrong."""
    from fruits.operations import health
    from fruits.operations.doctor import examine

    settings = settings_of(config, images=images, lake=lake, engine=engine)
    for sentence in health.repair(settings) if repair else []:
        ERR.print(sentence)
    findings = examine(settings)
    if shape == Format.json:
        print_json([vars(finding) for finding in findings])
    else:
        rows = [(one.name, "ok" if one.ok else "FAIL", f"{one.found} {one.advice}") for one in findings]
        print_table(["", "", "found"], rows)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)
