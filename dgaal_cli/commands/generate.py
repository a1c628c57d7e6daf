"""``dgaal generate``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dgaal_cli.commands._context import Context
from dgaal_cli.commands._options import Device, TrustTorchScript
from dgaal_cli.escaping import show

if TYPE_CHECKING:
    from dgaal_cli.data.sources import Source

EXIT_UNREADABLE = 3
LISTED = 10


def generate(
    ctx: typer.Context,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="New folder for the images.", metavar="DIR")
    ],
    artifact: Annotated[
        Path | None, typer.Option("--artifact", "-a", help="Exported generator: .onnx or .ts.")
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", help="Number of images.", min=1)] = 24,
    parents: Annotated[
        str | None,
        typer.Option(
            help="Parent images: a SOURCE, or - for file names on stdin; default: the pool."
        ),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(
            help="With parents: half width of the random factor around 1 of each channel, default "
            "0.05. Without: standard deviation of the latent noise, default 1."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed of parents and noise.", min=0)] = 0,
    device: Device = "auto",
    trust_torchscript: TrustTorchScript = False,
) -> None:
    """Synthesize images with an exported generator: copies of parent images, or from noise."""
    from dgaal_cli import interruption
    from dgaal_cli.api.generate import GenerateOptions, default_generator, needs_parents
    from dgaal_cli.api.generate import generate as run
    from dgaal_cli.api.score import trusted_by

    context: Context = ctx.obj
    if artifact is None:
        workspace = context.checked_workspace()
        artifact = default_generator(workspace.artifacts_path)
    else:
        workspace = context.workspace_if_any()
    base = context.base
    if parents is None and workspace is not None and needs_parents(artifact):
        parents, base = context.config().pool.source, workspace.root
    source: str | Source | None = parents
    if parents == "-":
        from dgaal_cli.data.sources.files import open_list

        source = open_list("-", base=base)
    options = GenerateOptions(
        count=count,
        noise=noise,
        seed=seed,
        device=device,
        is_trusted=trust_torchscript or (trusted_by(workspace) if workspace else False),
    )
    with interruption.listening():
        result = run(
            source, artifact=artifact, base=base, output=context.base / output, options=options
        )
    document = {
        "folder": show(str(result.folder)),
        "images": [
            {"file": file, "parent": None if parent is None else show(parent)}
            for file, parent in zip(result.files, result.parents, strict=True)
        ],
        "unreadable": [{"id": show(name), "error": show(why)} for name, why in result.unreadable],
        "device": result.device,
        "seconds": round(result.seconds, 3),
    }
    if not context.printed_json(document):
        print(
            f"{len(result.files)} images in {show(str(result.folder))}, "
            f"with contact_sheet.png ({result.seconds:.1f} s on {result.device})"
        )
    if result.unreadable:
        print(f"dgaal: {len(result.unreadable)} parents were unreadable:", file=sys.stderr)
        for name, why in result.unreadable[:LISTED]:
            print(f"  {show(name)}: {show(why)}", file=sys.stderr)
        raise typer.Exit(EXIT_UNREADABLE)
