"""Brings together what a round learns from: pool, labels of now, synthesized and test images."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dgaal_cli.config.schema import Config
from dgaal_cli.data.images import decode, resize
from dgaal_cli.data.pool import load_pixels
from dgaal_cli.data.sources import open_source
from dgaal_cli.encoders.registry import load_encoder
from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show
from dgaal_cli.events import Emit, ignore
from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.methods.base import TaskShape
from dgaal_cli.rounds.pool_pixels import sound_pixels
from dgaal_cli.rounds.state import had_labels
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import ClassRecord, ItemRecord, LabelRecord
from dgaal_cli.tasks.classification.model import ClassLearning
from dgaal_cli.training.data import RoundData, SyntheticImages, labeling_progress
from dgaal_cli.workspace import Workspace

MIN_HELD_OUT = 20
"""Fewer labels than this are all learned from; a share of them would measure nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """A round's data with the names that its arrays leave out."""

    data: RoundData
    shape: TaskShape
    classes: list[ClassRecord]
    items: list[ItemRecord]
    """The pool's items, row by row."""
    labels: list[LabelRecord]
    is_to_measure: np.ndarray
    """bool ``(N,)``: rows whose label is kept for measuring, or will be; nothing is drawn from
    them."""
    watermark: int | None
    """Labels given after this event were left out; None took all."""
    dataset_digest: str
    """SHA-256 over the digests of all pool images."""
    labels_digest: str
    """SHA-256 over what is learned: classes in their order, the labels of items, and images that
    nobody could name."""


def gather(
    workspace: Workspace,
    config: Config,
    store: Store,
    *,
    number: int,
    device: torch.device,
    watermark: int | None = None,
    emit: Emit = ignore,
) -> Gathered:
    """Read everything that round ``number`` sees.

    Args:
        workspace: Where.
        config: How.
        store: The labels.
        number: The round.
        device: Where the networks are.
        watermark: Labels given after this event are left out; None takes all.
        emit: Hears which images are no longer what they were, and are left out.

    Raises:
        InputDataError: The pool is gone, or has no usable image.
    """
    classes = store.classes()
    index_of = {record.uid: index for index, record in enumerate(classes)}
    items, pixels = sound_pixels(workspace, config, store, emit)
    # A class may have been removed after the watermark, once its last label was taken back.
    labels = [r for r in store.labels(watermark=watermark) if r.class_uid in index_of]
    cannot_tell = store.cannot_tell(watermark=watermark)
    size, channels = config.pool.image_size, config.pool.channels
    ids = [item.item_id for item in items]
    row_of = {item_id: row for row, item_id in enumerate(ids)}

    task = ClassLearning(max(1, len(classes)))
    targets, is_labeled = task.blank(len(items)), np.zeros(len(items), dtype=bool)
    for record in labels:
        if record.item_id in row_of:
            row = row_of[record.item_id]
            targets[row], is_labeled[row] = index_of[record.class_uid], True
    test_pixels, test_targets = _test_images(workspace, config, classes)
    is_to_measure = _to_measure(config, ids, has_test=test_targets is not None)
    is_held_out = _held_out(is_labeled, is_to_measure)
    data = RoundData(
        number=number,
        seed=config.seed,
        device=device,
        item_ids=ids,
        pixels=pixels,
        task=task,
        targets=targets,
        is_labeled=is_labeled,
        is_usable=np.array([item_id not in cannot_tell for item_id in ids], dtype=bool),
        is_held_out=is_held_out,
        class_names=[record.name for record in classes],
        synthetic=synthetic_images(
            workspace,
            config,
            store,
            row_of=row_of,
            is_held_out=is_held_out,
            watermark=watermark,
        ),
        is_first_labeled=bool(is_labeled.any()) and not had_labels(workspace, number),
        progress=labeling_progress(
            number,
            labeled=int(is_labeled.sum()),
            first=sum(r.round is None and r.item_id in row_of for r in labels),
            query_size=config.query.size,
            total=len(items),
            budget=config.query.budget,
        ),
        test_pixels=test_pixels,
        test_targets=test_targets,
    )
    return Gathered(
        data=data,
        shape=TaskShape(
            encoder=load_encoder(config.encoder.source, image_size=size, channels=channels),
            task=task,
        ),
        classes=classes,
        items=items,
        labels=labels,
        is_to_measure=is_to_measure,
        watermark=watermark,
        dataset_digest=_digest(sorted(item.sha256.hex() for item in items)),
        labels_digest=_digest(
            [
                *index_of,
                *(f"{r.item_id}={r.class_uid}" for r in labels),
                *map(str, sorted(cannot_tell)),
            ]
        ),
    )


def synthetic_images(
    workspace: Workspace,
    config: Config,
    store: Store,
    *,
    row_of: dict[ItemId, int],
    is_held_out: np.ndarray,
    watermark: int | None = None,
) -> SyntheticImages:
    """Read the workspace's synthesized images; those that nobody could name are left out.

    A copy is nearly its parent. Where the parent is measured on, which it may not have been when
    the copy was made, nothing learns from the copy, whoever gave it its label.

    Args:
        workspace: Where.
        config: How large.
        store: The labels.
        row_of: The pool's rows.
        is_held_out: bool ``(N,)`` of these rows: kept for measuring now.
        watermark: Labels given after this event are left out; None takes all.
    """
    classes = store.classes()
    index_of = {record.uid: index for index, record in enumerate(classes)}
    cannot_tell = store.cannot_tell(watermark=watermark)
    answered = {
        r.item_id: index_of[r.class_uid]
        for r in store.labels(watermark=watermark)
        if r.is_synthetic and r.class_uid in index_of
    }
    items = [
        item
        for item in store.items()
        if item.is_synthetic and item.state == "ok" and item.item_id not in cannot_tell
    ]
    inherited = [-1 if i.inherited is None else index_of.get(i.inherited, -1) for i in items]
    labels = [answered.get(item.item_id, own) for item, own in zip(items, inherited, strict=True)]
    parents = np.array(
        [-1 if item.parent is None else row_of.get(item.parent, -1) for item in items], np.int64
    )
    may_teach = (parents < 0) | ~np.append(is_held_out, False)[parents]
    is_answered = np.array([item.item_id in answered for item in items], dtype=bool)
    size, channels = config.pool.image_size, config.pool.channels
    pixels = [
        resize(
            decode(synthetic_path(workspace, item.sample_id).read_bytes(), channels=channels),
            size=size,
            channels=channels,
        )
        for item in items
    ]
    return SyntheticImages(
        item_ids=[item.item_id for item in items],
        pixels=np.stack(pixels) if pixels else np.zeros((0, size, size, channels), np.uint8),
        parents=parents,
        targets=np.array(labels, dtype=np.int64),
        is_labeled=is_answered & may_teach,
        is_candidate=~is_answered & may_teach & (np.array(inherited, dtype=np.int64) >= 0),
    )


def synthetic_path(workspace: Workspace, sample_id: SampleId) -> Path:
    """Where the image of ``synthetic/003/000012.png`` lies: ``rounds/003/synthetic/000012.png``."""
    _, number, name = sample_id.split("/")
    return workspace.rounds_path / number / "synthetic" / name


def _test_images(
    workspace: Workspace, config: Config, classes: Sequence[ClassRecord]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    if not config.pool.test:
        return None, None
    source = open_source(config.pool.test, base=workspace.root)
    index_of = {record.name: index for index, record in enumerate(classes)}
    entries = [(entry.id, entry.label) for entry in source.entries() if entry.label is not None]
    if not entries:
        raise InputDataError(
            f"the test source {show(config.pool.test)} carries no labels, so it measures nothing; "
            "give class folders, a manifest with labels or an .npz with y arrays"
        )
    unknown = sorted({label for _, label in entries if label not in index_of})
    if unknown:
        raise InputDataError(
            f"the test source has labels that are no class here: {show(', '.join(unknown[:5]))}; "
            f"classes are {show(', '.join(index_of))}"
        )
    size, channels = config.pool.image_size, config.pool.channels
    pixels = load_pixels(
        source,
        [sample_id for sample_id, _ in entries],
        size=size,
        channels=channels,
        cache=workspace.cache_path,
        workers=config.threads,
    )
    return pixels, np.array([index_of[label] for _, label in entries], dtype=np.int64)


def _to_measure(config: Config, ids: Sequence[ItemId], *, has_test: bool) -> np.ndarray:
    """Choose whose labels are for measuring; an item's side is fixed for life by its id."""
    if has_test:
        return np.zeros(len(ids), dtype=bool)
    mixed = np.asarray(ids, dtype=np.uint64) * np.uint64(0xD6E8FEB86659FD93)
    position = (mixed >> np.uint64(32)).astype(np.float64) / 2**32
    return position < config.evaluation.held_out


def _held_out(is_labeled: np.ndarray, is_to_measure: np.ndarray) -> np.ndarray:
    """Keep those labels for measuring, once there are enough to measure on."""
    if is_labeled.sum() < MIN_HELD_OUT:
        return np.zeros(len(is_labeled), dtype=bool)
    return is_labeled & is_to_measure


def _digest(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
