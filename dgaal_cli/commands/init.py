"""``dgaal init``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dgaal_cli.commands._context import Context
from dgaal_cli.commands._options import NetworkFolder
from dgaal_cli.errors import InputDataError, StorageError, UsageError
from dgaal_cli.escaping import show
from dgaal_cli.methods.registry import METHODS
from dgaal_cli.workspace import keep_private

if TYPE_CHECKING:
    from dgaal_cli.api.init import InitResult
    from dgaal_cli.rounds.test_source import TestReport


Pages = Literal["first", "each", "max"]

_NAMED = 10
"""Max. number of classes that are named."""


def init(
    ctx: typer.Context,
    directory: Annotated[Path, typer.Argument(help="Folder of the workspace.")] = Path(),
    pool: Annotated[
        str,
        typer.Option(
            help="Images to choose from: a folder, manifest, .npz, archive, builtin:digits ..."
        ),
    ] = "",
    test: Annotated[
        str,
        typer.Option(help="Labeled images used only to measure accuracy; same forms as --pool."),
    ] = "",
    classes: Annotated[str, typer.Option(help="Class names, comma-separated.")] = "",
    classes_from: Annotated[
        Path | None, typer.Option(help="File with one class name per line.")
    ] = None,
    class_map: Annotated[
        Path | None,
        typer.Option(
            help="CSV file with the columns label and name: the class of each label of SOURCE, "
            "for folders like n01440764 or numbers."
        ),
    ] = None,
    method: Annotated[
        str, typer.Option(help=f"Method that chooses images: {', '.join(METHODS)}.")
    ] = "dgaal",
    preset: Annotated[
        str,
        typer.Option(
            help="Sizes and schedules: tiny, small, cifar10-paper, cifar10-fast, imagenette; "
            "default: tiny for gray pools, small for color."
        ),
    ] = "",
    seed: Annotated[int, typer.Option(help="Random seed.", min=0)] = 0,
    query_size: Annotated[int, typer.Option(help="Images asked per round.", min=1)] = 24,
    budget: Annotated[
        int, typer.Option(help="Total number of labels allowed; 0 = no limit.", min=0)
    ] = 0,
    name: Annotated[str, typer.Option(help="Workspace name shown in the terminal.")] = "",
    labels_from_source: Annotated[
        bool, typer.Option("--labels-from-source", help="Import the labels that SOURCE contains.")
    ] = False,
    encoder: Annotated[
        str,
        typer.Option(
            help="Pretrained encoder: auto, pixels (none), package:efficientnet-lite0, FILE.onnx, "
            "timm:NAME or timm:NAME@WEIGHTS."
        ),
    ] = "pixels",
    download: Annotated[
        bool, typer.Option("--download", help="Allow to download the weights of a timm model.")
    ] = False,
    sample_range: Annotated[
        str,
        typer.Option(
            "--range",
            help="Samples that are black and full brightness, in images of more than 8 bits: "
            "LOW,HIGH, percentiles like 1%,99%, full (as each file states), or auto (from the "
            "pixels, if the images are dark or have no defined brightness).",
        ),
    ] = "auto",
    group_by: Annotated[
        str,
        typer.Option(
            help="Images that are held out together, such as those of a patient: folder, or a "
            "regular expression with one group, applied to names. A manifest may have a column "
            "group instead."
        ),
    ] = "",
    pages: Annotated[
        Pages,
        typer.Option(
            help="What is used of TIFF and DICOM files with several pages: the first, each as an "
            "image, or max, the brightest sample of all."
        ),
    ] = "first",
    accepts_network_folder: NetworkFolder = False,
) -> None:
    """Create a workspace for a pool of images."""
    from dgaal_cli import interruption
    from dgaal_cli.api.init import InitRequest
    from dgaal_cli.api.init import init as make

    context: Context = ctx.obj
    if not pool:
        raise UsageError(
            "init needs images: dgaal init DIR --pool SOURCE "
            "(a folder, a manifest, an .npz, an archive, builtin:digits)"
        )
    request = InitRequest(
        root=(context.directory or Path()) / directory,
        pool=pool,
        base=context.base,
        test=test,
        classes=_class_names(classes, classes_from),
        method=method,
        preset=preset,
        name=name,
        seed=seed,
        query_size=query_size,
        budget=budget,
        imports_labels=labels_from_source,
        accepts_network_folder=accepts_network_folder,
        encoder=encoder,
        downloads=download,
        sample_range=sample_range,
        group_by=group_by,
        pages=pages,
        class_map=None if class_map is None else context.base / class_map,
    )
    keep_private(request.root)
    with interruption.listening():
        result = make(request, emit=context.listener())
    document = {
        "workspace": result.workspace.root,
        "images": result.images,
        "duplicates": result.duplicates,
        "unreadable": [{"id": show(i), "reason": why} for i, why in result.unreadable],
        "classes": result.classes,
        "preset": result.config.preset,
        "labels": result.labels,
        "splits": result.splits,
        "conflicting": [
            [{"id": show(name), "label": label} for name, label in copies]
            for copies in result.conflicting
        ],
        "image_size": result.config.pool.image_size,
        "channels": result.config.pool.channels,
        "encoder": result.config.encoder.source,
        "encoder_note": result.encoder_note,
        "range": list(result.config.pool.range),
        "range_note": result.range_note,
        "paged": [show(name) for name in result.paged],
        "by_server": [show(name) for name in result.by_server],
        "groups": result.groups,
        "grouped": result.grouped,
        "test": _test_document(result.test),
    }
    if not context.printed_json(document):
        _print_result(context, result)
    if result.unreadable or (result.test is not None and result.test.unreadable):
        raise typer.Exit(3)


def _print_result(context: Context, made: "InitResult") -> None:
    root, preset = show(str(made.workspace.root)), made.config.preset
    print(f"workspace {root}: {made.images} images, {made.labels} labels, preset {preset}")
    if made.duplicates:
        context.note(
            f"{made.duplicates} files are byte-identical to others; each image is asked once"
        )
    for name, why in made.unreadable[:5]:
        context.note(f"unreadable: {show(name)}: {why}")
    if len(made.unreadable) > 5:
        context.note(f"... and {len(made.unreadable) - 5} more; 'dgaal status --json' lists all")
    _print_notes(context, made)
    if made.labels or made.conflicting:
        _print_labels(context, made)
    else:
        _print_splits(context, made)
    if made.test is not None:
        _print_test(context, made.test)
    if made.offered:
        context.note(
            f"the source has labels of {made.offered} images; they were not imported "
            "(--labels-from-source imports them)"
        )
    if not made.classes:
        context.note("no classes yet: add them with the key 'a' while labeling, or with 'init'")
    context.note(f"next: dgaal -C {root} label")


def _print_notes(context: Context, made: "InitResult") -> None:
    """Say how images are read and which belong together."""
    for note in filter(None, (made.note, made.encoder_note, made.range_note)):
        context.note(show(note))
    if made.paged:
        context.note(
            f"only the first page or frame is used of {len(made.paged):,} files that have more, "
            f"such as {show(made.paged[0])}; '--pages each' makes each page of TIFF and DICOM an "
            "image, '--pages max' uses the brightest sample of all"
        )
    if made.by_server:
        context.note(
            f"{len(made.by_server):,} images, such as {show(made.by_server[0])}, are in folders of "
            "a file server for thumbnails and deleted files; to leave them out, remove these "
            "folders and run 'dgaal pool update'"
        )
    if made.groups or made.config.pool.group_by:
        alone = made.images - made.grouped
        context.note(
            f"groups: {made.groups:,}; images that are a group of their own: {alone:,}; images of "
            "a group are held out together"
        )


def _test_document(test: "TestReport | None") -> dict[str, Any] | None:
    if test is None:
        return None
    return {
        "images": test.images,
        "unlabeled": test.unlabeled,
        "unreadable": [{"id": show(i), "reason": why} for i, why in test.unreadable],
        "leaked": [show(i) for i in test.leaked],
        "shared_groups": [show(i) for i in test.shared_groups],
    }


def _print_test(context: Context, test: "TestReport") -> None:
    """Say which test images are used."""
    unlabeled = f"; {test.unlabeled:,} without a label are not used" if test.unlabeled else ""
    context.note(f"test images: {test.images:,}{unlabeled}")
    for name, why in test.unreadable[:5]:
        context.note(f"unreadable test image, left out: {show(name)}: {why}")
    if len(test.unreadable) > 5:
        context.note(f"... and {len(test.unreadable) - 5:,} more (--json lists all)")
    if test.leaked:
        context.note(
            f"{len(test.leaked):,} test images are in the pool too, such as "
            f"{show(test.leaked[0])}: accuracy is measured too high once they are labeled; "
            "remove them from the pool or from the test images"
        )
    if test.shared_groups:
        context.note(
            f"{len(test.shared_groups):,} test images are of groups that are in the pool too, such "
            f"as {show(test.shared_groups[0])}: accuracy is measured too high once images of these "
            "groups are labeled; keep each group in the pool or in the test images"
        )


def _print_splits(context: Context, made: "InitResult") -> None:
    """Say that the splits of a pool are asked alike, if the labels of the source are not read."""
    if len(made.splits) > 1:
        context.note(
            f"the pool has splits ({', '.join(map(show, made.splits))}), whose images are asked "
            f"and learned alike; append #{show(made.splits[-1])} to the pool to take one of them"
        )


def _print_labels(context: Context, made: "InitResult") -> None:
    """Say how the names of folders and files were understood."""
    splits = f"; splits: {', '.join(map(show, made.splits))}" if made.splits else ""
    shown = ", ".join(map(show, made.classes[:_NAMED]))
    more = f", ... ({len(made.classes):,})" if len(made.classes) > _NAMED else ""
    unlabeled = made.images - made.labels
    context.note(f"classes: {shown}{more}{splits}; images without a label: {unlabeled:,}")
    if made.conflicting:
        copies = " = ".join(f"{show(name)} ({show(label)})" for name, label in made.conflicting[0])
        others = f" and {len(made.conflicting) - 1:,} more" if len(made.conflicting) > 1 else ""
        context.note(
            f"equal files with different labels have no label now: {copies}{others}; "
            "label them, or remove one copy of each"
        )


def _class_names(classes: str, classes_from: Path | None) -> list[str]:
    if classes and classes_from:
        raise UsageError("give --classes or --classes-from, not both")
    if classes_from is None:
        return [name.strip() for name in classes.split(",")] if classes else []
    try:
        lines = classes_from.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputDataError(f"{classes_from} is not UTF-8 text") from error
    except OSError as error:
        raise StorageError(f"cannot read {classes_from}: {error.strerror}") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise InputDataError(f"{classes_from} contains no class; write one name per line")
    return names
