"""``dgaal query``."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dgaal_cli.commands._context import Context, needing
from dgaal_cli.commands._options import Assignments, Events, TrainingDevice, assignments
from dgaal_cli.commands.train import print_event
from dgaal_cli.escaping import show

if TYPE_CHECKING:
    from dgaal_cli.api.query import QueryResult

LISTED = 10


def query(
    ctx: typer.Context,
    count: Annotated[
        int | None, typer.Option("--query-size", "-n", help="Number of pool images to ask.", min=1)
    ] = None,
    synthetic: Annotated[
        int, typer.Option(help="Number of images to synthesize near the boundary and ask.", min=0)
    ] = 0,
    audit: Annotated[
        int | None,
        typer.Option(
            help="Number of random images to ask in addition, to measure the model.", min=0
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(metavar="IMAGE", help="Ask the images that resemble this one by features."),
    ] = None,
    device: TrainingDevice = None,
    extra: Assignments = [],  # noqa: B006
    prints_events: Events = False,
) -> None:
    """Choose the next images to label, by the last trained round or by features."""
    context: Context = ctx.obj
    workspace = context.workspace()
    config = context.config(assignments({"device": device}, extra))
    with needing("train", command="dgaal query"):
        from dgaal_cli.api.query import query as choose
    listener = print_event if prints_events else context.listener()
    result = choose(
        workspace, config, count=count, synthetic=synthetic, audit=audit, like=like, emit=listener
    )
    if prints_events:
        return
    if context.printed_json(_document(result)):
        return
    print(f"round {result.round} asks {len(result.entries)} images: {result.strategy}")
    for entry, item in list(zip(result.entries, result.items, strict=True))[:LISTED]:
        score = "" if entry.score is None else f"score {entry.score:.3f}"
        above = "" if entry.percentile is None else f"above {entry.percentile:.0f}% of the pool"
        parts = ", ".join(filter(None, (score, above, entry.reason)))
        context.note(f"  {entry.rank:>3}  {show(item.sample_id)}  {parts}")
    if len(result.entries) > LISTED:
        context.note(f"... {len(result.entries) - LISTED} more in query.csv of the round's folder")
    if result.audited:
        context.note(f"{result.audited} of them measure the model: it never learns their labels")
    if result.guessed_by:
        context.note(f"guesses: {result.guessed_by}")
    context.note(f"next: {context.dgaal} label")


def _document(result: "QueryResult") -> dict[str, Any]:
    return {
        "round": result.round,
        "strategy": result.strategy,
        "promoted": result.promoted,
        "left": result.left,
        "audited": result.audited,
        "guessed_by": result.guessed_by,
        "query": [
            {
                "rank": entry.rank,
                "id": show(item.sample_id),
                "synthetic": item.is_synthetic,
                "score": entry.score,
                "percentile": entry.percentile,
                "confidence": entry.probabilities[0][1] if entry.probabilities else None,
                "reason": entry.reason,
            }
            for entry, item in zip(result.entries, result.items, strict=True)
        ],
    }
