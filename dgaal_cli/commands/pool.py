"""``dgaal pool``: what changed in the pool since the workspace saw it, and taking it up."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dgaal_cli.commands._context import Context
from dgaal_cli.errors import UsageError
from dgaal_cli.escaping import show

if TYPE_CHECKING:
    from dgaal_cli.api.pool import PoolReport

app = typer.Typer(
    name="pool",
    help="Compare the pool with the workspace, and add its new images.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Compared = Literal["auto", "hash", "features"]

EXIT_LEFT_OUT = 3
_LISTED = 5
"""Max. number of names of each kind that are printed."""


@app.command("status")
def status_command(ctx: typer.Context) -> None:
    """Show which files of the pool are new, renamed, changed, missing or readable again."""
    from dgaal_cli import interruption
    from dgaal_cli.api.pool import pool_status

    context: Context = ctx.obj
    with interruption.listening():
        report = pool_status(context.workspace(), context.config(), emit=context.listener())
    if context.printed_json(_document(report)):
        return
    _print_plan(report)
    if not report.plan.is_empty:
        print(f"next: {context.dgaal} pool update")


def _print_plan(report: "PoolReport") -> None:
    plan = report.plan
    print(f"{plan.unchanged:,} images are as the workspace knows them")
    _print_kind("new", [item.sample_id for item in plan.new])
    _print_kind("renamed", [(each.old, each.new) for each in plan.renamed])
    _print_kind("further names of known images", [name for name, _ in plan.copies])
    _print_kind("readable again", plan.repaired)
    _print_kind("left out before, now back", [name for name, _ in plan.restored])
    answered = f", {len(report.answered):,} of them with answers" if report.answered else ""
    _print_kind("changed", [each.new.sample_id for each in plan.changed], more=answered)
    _print_kind("missing", [name for name, _ in plan.missing])
    _print_kind("not found, in folders that are empty or missing", report.away)
    _print_kind("unreadable", plan.unreadable, between=": ")
    _print_kind("unreadable before, now gone", plan.unlisted)
    if plan.groups:
        print(f"  images that get a group: {len(plan.groups):,}")
    _print_kind("changed while they were read, run the command again", plan.unstable)


def _print_kind(
    title: str,
    names: Sequence[str | tuple[str, str]],
    *,
    more: str = "",
    between: str = " -> ",
) -> None:
    if not names:
        return
    print(f"  {title}: {len(names):,}{more}")
    for name in names[:_LISTED]:
        print(f"    {between.join(map(show, (name,) if isinstance(name, str) else name))}")
    if len(names) > _LISTED:
        print(f"    ... and {len(names) - _LISTED:,} more (--json lists all)")


def _document(report: "PoolReport") -> dict[str, Any]:
    plan = report.plan
    return {
        "unchanged": plan.unchanged,
        "new": [show(item.sample_id) for item in plan.new],
        "renamed": [{"old": show(each.old), "new": show(each.new)} for each in plan.renamed],
        "copies": [show(name) for name, _ in plan.copies],
        "repaired": [show(name) for name in plan.repaired],
        "restored": [show(name) for name, _ in plan.restored],
        "changed": [
            {
                "id": show(each.new.sample_id),
                "has_answers": each.new.sample_id in report.answered,
                "old_id": show(each.aside),
            }
            for each in plan.changed
        ],
        "missing": [show(name) for name, _ in plan.missing],
        "away": [show(name) for name in report.away],
        "unreadable": [{"id": show(name), "reason": show(why)} for name, why in plan.unreadable],
        "unlisted": [show(name) for name in plan.unlisted],
        "unstable": [show(name) for name in plan.unstable],
        "regrouped": len(plan.groups),
    }


@app.command("update")
def update_command(
    ctx: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would change.")
    ] = False,
    accept_changed: Annotated[
        bool,
        typer.Option(
            "--accept-changed",
            help="Take files with new content as new images; labels stay with the old content.",
        ),
    ] = False,
) -> None:
    """Add new images, follow renamed ones by content, and look again at unreadable ones."""
    from dgaal_cli import interruption
    from dgaal_cli.api.pool import pool_update

    context: Context = ctx.obj

    def accept(report: "PoolReport") -> bool:
        if not context.json:
            _print_plan(report)
        if accept_changed or dry_run or not report.plan.changed:
            return accept_changed
        return not context.json and _confirmed(report)

    with interruption.listening():
        result = pool_update(
            context.workspace(),
            context.config(),
            is_dry_run=dry_run,
            accept=accept,
            emit=context.listener(),
        )
    plan = result.report.plan
    refused = [] if result.is_accepted else [each.new.sample_id for each in plan.changed]
    document = {
        **_document(result.report),
        "added": result.added,
        "is_applied": result.is_applied,
        "refused": [show(name) for name in refused],
    }
    if not context.printed_json(document):
        print(_outcome(dry_run=dry_run, is_applied=result.is_applied, added=result.added))
    if dry_run:
        return
    if refused:
        context.note(_refusal(refused))
    if refused or plan.unreadable or plan.unstable:
        raise typer.Exit(EXIT_LEFT_OUT)


def _confirmed(report: "PoolReport") -> bool:
    if not sys.stdin.isatty():
        return False
    labels = (
        f"; {len(report.answered):,} of them have answers, which stay with the old content, and "
        "the images are asked again"
        if report.answered
        else ""
    )
    return typer.confirm(
        f"take {_counted(len(report.plan.changed), 'changed file')} as new{labels}?", err=True
    )


def _outcome(*, dry_run: bool, is_applied: bool, added: int) -> str:
    if dry_run:
        return "nothing was changed (--dry-run)"
    return (
        f"the pool is updated: {_counted(added, 'new image')}"
        if is_applied
        else "nothing to update"
    )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _refusal(names: Sequence[str]) -> str:
    listed = ", ".join(map(show, names[:_LISTED])) + (", ..." if len(names) > _LISTED else "")
    return (
        f"not accepted, because their content changed: {listed}; put the old files back, or take "
        "the new ones as new images with --accept-changed, which leaves labels with the old content"
    )


@app.command("duplicates")
def duplicates_command(
    ctx: typer.Context,
    by: Annotated[
        Compared,
        typer.Option(help="What is compared: hash (thumbnails), features, or auto."),
    ] = "auto",
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Largest difference: bits of the hash (default 12), or cosine distance of "
            "features (default 0.2).",
            min=0.0,
        ),
    ] = None,
    keep_together: Annotated[
        bool,
        typer.Option("--keep-together", help="Hold the images of each group out together."),
    ] = False,
    share: Annotated[
        bool,
        typer.Option(
            "--share-answers",
            help="Give images without an answer the label of those that they resemble.",
        ),
    ] = False,
    withdraw: Annotated[
        bool, typer.Option("--withdraw-answers", help="Withdraw all labels that were shared.")
    ] = False,
) -> None:
    """List images that show nearly the same, in groups; each image of a group is in one group."""
    from dgaal_cli import interruption
    from dgaal_cli.api.pool import pool_duplicates

    context: Context = ctx.obj
    if share or withdraw:
        if share and withdraw:
            raise UsageError("use only one of --share-answers and --withdraw-answers")
        _share_answers(context, by, threshold, is_withdrawn=withdraw)
        return
    with interruption.listening():
        found, grouped = pool_duplicates(
            context.workspace(),
            context.config(),
            by=by,
            threshold=threshold,
            keeps_together=keep_together,
            emit=context.listener(),
        )
    document = {
        "by": found.by,
        "threshold": found.threshold,
        "compared": found.compared,
        "groups": [[show(item.sample_id) for item in group] for group in found.groups],
        "grouped": grouped,
    }
    if context.printed_json(document):
        return
    unit = "bits of the hash" if found.by == "hash" else "cosine distance of the features"
    print(
        f"{_counted(len(found.groups), 'group')} of near duplicates among "
        f"{_counted(found.compared, 'image')} (up to {found.threshold:g} {unit})"
    )
    for group in found.groups[:_LISTED]:
        more = ", ..." if len(group) > _LISTED else ""
        print(f"  {', '.join(show(item.sample_id) for item in group[:_LISTED])}{more}")
    if len(found.groups) > _LISTED:
        print(f"  ... and {len(found.groups) - _LISTED:,} more groups (--json lists all)")
    if keep_together:
        context.note(f"{_counted(grouped, 'image')} got a group and will be held out together")


def _share_answers(
    context: Context, by: Compared, threshold: float | None, *, is_withdrawn: bool
) -> None:
    from dgaal_cli import interruption
    from dgaal_cli.api.pool import share_answers, withdraw_shared_answers

    workspace = context.workspace()
    if is_withdrawn:
        count = withdraw_shared_answers(workspace)
        if not context.printed_json({"withdrawn": count}):
            print(f"{_counted(count, 'shared label')} withdrawn")
        return
    with interruption.listening():
        done = share_answers(
            workspace, context.config(), by=by, threshold=threshold, emit=context.listener()
        )
    if context.printed_json(done):
        return
    print(f"images with the label of a near duplicate: {done.shared:,}")
    if done.withdrawn:
        print(f"images that no longer have one: {done.withdrawn:,}")
    if done.contradictions:
        context.note(
            f"groups that share no label, because their images have different ones: "
            f"{done.contradictions:,}"
        )
