"""``dgaal features``."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dgaal_cli.commands._context import Context
from dgaal_cli.commands._options import Assignments
from dgaal_cli.escaping import show

if TYPE_CHECKING:
    from dgaal_cli.api.features import FeaturesResult

EXIT_UNREADABLE = 3


def features(
    ctx: typer.Context,
    source: Annotated[
        str, typer.Argument(help="Images to encode: a SOURCE; default: the workspace's pool.")
    ] = "",
    encoder: Annotated[
        str, typer.Option(help="Encoder to use instead of the configured one.", metavar="ENCODER")
    ] = "",
    check: Annotated[
        bool, typer.Option("--check", help="Read the whole cache first, and replace damaged parts.")
    ] = False,
    workers: Annotated[int, typer.Option(help="Decoding processes; 0 = one per CPU.", min=0)] = 0,
    extra: Assignments = [],  # noqa: B006
) -> None:
    """Compute the features of images once, for all rounds; only new images are encoded."""
    from dgaal_cli import interruption
    from dgaal_cli.api.features import compute_features

    context: Context = ctx.obj
    workspace = context.workspace()
    with interruption.listening():
        result = compute_features(
            workspace,
            context.config(extra),
            source=source,
            base=context.base,
            encoder=encoder,
            checks_all=check,
            workers=workers,
            emit=context.listener(),
        )
    if not context.printed_json(_document(result)):
        print(_summary(result))
    filled = result.fill
    if not filled.unreadable:
        return
    context.note(f"{filled.unreadable:,} images have no features:")
    for name, reason in filled.unreadable_first:
        context.note(f"  {show(name)}: {show(reason)}")
    if filled.unreadable > len(filled.unreadable_first):
        context.note(f"  ... {filled.unreadable - len(filled.unreadable_first):,} more")
    raise typer.Exit(EXIT_UNREADABLE)


def _summary(result: "FeaturesResult") -> str:
    filled = result.fill
    speed = f" in {filled.seconds:.1f} s ({filled.rate:,.1f} images/s)" if filled.encoded else ""
    return (
        f"features of {filled.encoded:,} images computed{speed}, {filled.known:,} were there; "
        f"{show(str(result.cache))} holds {result.rows:,} of {show(result.encoder)}"
    )


def _document(result: "FeaturesResult") -> dict[str, Any]:
    filled = result.fill
    return {
        "encoder": show(result.encoder),
        "digest": result.digest,
        "crop": result.crop,
        "dtype": result.dtype,
        "dimension": result.dimension,
        "cache": result.cache,
        "rows": result.rows,
        "encoded": filled.encoded,
        "known": filled.known,
        "unreadable": filled.unreadable,
        "unreadable_first": [
            {"id": show(name), "error": show(why)} for name, why in filled.unreadable_first
        ],
        "damaged": result.damaged,
        "seconds": round(filled.seconds, 3),
        "images_per_second": round(filled.rate, 1),
    }
