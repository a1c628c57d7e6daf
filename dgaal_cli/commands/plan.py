"""``dgaal plan``."""

from typing import Annotated

import typer

from dgaal_cli.commands._context import Context


def plan(
    ctx: typer.Context,
    hours: Annotated[float, typer.Option(help="Hours that you have.")] = 6.0,
) -> None:
    """Plan query sizes, training pauses and audited images for some hours of labeling."""
    from dgaal_cli.api.plan import plan as make

    context: Context = ctx.obj
    found = make(context.workspace(), context.config(), hours=hours)
    if context.printed_json(found):
        return
    if not found.rounds:
        print(
            f"nothing to plan: {found.effort.left:,} images may be asked, in "
            f"{60 * found.hours:,.0f} minutes"
        )
        return
    print("images  audited  labeling  training  labels  expected accuracy")
    for each in found.rounds:
        value = each.accuracy
        expected = (
            f"{value.value:.1%} ({value.low:.1%} to {value.high:.1%})" if value else "unknown"
        )
        print(
            f"{each.images:>6,}  {each.audited:>7,}  {each.labeling_s / 60:>4,.0f} min  "
            f"{each.pause_s / 60:>4,.0f} min  {each.labels:>6,}  {expected}"
        )
    source = "median of the newest answers" if found.is_pace_known else "assumed: none was timed"
    context.note(f"{found.effort.answer_s:.1f} seconds an answer ({source})")
    if found.rounds[-1].accuracy is None:
        context.note("the accuracy can be forecast once an audit has measured three models")
    first = found.rounds[0]
    audit = f" --audit {first.audited}" if first.audited else ""
    context.note(f"next: {context.dgaal} query -n {first.images}{audit}")
