"""``dgaal labels``: export and import, history, classes, disputes, and store maintenance."""

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from dgaal_cli.commands._context import Context
from dgaal_cli.commands._options import NetworkFolder
from dgaal_cli.errors import UsageError, WorkspaceError
from dgaal_cli.escaping import show, spell
from dgaal_cli.ids import SampleId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dgaal_cli.api.labels import Conflict, ImportedLabels, LoggedEvent
    from dgaal_cli.labeling.class_list import ListedClass
    from dgaal_cli.labeling.label_errors import SuspectLabel
    from dgaal_cli.store.records import DisputedItem, OverruledAnswer
    from dgaal_cli.workspace import Workspace

app = typer.Typer(
    name="labels",
    help="Export and import labels, their history, classes, disputes, and store maintenance.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_LISTED = 10
"""Max. number of conflicts of an import that are printed."""
_NAMED = 3
"""Max. number of images that are named for each reason."""
_REASONS = {
    "decided": "the image has a decision",
    "outvoted": "more annotators gave another label",
    "later": "another annotator answered earlier",
    "source": "labels of the source count only without another answer",
}
_Found = TypeVar("_Found", bound="Conflict | OverruledAnswer | SuspectLabel")
FormatName = Literal[
    "csv", "jsonl", "imagefolder", "coco", "labelstudio", "fiftyone", "hf", "doccano", "prodigy"
]


@app.command("export")
def export_command(
    ctx: typer.Context,
    format: Annotated[  # noqa: A002
        FormatName | None,
        typer.Option("--format", "-f", help="Default: by the suffix of -o; jsonl on stdout."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File or new folder; default, or -: stdout."),
    ] = None,
    link: Annotated[
        Literal["symlink", "hardlink", "copy"],
        typer.Option(help="How folder formats refer to the pool's images."),
    ] = "symlink",
    include_synthetic: Annotated[
        bool, typer.Option("--include-synthetic", help="Include synthetic images.")
    ] = False,
) -> None:
    """Export the labels; jsonl is lossless, the other formats have one label per image."""
    from dgaal_cli.api.labels import export_labels
    from dgaal_cli.store.exchange.registry import guess_format

    context: Context = ctx.obj
    if output == Path("-"):
        output = None
    if output is None and context.json:
        raise UsageError("--json prints a report on stdout; write the labels to a file with -o")
    name = format or ("jsonl" if output is None else guess_format(output))
    result = export_labels(
        context.workspace(),
        context.config(),
        format=name,
        target=sys.stdout.buffer if output is None else output,
        link=link,
        include_synthetic=include_synthetic,
    )
    spelled = tuple(SampleId(spell(name)) for name in result.without_file)
    if context.printed_json(replace(result, without_file=spelled)):
        return
    where = "stdout" if result.path is None else show(str(result.path))
    left = ""
    if result.left_out:
        left = f"; {result.left_out:,} of synthetic images omitted (--include-synthetic)"
    if result.predicted:
        left += f"; {result.predicted:,} of them are predicted, not labels (provenance: predicted)"
    if result.predicted_left_out:
        left += (
            f"; {result.predicted_left_out:,} accepted predictions left out, because "
            f"{result.format} cannot mark them: csv, jsonl, coco, labelstudio and hf can"
        )
    if result.without_file:
        names = ", ".join(show(name) for name in result.without_file[:_NAMED])
        left += (
            f"; {len(result.without_file):,} left out, because their files have other content now "
            f"({names}{', ...' if len(result.without_file) > _NAMED else ''}): jsonl, csv and coco "
            "hold them"
        )
    context.note(f"{result.count:,} labels as {result.format} to {where}{left}")


@app.command("import")
def import_command(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(help="File or folder to read.")],
    format: Annotated[  # noqa: A002
        FormatName | None, typer.Option("--format", "-f", help="Default: by the suffix.")
    ] = None,
    annotator: Annotated[
        str | None, typer.Option(help="Annotator of labels without one in the file.")
    ] = None,
    add_classes: Annotated[
        bool, typer.Option("--add-classes", help="Add classes with unknown names.")
    ] = False,
    replace_labels: Annotated[
        bool,
        typer.Option("--replace", help="Each label of the file counts, whatever others answered."),
    ] = False,
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Leave out labels of unknown images.")
    ] = False,
    control: Annotated[
        str | None, typer.Option(help="Choices control (labelstudio) or column (csv) of the class.")
    ] = None,
    image_key: Annotated[
        str | None,
        typer.Option(help="Key in a task's data (labelstudio) or column (csv) of the image."),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(help="Folder that the file's names are relative to; default: the pool's."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the file without changing anything.")
    ] = False,
) -> None:
    """Import labels: all in one transaction, or none and an error that names the line.

    From a jsonl export of a copy of this workspace, each annotator's newest answer counts.
    """
    from dgaal_cli.api.labels import import_labels
    from dgaal_cli.labeling.annotators import default_annotator

    context: Context = ctx.obj
    reading = {"control": control, "image_key": image_key}
    folder = None if root is None else context.base / root
    result = import_labels(
        context.checked_workspace(),
        path,
        format=format,
        annotator=annotator or default_annotator(),
        add_classes=add_classes,
        replaces=replace_labels,
        skips_unknown=skip_unknown,
        reading={key: value for key, value in reading.items() if value is not None},
        root=folder,
        is_dry_run=dry_run,
    )
    _print_import(context, result, path)


@app.command("log")
def log_command(
    ctx: typer.Context,
    count: Annotated[
        int, typer.Option("--count", "-n", help="Number of newest events.", min=1)
    ] = 20,
    is_all: Annotated[bool, typer.Option("--all", help="Show the whole history.")] = False,
    annotator: Annotated[str | None, typer.Option(help="Only events of this annotator.")] = None,
) -> None:
    """Show answers, undos and imports, newest first."""
    from dgaal_cli.api.labels import label_log

    context: Context = ctx.obj
    events = label_log(
        context.checked_workspace(), count=None if is_all else count, annotator=annotator
    )
    if context.printed_json([_event(event) for event in events]):
        return
    for event in events:
        print(_line(event))


@app.command("stats")
def stats_command(ctx: typer.Context) -> None:
    """Count labels by class, annotator and provenance."""
    from dgaal_cli.labeling.label_stats import label_stats

    context: Context = ctx.obj
    stats = label_stats(context.checked_workspace())
    if context.printed_json(stats):
        return
    counts = stats.counts
    print(
        f"{counts.labeled:,} of {counts.items:,} images labeled, {counts.cannot_tell:,} cannot "
        f"tell, {counts.unlabeled:,} unlabeled; {counts.flagged:,} flagged, "
        f"{stats.disagreements:,} disputed, {counts.quarantined:,} unreadable"
    )
    print(f"synthetic: {counts.synthetic_labeled:,} of {counts.synthetic:,} labeled")
    for title, rows in (
        ("class", stats.by_class),
        ("annotator", stats.by_annotator),
        ("provenance", stats.by_provenance),
    ):
        for name, number in rows:
            print(f"{title:<11} {number:>7,}  {show(name)}")
    if stats.median_ms is not None:
        print(f"median time per answer: {stats.median_ms / 1000:.1f} s")


@app.command("classes")
def classes_command(
    ctx: typer.Context,
    add: Annotated[str | None, typer.Option(metavar="NAME", help="Append a class.")] = None,
    rename: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="OLD NEW", help="Rename a class; its labels stay."),
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="Move these classes to the front, in this order."),
    ] = None,
    remove: Annotated[
        str | None, typer.Option(metavar="NAME", help="Remove a class that has no labels.")
    ] = None,
    merge: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="OLD INTO", help="Give the labels of a class another one; remove it."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Ask the images of a class again, with those of --into."),
    ] = None,
    into: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="Classes that replace the one of --split."),
    ] = None,
    undo_split: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Restore a class that was split, and its answers."),
    ] = None,
) -> None:
    """List or change the classes; except after --rename, run 'dgaal train' before the next query.

    A class is identified by a hidden number: its labels stay when it is renamed or moved.
    """
    from dgaal_cli.labeling import class_list

    context: Context = ctx.obj
    if sum(o is not None for o in (add, rename, order, remove, merge, split, undo_split)) > 1:
        raise UsageError(
            "use only one of --add, --rename, --order, --remove, --merge, --split and --undo-split"
        )
    workspace = context.checked_workspace()
    if add is not None:
        found = class_list.add_class(workspace, add)
    elif rename is not None:
        found = class_list.rename_class(workspace, *rename)
    elif order is not None:
        found = class_list.order_classes(workspace, [n.strip() for n in order.split(",")])
    elif remove is not None:
        found = class_list.remove_class(workspace, remove)
    elif merge is not None:
        found = class_list.merge_classes(workspace, *merge)
    else:
        found = _split_or_list(context, workspace, split, into, undo_split)
    if context.printed_json(found):
        return
    for listed in found:
        key = f"  (key {show(listed.key)})" if listed.key else ""
        print(f"{listed.labels:>7,}  {show(listed.name)}{key}")


def _split_or_list(
    context: Context,
    workspace: "Workspace",
    split: str | None,
    into: str | None,
    undone: str | None,
) -> "list[ListedClass]":
    """Split a class, undo a split, or only list the classes; return the list."""
    from dgaal_cli.labeling import class_list, class_split

    if (split is None) != (into is None):
        raise UsageError("--split and --into belong together: --split dog --into poodle,terrier")
    if split is not None and into is not None:
        found, count = class_split.split_class(workspace, context.config(), split, into.split(","))
        context.note(f"{count:,} images are asked again: {context.dgaal} label")
        return found
    if undone is not None:
        found, count = class_split.undo_split(workspace, undone)
        context.note(f"{count:,} answers are restored")
        return found
    return class_list.class_list(workspace)


@app.command("disputes")
def disputes_command(ctx: typer.Context) -> None:
    """List images with different answers: each annotator's answer and the current label."""
    from dgaal_cli.labeling.disputes import iter_disputes

    context: Context = ctx.obj
    found = iter_disputes(context.checked_workspace())
    if context.printed_json_array(map(_dispute, found)):
        return
    count = 0
    for dispute in found:
        count += 1
        answers = "; ".join(f"{show(who)}: {_class(name)}" for who, name in dispute.answers)
        print(f"{spell(dispute.sample_id)}  {answers}  (counts: {_class(dispute.current)})")
    context.note(
        f"{count:,} disputed"
        + (f"; decide one with {context.dgaal} labels adjudicate IMAGE CLASS" if count else "")
    )


@app.command("adjudicate")
def adjudicate_command(
    ctx: typer.Context,
    image: Annotated[str, typer.Argument(help="Image, as listed by 'dgaal labels disputes'.")],
    class_name: Annotated[str, typer.Argument(metavar="CLASS", help="Class to assign.")],
    annotator: Annotated[
        str | None, typer.Option(help="Reviewer name; default: the operating system's user.")
    ] = None,
    note: Annotated[str, typer.Option(help="Reason, stored in the history.")] = "",
) -> None:
    """Set the final class of an image; the answers of all annotators are kept."""
    from dgaal_cli.labeling.annotators import default_annotator
    from dgaal_cli.labeling.disputes import adjudicate

    context: Context = ctx.obj
    who = annotator or default_annotator()
    result = adjudicate(context.checked_workspace(), image, class_name, annotator=who, note=note)
    if context.printed_json(replace(result, sample_id=SampleId(spell(result.sample_id)))):
        return
    print(
        f"{spell(result.sample_id)} is {show(result.class_name)}, "
        f"decided by {show(result.annotator)}"
    )
    context.note(f"{result.left:,} disputed images left")


@app.command("errors")
def errors_command(
    ctx: typer.Context,
    top: Annotated[int, typer.Option(help="Number of labels to print.", min=1)] = 20,
    flag: Annotated[
        int, typer.Option(help="Flag so many of the first images, for the review.", min=0)
    ] = 0,
    annotator: Annotated[
        str | None, typer.Option(help="Who flags; default: the operating system's user.")
    ] = None,
) -> None:
    """List labels that are likely wrong: those that a model of the other labels contradicts."""
    from dgaal_cli.labeling.annotators import default_annotator
    from dgaal_cli.labeling.label_errors import label_errors

    context: Context = ctx.obj
    found = label_errors(
        context.workspace(),
        context.config(),
        flag=flag,
        annotator=annotator or default_annotator(),
        emit=context.listener(),
    )
    listed = found.suspects[:top]
    if context.printed_json(replace(found, suspects=tuple(map(_spelled, listed)))):
        return
    for suspect in listed:
        print(
            f"{spell(suspect.sample_id)}  is {show(suspect.given)} "
            f"({suspect.given_probability:.1%}), may be {show(suspect.suggested)} "
            f"({suspect.suggested_probability:.1%})"
        )
    more = len(found.suspects) - len(listed)
    context.note(
        f"{len(found.suspects):,} of {found.checked:,} checked labels are likely wrong"
        + (f"; {more:,} more with --top {len(found.suspects)}" if more else "")
        + (f"; {found.unchecked:,} labels could not be checked" if found.unchecked else "")
    )
    if found.flagged:
        context.note(f"{found.flagged:,} flagged; look at them with {context.dgaal} label, key r")


@app.command("accept-predicted")
def accept_predicted_command(
    ctx: typer.Context,
    max_error: Annotated[
        float | None, typer.Option(help="Share of wrong predictions that is allowed, as 0.02.")
    ] = None,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Take all accepted predictions back.")
    ] = False,
    annotator: Annotated[
        str | None, typer.Option(help="Who accepts; default: the operating system's user.")
    ] = None,
) -> None:
    """Accept the model's predictions for the rest of the pool, if an audit shows a small error.

    They are no labels: exports mark them as predicted, nothing learns them, and each answer of a
    person counts instead. Exits with 5 if the audit does not show that the error is small enough.
    """
    context: Context = ctx.obj
    if (max_error is None) == (not revoke):
        raise UsageError("give --max-error, as 0.02, or --revoke")
    from dgaal_cli.api.accept_predicted import accept_predicted, revoke_accepted
    from dgaal_cli.labeling.annotators import default_annotator

    workspace = context.checked_workspace()
    if max_error is None:
        was_revoked = revoke_accepted(workspace)
        if not context.printed_json({"revoked": was_revoked}):
            print("accepted predictions revoked" if was_revoked else "no predictions are accepted")
        return
    who = annotator or default_annotator()
    found = accept_predicted(workspace, context.config(), max_error=max_error, annotator=who)
    if context.printed_json(found):
        return
    print(
        f"{found.count:,} predictions accepted: at most {found.error_at_most:.1%} are wrong "
        f"({found.audited} audited images, at {found.level:.0%}); {found.left:,} images are left"
    )
    context.note(f"next: {context.dgaal} labels export; take them back with --revoke")


@app.command("check")
def check_command(
    ctx: typer.Context,
    mend: Annotated[
        bool, typer.Option("--mend", help="Recompute the current labels from the history.")
    ] = False,
    i_know: NetworkFolder = False,
) -> None:
    """Check the store: pages, references, and that the current labels match the history."""
    from dgaal_cli.api.labels import check

    context: Context = ctx.obj
    result = check(context.workspace(), repairs=mend, accepts_network_folder=i_know)
    is_printed = context.printed_json(result)
    if result.problems:
        raise WorkspaceError(
            f"the label store has problems: {'; '.join(result.problems)}. "
            "Run 'dgaal labels check --mend', or 'dgaal labels restore' to use a backup"
        )
    if not is_printed:
        repaired = f", {result.mended:,} rows repaired" if result.mended else ""
        print(f"no problems: {result.events:,} events, {len(result.backups)} backups{repaired}")


@app.command("backup")
def backup_command(
    ctx: typer.Context,
    full: Annotated[
        bool, typer.Option("--full", help="Write a copy that needs no other file.")
    ] = False,
) -> None:
    """Write a verified backup of the store and print its path; at least five are kept.

    A backup contains what is new since the backup before and needs the older files next to it.
    """
    from dgaal_cli.api.labels import backup

    context: Context = ctx.obj
    made = backup(context.workspace(), is_full=full)
    if not context.printed_json({"backup": made}):
        print(show(str(made)))


@app.command("restore")
def restore_command(
    ctx: typer.Context,
    copy: Annotated[
        Path | None, typer.Argument(help="Backup to use; default: the newest valid one.")
    ] = None,
) -> None:
    """Replace the store by a backup; the old store is renamed, never deleted."""
    from dgaal_cli.api.labels import restore

    context: Context = ctx.obj
    result = restore(context.workspace(), copy)
    if context.printed_json(result):
        return
    print(f"restored {result.events:,} events from {show(str(result.backup))}")
    if result.missing is None:
        context.note("the newest backup is damaged; it is not known how many events it had")
    elif result.missing:
        reason = "" if copy else ", which are damaged"
        context.note(f"{result.missing:,} more events are in newer backups{reason}")
    if result.set_aside is not None:
        context.note(f"the previous store is now {show(str(result.set_aside))}")


def _print_import(context: Context, result: "ImportedLabels", path: Path) -> None:
    spelled = [_spelled(conflict) for conflict in result.conflicts]
    overruled = [_spelled(answer) for answer in result.overruled]
    if context.printed_json(replace(result, conflicts=tuple(spelled), overruled=tuple(overruled))):
        return
    verb = "would import" if result.is_dry_run else "imported"
    counts = f"{result.added:,} new, {result.replaced:,} changed, {result.unchanged:,} as before"
    if result.older:
        counts += f", {result.older:,} older"
    print(f"{verb} {result.added + result.replaced:,} labels from {show(str(path))} ({counts})")
    if result.left_out:
        print(f"left out: {result.left_out:,} of synthetic images that are not in this workspace")
    _print_images(result)
    if result.passed_over:
        kinds = ", ".join(f"{number:,} {kind}" for kind, number in result.passed_over.items())
        print(f"passed over: {kinds}")
    if result.cleared:
        print(
            f"without a label now: {result.cleared:,} that the export had; they keep their labels "
            "here, change them with 'dgaal label --review'"
        )
    if overruled:
        _print_overruled(context, overruled)
    _print_conflicts(spelled)
    if result.new_classes:
        print(f"new classes: {', '.join(show(name) for name in result.new_classes)}")


def _spelled(found: _Found) -> _Found:
    """Return ``found`` with its name spelled; no copy of most, since there may be a million."""
    name = SampleId(spell(found.sample_id))
    return found if name == found.sample_id else replace(found, sample_id=name)


def _print_conflicts(spelled: "Sequence[Conflict]") -> None:
    if not spelled:
        return
    print(f"{len(spelled):,} answers differ between the copies; the newer one counts:")
    for conflict in spelled[:_LISTED]:
        print(
            f"  {conflict.sample_id}  {show(conflict.annotator)}: "
            f"{show(conflict.kept)} ({_moment(conflict.kept_at)}), "
            f"not {show(conflict.dropped)} ({_moment(conflict.dropped_at)})"
        )
    if len(spelled) > _LISTED:
        print(f"  and {len(spelled) - _LISTED:,} more; --json lists all")


def _print_images(result: "ImportedLabels") -> None:
    """Name images that were skipped, and those that were found by a part of their path."""
    if result.unknown:
        names = ", ".join(map(show, result.unknown[:_LISTED]))
        more = ", ..." if len(result.unknown) > _LISTED else ""
        print(f"skipped: {len(result.unknown):,} of unknown images ({names}{more})")
    if result.by_part:
        pairs = [f"{show(name)} is {spell(found)}" for name, found in result.by_part.items()]
        more = ", ..." if len(pairs) > _NAMED else ""
        print(
            f"found by a part of the path: {len(pairs):,} images "
            f"({', '.join(pairs[:_NAMED])}{more})"
        )


def _print_overruled(context: Context, answers: "Sequence[OverruledAnswer]") -> None:
    print(f"{len(answers):,} labels of the file do not count, because")
    for because, reason in _REASONS.items():
        names = [answer.sample_id for answer in answers if answer.because == because]
        if names:
            more = ", ..." if len(names) > _NAMED else ""
            print(f"  {reason}: {len(names):,} ({', '.join(names[:_NAMED])}{more})")
    context.note("import the file with --replace to make them count")


def _moment(at: str) -> str:
    return at[:19].replace("T", " ")


def _dispute(found: "DisputedItem") -> dict[str, Any]:
    return {
        "item_id": found.item_id,
        "sample_id": spell(found.sample_id),
        "answers": found.answers,
        "stands": found.current,
    }


def _class(name: str | None) -> str:
    return "cannot tell" if name is None else show(name)


def _event(logged: "LoggedEvent") -> dict[str, Any]:
    found = {**asdict(logged.event), "sample_id": show(logged.event.sample_id)}
    del found["label"]
    return {**found, "class_uid": logged.class_uid, "class_name": logged.text}


def _line(logged: "LoggedEvent") -> str:
    event = logged.event
    action = event.kind
    if logged.text or event.kind != event.says:
        action += f" {show(logged.text) if logged.text else event.says}"
    if event.refers_to is not None:
        action += f" of #{event.refers_to}"
    reason = "older" if event.kind == "import" else "late"
    late = "" if event.is_counted else f"  ({reason}, not counted)"
    moment = _moment(event.at)
    who = show(event.annotator)
    return f"#{event.event_id:<6} {moment}  {who}  {action}  {show(event.sample_id)}{late}"
