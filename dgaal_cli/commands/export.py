"""``dgaal export``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dgaal_cli.commands._context import Context, needing
from dgaal_cli.commands._options import Device
from dgaal_cli.escaping import show

if TYPE_CHECKING:
    from dgaal_cli.api.export import ExportResult
    from dgaal_cli.artifacts.folder import WrittenArtifact

DEPRECATION = "TorchScript still runs, but PyTorch deprecates it since 2.11; prefer .onnx files"


def export(
    ctx: typer.Context,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write ONNX files.")] = False,
    torchscript: Annotated[
        bool, typer.Option("--torchscript", help="Write TorchScript files.")
    ] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="Also write an ONNX sampler with int8 convolutions.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Output folder; default: the workspace's artifacts."),
    ] = None,
    device: Device = "auto",
) -> None:
    """Export sampler, generator and classifier as files; verify each first."""
    context: Context = ctx.obj
    workspace = context.workspace()
    config = context.config()
    with needing("train", command="dgaal export"):
        from dgaal_cli.api.export import export as run

    chosen = {"onnx": onnx, "torchscript": torchscript}
    default = list(chosen) if config.encoder.source == "pixels" else ["onnx"]
    formats = [name for name, is_requested in chosen.items() if is_requested] or default
    result = run(
        workspace,
        config,
        formats=formats,
        is_quantized=int8,
        output=None if output is None else context.base / output,
        device=device,
        listener=context.listener(),
    )
    if not context.printed_json(_document(result)):
        for artifact in result.artifacts:
            print(_line(artifact))
    context.note(f"in {show(str(result.folder))}, with manifest.json, MODEL_CARD.md and SHA256SUMS")
    if "torchscript" in formats:
        context.note(DEPRECATION)
    written = {artifact.path.stem for artifact in result.artifacts}
    if "sampler" in written:
        context.note(f"next: {context.dgaal} score SOURCE")
    elif "generator" in written:
        context.note(f"next: {context.dgaal} generate -o DIR")


def _line(artifact: "WrittenArtifact") -> str:
    checked = f"largest difference {artifact.largest_difference:.1e}"
    if artifact.agreement is not None:
        checked = (
            f"Spearman {artifact.agreement.spearman:.4f}, "
            f"top-5% overlap {artifact.agreement.top_overlap:.2f}"
        )
    size = f"{artifact.size_bytes / 1e6:.2f} MB"
    name = show(artifact.path.name)
    return f"{name:<18} {size:>10}  {checked}  {artifact.seconds:.1f} s"


def _document(result: "ExportResult") -> dict[str, Any]:
    return {
        "folder": show(str(result.folder)),
        "artifacts": [
            {
                "file": show(artifact.path.name),
                "role": artifact.role,
                "format": artifact.format,
                "size_bytes": artifact.size_bytes,
                "sha256": artifact.sha256.hex(),
                "largest_difference": artifact.largest_difference,
                "agreement": artifact.agreement and artifact.agreement.as_document(),
                "seconds": round(artifact.seconds, 3),
            }
            for artifact in result.artifacts
        ],
    }
