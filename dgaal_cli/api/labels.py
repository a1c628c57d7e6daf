"""Export and import labels; their history, classes and disputes; check and back up the store."""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dgaal_cli.atomic import assembling, replacing
from dgaal_cli.config.schema import Config
from dgaal_cli.data.decoders.page_bytes import has_page
from dgaal_cli.data.decoders.process import DecoderProcess
from dgaal_cli.data.decoders.registry import find_format
from dgaal_cli.data.known_files import KnownFiles
from dgaal_cli.data.presence import folder_of
from dgaal_cli.data.sample_range import rendering_of
from dgaal_cli.data.sources import Source, open_source
from dgaal_cli.errors import InputDataError, UsageError
from dgaal_cli.ids import ClassUid, SampleId
from dgaal_cli.labeling.class_list import (
    add_class,
    class_list,
    merge_classes,
    order_classes,
    remove_class,
    rename_class,
)
from dgaal_cli.labeling.class_split import split_class, undo_split
from dgaal_cli.labeling.disputes import adjudicate, disputes
from dgaal_cli.labeling.label_errors import label_errors
from dgaal_cli.labeling.label_stats import LabelStats, label_stats
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.reports.sheets import encode_png
from dgaal_cli.rounds.accepted_predictions import predicted_answers, read_accepted
from dgaal_cli.rounds.audit_entries import audited_images
from dgaal_cli.rounds.pool_comparison import is_aside
from dgaal_cli.store.exchange.base import ExportJob, FileFormat, LabelText, Link
from dgaal_cli.store.exchange.registry import guess_format, load_format
from dgaal_cli.store.exchange.resolve import resolve
from dgaal_cli.store.exchange.rooted import relative_to_pool
from dgaal_cli.store.open import open_store, store_location
from dgaal_cli.store.records import (
    AnswerRecord,
    DatedAnswer,
    EventRecord,
    MergeConflict,
    OverruledAnswer,
    Restored,
)
from dgaal_cli.tasks.registry import workspace_task
from dgaal_cli.workspace import Workspace

__all__ = [
    "Conflict",
    "ExportedLabels",
    "ImportedLabels",
    "LabelStats",
    "LoggedEvent",
    "StoreCheck",
]
__all__ += ["Restored", "backup", "check", "restore"]
__all__ += ["export_labels", "import_labels", "label_log", "label_stats"]
__all__ += ["add_class", "class_list", "merge_classes", "order_classes"]
__all__ += ["remove_class", "rename_class", "split_class", "undo_split"]
__all__ += ["adjudicate", "disputes", "label_errors"]


_MARKING = ("csv", "jsonl", "coco", "labelstudio", "hf")
"""Formats that state for each label where it is from."""
_UNLABELED = {
    "cannot_tell": "cannot tell",
    "skip": "skipped",
    "undo": "undone",
    "flag": "flagged",
    "unflag": "not flagged",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedLabels:
    """What ``export_labels`` wrote."""

    format: str
    path: Path | None
    """None for a stream."""
    count: int
    left_out: int
    """What the format would hold of synthetic images, answers or labels, not written because
    ``--include-synthetic`` was not set."""
    predicted: int = 0
    """Accepted predictions among ``count``; they are no labels and are marked as predicted."""
    predicted_left_out: int = 0
    """Accepted predictions that were not written, because the format cannot mark them."""
    without_file: tuple[SampleId, ...] = ()
    """Labeled images that a folder format left out, because ``pool update`` accepted other content
    for their file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Two different answers of one annotator to one image, in two copies of a workspace."""

    sample_id: SampleId
    annotator: str
    kept: str
    """The newer answer, which counts, as text."""
    kept_at: str
    """ISO 8601, UTC."""
    dropped: str
    """The older answer, which stays in the history, as text."""
    dropped_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedLabels:
    """Changes that ``import_labels`` made, or would make in a dry run."""

    format: str
    added: int
    replaced: int
    unchanged: int
    older: int
    """Answers older than another one of the same annotator, kept in the history only."""
    left_out: int
    """Answers to synthetic images that this workspace does not have."""
    unknown: tuple[str, ...]
    """Images of lines that were skipped because this workspace does not have them."""
    by_part: Mapping[str, SampleId]
    """Images that were found by a part of their path, by the name in the file."""
    passed_over: Mapping[str, int]
    """Number of answers in the file that are no labels, by what they are."""
    cleared: int
    """Lines whose label was removed since the export; the labels stay."""
    conflicts: tuple[Conflict, ...]
    overruled: tuple[OverruledAnswer, ...]
    """Labels of the file that are stored but do not count, and why."""
    new_classes: tuple[str, ...]
    is_dry_run: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEvent:
    """One event of the history, with its label as text."""

    event: EventRecord
    class_uid: ClassUid | None
    """The class that the label names; None without a label, or if it names several."""
    text: str | None
    """The label as exchange formats write it; None without a label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCheck:
    """What ``check`` found."""

    problems: tuple[str, ...]
    mended: int
    """Rows of the current state that were recomputed."""
    events: int
    backups: tuple[Path, ...]
    """Newest first."""


def export_labels(
    workspace: Workspace,
    config: Config,
    *,
    format: str,  # noqa: A002 - the option's own word
    target: Path | BinaryIO,
    link: Link = "symlink",
    include_synthetic: bool = False,
) -> ExportedLabels:
    """Write the labels in an exchange format; an error leaves no partial file or folder.

    Args:
        workspace: Workspace whose labels are written.
        config: Configuration; names the pool for formats that include images.
        format: A name of ``store.exchange.registry.FORMATS``.
        target: File or new folder; a stream for formats that are one file.
        link: How folder formats include images that are files.
        include_synthetic: Write the labels of synthetic images too.

    Raises:
        UsageError: The format is unknown, the target folder exists, or the target is a file that
            is no export.
    """
    chosen = load_format(format)
    left_out, without_file = 0, list[SampleId]()

    def is_kept(answer: AnswerRecord) -> bool:
        return include_synthetic or not answer.is_synthetic

    def is_written(answer: AnswerRecord) -> bool:
        nonlocal left_out
        if include_synthetic or not answer.is_synthetic:
            return True
        left_out += 1
        return False

    def has_file(answer: AnswerRecord) -> bool:
        if answer.sample_id not in replaced or not is_aside(answer.sample_id, answer.sha256):
            return True
        without_file.append(answer.sample_id)
        return False

    path = target if isinstance(target, Path) else None
    with open_store(workspace, read_only=True) as store:
        replaced, effective = set[SampleId](), store.effective_answers()
        if not isinstance(chosen, FileFormat):
            replaced = {sample_id for sample_id, _ in store.replaced()}
            effective = filter(has_file, effective)
        accepted, text = read_accepted(workspace), workspace_task(workspace).text
        predicted = [] if accepted is None else list(predicted_answers(store, accepted, text))
        written = predicted if format in _MARKING else []
        job = ExportJob(
            answers=chain(filter(is_written, store.iter_answers()), written),
            labels=chain(filter(is_written, effective), written),
            distinct=store.distinct_labels(include_synthetic=include_synthetic),
            withdrawn=filter(is_kept, store.withdrawn()),
            classes=store.classes(),
            names=store.class_names(),
            text=text,
            images=_PoolImages(workspace, config),
            link=link,
            audited=frozenset(image.item_id for image in audited_images(store)),
        )
        if isinstance(chosen, FileFormat):
            if isinstance(target, Path):
                _check_target(target, chosen.head)
                with replacing(target) as stream:
                    count = chosen.write(stream, job)
            else:
                count = chosen.write(target, job)
        else:
            if path is None:
                raise UsageError(f"the format {format} is a folder; name it with -o")
            with assembling(path) as folder:
                count = chosen.fill(folder, job)
    return ExportedLabels(
        format=format,
        path=path,
        count=count,
        left_out=left_out,
        predicted=len(written),
        predicted_left_out=len(predicted) - len(written),
        without_file=tuple(without_file),
    )


def _check_target(target: Path, head: bytes) -> None:
    """Refuse to replace a file that is no export."""
    if not target.is_file():
        return
    with target.open("rb") as stream:
        found = stream.read(len(head))
    if found not in (b"", head):
        raise UsageError(
            f"{target} exists and is no export in this format; choose another name or remove it"
        )


def import_labels(  # noqa: PLR0913 - each is an option of the command
    workspace: Workspace,
    path: Path,
    *,
    format: str | None = None,  # noqa: A002 - the option's own word
    annotator: str = "import",
    add_classes: bool = False,
    replaces: bool = False,
    skips_unknown: bool = False,
    reading: Mapping[str, str] | None = None,
    root: Path | None = None,
    is_dry_run: bool = False,
) -> ImportedLabels:
    """Import labels from a file or folder: all of them in one transaction, or none.

    Args:
        workspace: Workspace to import into.
        path: File or folder to read.
        format: A name of ``store.exchange.registry.FORMATS``; None uses the suffix of ``path``.
        annotator: Annotator of labels for which the file names none, and who decides edited labels
            of images that several annotators answered.
        add_classes: Add unknown class names as new classes instead of raising an error.
        replaces: Make each label of the file the label of its image; where other annotators'
            answers would count, ``annotator`` decides.
        skips_unknown: Leave out lines about images that the workspace does not have.
        reading: Arguments of the format: for ``labelstudio`` and ``csv``, ``control`` and
            ``image_key``.
        root: Folder that the names in the file are relative to, if it is not the pool's folder;
            then a part of a path does not find an image.
        is_dry_run: Check everything, but change nothing.

    Raises:
        InputDataError: The file is invalid; the message names file, line and column.
        UsageError: ``root`` is given, but the pool is no folder.
    """
    if not path.exists():
        raise InputDataError(f"{path} does not exist")
    name = format or guess_format(path)
    if reading and name not in {"labelstudio", "csv"}:
        raise UsageError(
            f"--control and --image-key are for labelstudio and csv, and {path} is read as {name}"
        )
    lines = load_format(name, **(reading or {})).read(path)
    if root is not None:
        lines = relative_to_pool(lines, root=root, pool=_pool_folder(workspace))
    text = workspace_task(workspace).text
    with open_store(workspace) as store:
        found = resolve(
            store,
            lines,
            text=text,
            annotator=annotator,
            may_add_classes=add_classes,
            replaces=replaces,
            skips_unknown=skips_unknown,
        )
        report = store.import_labels(
            found.labels, new_classes=found.new_classes, is_dry_run=is_dry_run
        )
        names = store.class_names() | {record.uid: record.name for record in found.new_classes}
    return ImportedLabels(
        format=name,
        added=report.added,
        replaced=report.replaced,
        unchanged=report.unchanged + found.repeated + found.untouched,
        older=report.older,
        left_out=found.left_out,
        unknown=found.unknown,
        by_part=found.by_part,
        passed_over=found.passed_over,
        cleared=found.cleared,
        conflicts=tuple(_conflict(conflict, text, names) for conflict in report.conflicts),
        overruled=report.overruled,
        new_classes=tuple(record.name for record in found.new_classes),
        is_dry_run=is_dry_run,
    )


def _pool_folder(workspace: Workspace) -> Path:
    """Return the folder that the names of the pool's images are relative to."""
    spec = configuration(workspace).pool.source
    folder = folder_of(workspace.root, spec)
    if folder is None and spec.lower().endswith((".csv", ".jsonl")):
        folder = (workspace.root / spec).parent
    if folder is None:
        raise UsageError(
            f"--root states where files are, but the pool {spec} is no folder and no manifest; "
            "leave --root out"
        )
    return folder


def label_log(
    workspace: Workspace, *, count: int | None = None, annotator: str | None = None
) -> list[LoggedEvent]:
    """Return the history, newest first.

    Args:
        workspace: Workspace to read.
        count: Maximum number of events; None for all.
        annotator: Only return events of this annotator.
    """
    with open_store(workspace, read_only=True) as store:
        names = store.class_names()
        events = store.latest_events(2**62 if count is None else count, annotator=annotator)
    text = workspace_task(workspace).text
    return [
        LoggedEvent(
            event=event,
            class_uid=text.single_class(event.label) if event.label else None,
            text=text.to_text(event.label, names) if event.label else None,
        )
        for event in events
    ]


def check(
    workspace: Workspace, *, repairs: bool = False, accepts_network_folder: bool = False
) -> StoreCheck:
    """Check the store; with ``repairs``, recompute the current state from the events.

    Args:
        workspace: Workspace to check.
        repairs: Repair what a rebuild can repair.
        accepts_network_folder: Allow writing the store on a network file system from now on.

    Raises:
        WorkspaceError: The store is damaged, and a rebuild cannot repair it.
    """
    with open_store(
        workspace,
        read_only=not (repairs or accepts_network_folder),
        accepts_network_folder=accepts_network_folder,
        checks_all=True,
    ) as store:
        problems = tuple(store.check())
        mended = store.rebuild() if repairs and problems else 0
        if mended:
            problems = tuple(store.check())
        events = store.watermark()
    copies = tuple(store_location(workspace).backups())
    return StoreCheck(problems=problems, mended=mended, events=events, backups=copies)


def backup(workspace: Workspace, *, is_full: bool = False) -> Path:
    """Write a verified backup of the store and return its path.

    Args:
        workspace: Workspace of the store.
        is_full: Write a backup that needs no other file of the folder ``backups``.
    """
    with open_store(workspace) as store:
        return store.back_up(is_full=is_full)


def restore(workspace: Workspace, copy: Path | None = None) -> Restored:
    """Replace the store by a backup; the old store is renamed, never deleted.

    Args:
        workspace: Workspace to restore.
        copy: Backup to use; None uses the newest intact one.

    Raises:
        BusyError: A terminal or a training run uses the store.
        WorkspaceError: No backup is intact.
    """
    location = store_location(workspace)
    held = {path.stem for path in (workspace.root / ".locks").glob("label-*.lock")}
    with contextlib.ExitStack() as locks:
        for name in sorted(held | {"train"}):
            locks.enter_context(workspace.lock(name, doing="restoring the labels"))
        return location.restore(copy)


def _conflict(found: MergeConflict, text: LabelText, names: Mapping[ClassUid, str]) -> Conflict:
    def as_text(answer: DatedAnswer) -> str:
        return text.to_text(answer.label, names) if answer.label else _UNLABELED[answer.kind]

    return Conflict(
        sample_id=found.sample_id,
        annotator=found.annotator,
        kept=as_text(found.kept),
        kept_at=found.kept.at,
        dropped=as_text(found.dropped),
        dropped_at=found.dropped.at,
    )


class _PoolImages:
    """The workspace's images for folder formats; opens the pool at the first request."""

    def __init__(self, workspace: Workspace, config: Config) -> None:
        self._workspace = workspace
        self._spec = config.pool.source
        self._rendering = rendering_of(config.pool)

    @cached_property
    def _source(self) -> Source:
        return open_source(self._spec, base=self._workspace.root)

    @cached_property
    def _known(self) -> KnownFiles:
        return KnownFiles.load(self._workspace.cache_path)

    def path(self, sample_id: SampleId, *, is_synthetic: bool) -> str | None:
        """Return the image's own file, or None if the image is in an archive or array."""
        if is_synthetic:
            _, number, name = sample_id.split("/")
            return str(self._workspace.round_path(int(number)) / "synthetic" / name)
        return self._source.path_of(sample_id)

    def known_digest(self, sample_id: SampleId, path: str) -> bytes | None:
        """Return the SHA-256 of a file whose size and times are those of when it was read."""
        try:
            return self._known.digest(sample_id, os.stat(path))  # noqa: PTH116 - hot
        except OSError:
            return None  # reading it raises the error that names the reason

    def content(self, sample_id: SampleId, *, is_synthetic: bool) -> tuple[bytes, str]:
        """Return an encoded image and the suffix that its sample id lacks."""
        if is_synthetic:
            raise InputDataError(f"the file of synthetic image {sample_id} is missing")
        data = self._source.get(sample_id).read()
        if isinstance(data, np.ndarray):
            return encode_png(data if data.ndim == 3 else data[:, :, None]), ".png"
        if has_page(data):  # no file of its own
            pixels = DecoderProcess().decode(data, rendering=self._rendering)
            return encode_png(pixels), ".png"
        if Path(sample_id).suffix:
            return data, ""
        kind = find_format(data)
        return data, kind.suffixes[0] if kind else ""
