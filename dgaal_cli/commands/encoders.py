"""``dgaal encoders``: list the encoders that work here, and export one."""

from typing import TYPE_CHECKING

import typer

from dgaal_cli.commands._context import Context
from dgaal_cli.escaping import show

if TYPE_CHECKING:
    from dgaal_cli.api.encoders import EncoderRow

app = typer.Typer(
    name="encoders",
    help="List the pretrained encoders that work here; export one as ONNX.",
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
)


@app.callback()
def list_command(ctx: typer.Context) -> None:
    """List the pretrained encoders that work here; export one as ONNX."""
    if ctx.invoked_subcommand is not None:
        return
    from dgaal_cli.api.encoders import list_encoders

    context: Context = ctx.obj
    is_inside = context.workspace_if_any() is not None
    rows = list_encoders(context.config().encoder if is_inside else None)
    if context.printed_json(rows):
        return
    print(f"{'encoder':34} {'features':>8} {'pixels':>6} {'MB':>6} {'ms/image':>8}  licence, state")
    for row in rows:
        print(_line(row))


def _line(row: "EncoderRow") -> str:
    megabytes = f"{row.size_bytes / 1e6:.1f}" if row.size_bytes else "-"
    speed = "-" if row.milliseconds is None else f"{row.milliseconds:.1f}"
    state = f"{row.state}: {row.remedy}" if row.remedy else row.state
    return (
        f"{show(row.name):34} {row.dimension or '-':>8} {row.input_size or '-':>6} "
        f"{megabytes:>6} {speed:>8}  {show(row.licence) or '-'}, {show(state)}"
    )
