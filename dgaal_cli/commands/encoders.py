"""``dgaal encoders``: list the encoders that work here, and export one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dgaal_cli.commands._context import Context
from dgaal_cli.escaping import show

if TYPE_CHECKING:
    from dgaal_cli.api.encoders import EncoderRow
    from dgaal_cli.api.export_encoder import ExportedEncoder
    from dgaal_cli.encoders.agreement import FeatureAgreement

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


@app.command("export")
def export_command(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(help="package:NAME, timm:NAME or timm:NAME@WEIGHTS.", metavar="NAME")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="ONNX file to write.")],
    images: Annotated[
        str,
        typer.Option(
            help="SOURCE of images to compare on; default: the pool of the workspace, if any."
        ),
    ] = "",
    int8: Annotated[
        Path | None,
        typer.Option(help="Also write an int8 file, if it is faster here and agrees with float32."),
    ] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Allow to download the weights of a timm model.")
    ] = False,
) -> None:
    """Write one ONNX file that runs without PyTorch and needs no settings."""
    from dgaal_cli.api.export_encoder import export_encoder

    context: Context = ctx.obj
    workspace, images_base = context.workspace_if_any(), context.base
    if not images and workspace is not None:
        images, images_base = context.config().pool.source, workspace.root
    result = export_encoder(
        name,
        output,
        base=context.base,
        images=images,
        images_base=images_base,
        int8=int8,
        downloads=download,
    )
    if not context.printed_json(result):
        _print_export(context, result)


def _print_export(context: Context, result: "ExportedEncoder") -> None:
    print(f"{show(str(result.path))}: {result.size_bytes / 1e6:.1f} MB")
    print(f"compared with torch on random images: {_agreement(result.random)}")
    if result.real is not None:
        print(f"compared with torch on images of the source: {_agreement(result.real)}")
    if result.int8 is not None and result.int8_agreement is not None:
        print(f"{show(str(result.int8))}: {result.int8_time:.2f} of the time of float32")
        print(f"compared with float32: {_agreement(result.int8_agreement)}")
    if result.int8_problem:
        context.note(show(result.int8_problem))


def _agreement(found: "FeatureAgreement") -> str:
    return (
        f"largest difference {found.largest_difference:.2g}, Spearman of distances "
        f"{found.spearman:.6f} ({found.images} images)"
    )
