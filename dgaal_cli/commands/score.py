"""``dgaal score``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dgaal_cli.commands._context import Context
from dgaal_cli.commands._options import Device, TrustTorchScript
from dgaal_cli.data.decoders.launch import end_ahead, start_ahead, worker_count
from dgaal_cli.errors import UsageError
from dgaal_cli.escaping import show

if TYPE_CHECKING:
    from dgaal_cli.api.score import ScoreResult
    from dgaal_cli.data.sources import Source

EXIT_UNREADABLE = 3


def score(
    ctx: typer.Context,
    source: Annotated[
        str | None, typer.Argument(help="Images to score: a SOURCE, or - for file names on stdin.")
    ] = None,
    artifact: Annotated[
        Path | None, typer.Option("--artifact", "-a", help="Exported sampler: .onnx or .ts.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Table: .csv, .jsonl or .parquet; default: CSV on stdout."
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(help="Keep only this many best images, and unreadable ones.", min=1),
    ] = None,
    diverse: Annotated[
        bool,
        typer.Option(
            "--diverse",
            help="Choose the images of --top to differ: as a query does, or no near-duplicates.",
        ),
    ] = False,
    engine: Annotated[
        Literal["onnx", "torchscript"] | None, typer.Option(help="Format of the sampler to run.")
    ] = None,
    device: Device = "auto",
    threads: Annotated[int, typer.Option(help="CPU threads of the engine; 0 = all.", min=0)] = 0,
    workers: Annotated[int, typer.Option(help="Decoding processes; 0 = one per CPU.", min=0)] = 0,
    batch: Annotated[int, typer.Option(help="Images per batch; 0 = 64.", min=0)] = 0,
    reduced_jpeg: Annotated[
        bool,
        typer.Option(
            "--reduced-jpeg",
            help="Decode large JPEG files at reduced size: faster, but pixels change by 0.3 of 255 "
            "on average and by at most 10, so scores change too.",
        ),
    ] = False,
    files_from: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Read file names, separated by newlines or NUL; - for stdin."
        ),
    ] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Download a missing torchvision data set.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume an interrupted run with the same -o.")
    ] = False,
    features: Annotated[
        Path | None,
        typer.Option(help="Also write the encoder's features to this .npz or .parquet."),
    ] = None,
    contact_sheet: Annotated[
        int,
        typer.Option(
            help="Also write this many best images to a PNG with the table's name; replaces an "
            "existing sheet."
        ),
    ] = 0,
    trust_torchscript: TrustTorchScript = False,
) -> None:
    """Score images offline with an exported sampler; higher score = ask first."""
    if source is not None and Path(source).is_dir():  # workers start during the imports
        ctx.call_on_close(end_ahead)
        start_ahead(worker_count(workers))
    from dgaal_cli import interruption
    from dgaal_cli.api.score import ScoreOptions, default_artifact, trusted_by
    from dgaal_cli.api.score import score as run

    context: Context = ctx.obj
    if artifact is None:
        workspace = context.checked_workspace()
        artifact = default_artifact(workspace, engine)
    else:
        workspace = context.workspace_if_any()
        _check_engine(artifact, engine)
    options = ScoreOptions(
        top=top,
        diverse=diverse,
        reduced_jpeg=reduced_jpeg,
        device=device,
        threads=threads,
        workers=workers,
        batch=batch,
        resume=resume,
        download=download,
        features=features,
        contact_sheet=contact_sheet,
        is_trusted=trust_torchscript or (trusted_by(workspace) if workspace else False),
    )
    table = None if output == Path("-") else output
    with interruption.listening():
        result = run(
            _source(context, source, files_from),
            artifact=artifact,
            base=context.base,
            output=table if table is not None or context.json else sys.stdout.buffer,
            options=options,
            emit=context.listener(),
        )
    _report(context, result)


def _check_engine(artifact: Path, engine: str | None) -> None:
    from exporters.registry import SUFFIXES

    if engine is not None and artifact.suffix.lower() != SUFFIXES[engine]:
        raise UsageError(
            f"--engine {engine} runs a {SUFFIXES[engine]} file, not {artifact}; "
            "omit --engine, or give the other file"
        )


def _source(context: Context, source: str | None, files_from: str | None) -> "str | Source":
    if source is not None and files_from is not None:
        raise UsageError("give a SOURCE or --files-from, not both")
    if source == "-":
        source, files_from = None, "-"
    if files_from is not None:
        from dgaal_cli.data.sources.files import open_list

        return open_list(files_from, base=context.base)
    if source is None:
        raise UsageError("give the images to score: a SOURCE or --files-from FILE")
    return source


def _report(context: Context, result: "ScoreResult") -> None:
    context.printed_json(_document(result))
    sys.stdout.flush()
    where = f", table in {show(str(result.output))}" if result.output else ""
    kept = f" ({result.resumed:,} kept from the interrupted run)" if result.resumed else ""
    context.note(
        f"scored {result.scored:,} images{kept} in {result.seconds:.1f} s "
        f"({result.rate:,.0f} images/s on {result.device or 'no device'}, "
        f"{result.threads} threads, batches of {result.batch}){where}"
    )
    if result.drift and result.drift.level == "none":
        context.note(result.drift.sentence())
    elif result.drift:
        print(f"dgaal: {result.drift.sentence()}", file=sys.stderr)
    if result.contact_sheet:
        context.note(f"best images in {show(str(result.contact_sheet))}")
    if not result.unreadable:
        return
    print(f"dgaal: {result.unreadable:,} unreadable:", file=sys.stderr)
    for name, reason in result.unreadable_first:
        print(f"  {show(name)}: {show(reason)}", file=sys.stderr)
    if result.unreadable > len(result.unreadable_first):
        left = result.unreadable - len(result.unreadable_first)
        print(f"  ... {left:,} more, all at the end of the table", file=sys.stderr)
    raise typer.Exit(EXIT_UNREADABLE)


def _document(result: "ScoreResult") -> dict[str, Any]:
    from dgaal_cli.scoring.writers import records

    document: dict[str, Any] = {
        "scored": result.scored,
        "unreadable": result.unreadable,
        "unreadable_first": [{"id": name, "error": why} for name, why in result.unreadable_first],
        "resumed": result.resumed,
        "seconds": round(result.seconds, 3),
        "images_per_second": round(result.rate, 1),
        "device": result.device,
        "threads": result.threads,
        "batch": result.batch,
        "drift": result.drift,
        "output": result.output,
        "contact_sheet": result.contact_sheet,
    }
    if result.output is None:
        document["table"] = list(records(result.rows))
    return document
