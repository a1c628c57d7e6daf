"""``dgaal report``."""

from pathlib import Path
from typing import Annotated

import typer

from dgaal_cli.commands._context import Context, needing
from dgaal_cli.escaping import show


def report(
    ctx: typer.Context,
    simulation: Annotated[
        Path | None, typer.Argument(help="Folder of a simulation; default: the workspace.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for page and figures.")
    ] = None,
) -> None:
    """Plot curves, confusion, queries and sampler health: PNG files and one HTML page."""
    context: Context = ctx.obj
    if simulation is None:
        workspace, config = context.workspace(), context.config()
        with needing("train", command="dgaal report"):
            from dgaal_cli.api.report import report

            result = report(workspace, config, folder=output)
    else:
        with needing("train", command="dgaal report"):
            from dgaal_cli.api.report import report_simulation

            result = report_simulation(simulation, folder=output)
    document = {
        "page": result.page,
        "pictures": result.pictures,
        "notes": [show(note) for note in result.notes],
    }
    if context.printed_json(document):
        return
    print(show(str(result.page)))
    for note in result.notes:
        context.note(f"note: {show(note)}")
    context.note(f"{len(result.pictures)} figures next to it; open the page in any browser")
