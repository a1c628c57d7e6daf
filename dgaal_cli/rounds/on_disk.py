"""The workbench of a workspace: labels from the store, networks and images from rounds on disk."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from dgaal_cli.config.schema import Config
from dgaal_cli.events import Emit, ignore
from dgaal_cli.features.standardized import StandardizedRows
from dgaal_cli.ids import Row
from dgaal_cli.methods.base import SyntheticBatch
from dgaal_cli.rounds.audit_entries import audited_images
from dgaal_cli.rounds.dataset import (
    PoolSnapshot,
    RoundDataset,
    SyntheticRecords,
    round_dataset,
)
from dgaal_cli.rounds.engine import EarlierRound, LastAnswers
from dgaal_cli.rounds.held_out import images_to_measure
from dgaal_cli.rounds.image_groups import firsts_of_groups
from dgaal_cli.rounds.pool_features import feature_reader
from dgaal_cli.rounds.pool_pixels import sound_pixels
from dgaal_cli.rounds.state import (
    CHECKPOINT_NAME,
    RUN_NAME,
    had_labels,
    last_trained,
    read_record,
    trained_rounds,
)
from dgaal_cli.rounds.synthetic_files import read_synthetic, save_synthetic
from dgaal_cli.rounds.test_source import read_test_images
from dgaal_cli.rounds.unlabelable_synthetics import UnlabelableCount, count_unlabelable
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import ClassRecord, ItemRecord, LabelRecord
from dgaal_cli.tasks.registry import load_task
from dgaal_cli.training import checkpoint
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.task import LearningTask
from dgaal_cli.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDisk:
    """One round of a workspace, with the store's records behind its arrays."""

    workspace: Workspace
    config: Config
    """Configuration of the round in this process."""
    store: Store
    dataset: RoundDataset
    classes: list[ClassRecord]
    items: list[ItemRecord]
    """The pool's items, row by row."""
    labels: list[LabelRecord]
    watermark: int | None
    """Labels after this event are excluded; None includes all."""
    dataset_digest: str
    """SHA-256 over the digests of all pool images."""
    labels_digest: str
    """SHA-256 over the classes in order, the labels of items, and the unlabelable images."""

    @property
    def data(self) -> RoundData:
        """The round's arrays."""
        return self.dataset.data

    @property
    def run_title(self) -> str:
        """The method, for messages."""
        return self.config.method

    def earlier_round(self) -> EarlierRound | None:
        """Return the newest round before this one whose checkpoint is sound."""
        newest = last_trained(self.workspace, before=self.data.number)
        if newest is None:
            return None
        folder = self.workspace.round_path(newest)
        run = read_record(folder / RUN_NAME)
        later = [n for n in trained_rounds(self.workspace) if newest < n < self.data.number]
        return EarlierRound(
            number=newest,
            is_newest=not later,
            method=str(run["method"]),
            has_same_classes=run["class_uids"] == [r.uid for r in self.classes],
            tensors=lambda: checkpoint.load(folder / CHECKPOINT_NAME)[0],
        )

    def last_answers(self) -> LastAnswers:
        """Return the answers of the last query that have no copies yet.

        A method may make no copy of a parent. So if this round has copies, only labels after them
        are new, and a resumed round adds no copy twice.
        """
        number, own = self.data.number, self.data.synthetic
        rows = {item_id: Row(row) for row, item_id in enumerate(self.data.item_ids)}
        seen = self._copied_until()
        new = [r for r in self.labels if r.round == number - 1 and r.event_id > seen]
        asked = {r.item_id for r in new if not r.is_synthetic}
        taken = {r.item_id for r in new if r.provenance == "inherited"}
        asked -= {item.parent for item in self.store.items() if item.inherited is not None}
        return LastAnswers(
            rows=[rows[item_id] for item_id in sorted(asked) if item_id in rows],
            promoted=[
                i for i, item in enumerate(own.item_ids) if item in taken and own.is_labeled[i]
            ],
        )

    def add_copies(self, copies: SyntheticBatch, is_doubtful: np.ndarray) -> None:
        """Store copies with their parent's id and inherited label."""
        data, codec = self.data, load_task(self.config.task).labels
        uids = [record.uid for record in self.classes]
        save_synthetic(
            self.workspace,
            self.store,
            copies.pixels,
            number=data.number,
            parents=[data.item_ids[row] for row in copies.parents],
            inherited=[codec.of_target(data.targets[row], uids) for row in copies.parents],
            is_doubtful=is_doubtful.tolist(),
            kind="copy",
        )

    def synthetic(self) -> SyntheticRecords:
        """Read the synthetic images."""
        data = self.data
        return read_synthetic(
            self.workspace,
            self.store,
            self.config,
            row_of={item_id: row for row, item_id in enumerate(data.item_ids)},
            watermark=self.watermark,
        )

    def annotations(self) -> int:
        """Count the answers of all annotators."""
        return self.store.counts().annotations

    def count_unlabelable(self) -> UnlabelableCount:
        """Count the unlabelable synthetic images of the newest query."""
        return count_unlabelable(self.store)

    def _copied_until(self) -> int:
        """Return the last event whose labels have copies in this round; -1 for none."""
        number = self.data.number
        made = [i for i in self.store.items() if i.round == number and i.inherited is not None]
        if not made:
            return -1
        path = self.workspace.round_path(number) / RUN_NAME
        return int(read_record(path)["watermark"]) if path.is_file() else self.store.watermark()


def gather(
    workspace: Workspace,
    config: Config,
    store: Store,
    *,
    number: int,
    device: torch.device,
    watermark: int | None = None,
    newest_item: int = 0,
    emit: Emit = ignore,
) -> OnDisk:
    """Read the data of round ``number``; with a ``watermark``, without labels after this event.

    With a ``newest_item``, pool images with a greater number are left out.

    Raises:
        InputDataError: The pool is missing, or has no usable image.
    """
    classes = store.classes()
    index_of = {record.uid: index for index, record in enumerate(classes)}
    reader = feature_reader(workspace, config, emit)
    features = None
    if reader is None:
        items, pixels = sound_pixels(workspace, config, store, emit, newest_item)
    else:
        items, stored = reader.sound(store, newest_item)
        pixels = np.zeros((len(items), 0, 0, config.pool.channels), np.uint8)
        features = StandardizedRows.of_pool(stored)
    # A class may be removed after the watermark, when its last label is undone.
    kind = load_task(config.task)
    codec = kind.labels
    found = [(r, codec.target(r.label, index_of)) for r in store.labels(watermark=watermark)]
    labels = [record for record, target in found if target is not None]
    cannot_tell = store.cannot_tell(watermark=watermark)
    ids = [item.item_id for item in items]
    row_of = {item_id: row for row, item_id in enumerate(ids)}

    task = kind.learning(max(1, len(classes)))
    targets, is_labeled = task.blank(len(items)), np.zeros(len(items), dtype=bool)
    firsts = firsts_of_groups(ids, store.groups())
    # A label that near duplicates share is neither measured on nor learned beside such a label.
    is_measured = images_to_measure(config, firsts, has_test=bool(config.pool.test))
    for record, target in found:
        if target is not None and record.item_id in row_of:
            row = row_of[record.item_id]
            if record.provenance == "inherited" and is_measured[row]:
                continue
            targets[row], is_labeled[row] = target, True
    audited = {image.item_id for image in audited_images(store)}
    tested = read_test_images(workspace, config, classes, reader, emit)
    test = None if tested is None else tested[0]
    test_targets = None if tested is None else _array_of(tested[1], task)
    synthetic = read_synthetic(workspace, store, config, row_of=row_of, watermark=watermark)
    if reader is not None and features is not None:
        own = features.like_pool(reader.of_pixels(synthetic.pixels))
        synthetic = replace(synthetic, features=own)
    pool = PoolSnapshot(
        number=number,
        item_ids=ids,
        pixels=pixels,
        task=task,
        targets=targets,
        is_labeled=is_labeled,
        is_usable=np.array([item_id not in cannot_tell for item_id in ids], dtype=bool),
        class_names=[record.name for record in classes],
        is_audited=np.array([item_id in audited for item_id in ids], dtype=bool),
        synthetic=synthetic,
        first_labels=sum(r.round is None and r.item_id in row_of for r in labels),
        had_labels=had_labels(workspace, number),
        has_no_earlier=all(other >= number for other in trained_rounds(workspace)),
        has_test=test_targets is not None,
        first_of_group=firsts,
        test_pixels=test if isinstance(test, np.ndarray) else None,
        test_targets=test_targets,
        features=features,
        test_features=features.like_pool(test)
        if features is not None and test is not None
        else None,
    )
    texts = [record.label.payload.decode(errors="backslashreplace") for record in labels]
    answers = [f"{record.item_id}={text}" for record, text in zip(labels, texts, strict=True)]
    return OnDisk(
        workspace=workspace,
        config=config,
        store=store,
        dataset=round_dataset(pool, config, device, None if reader is None else reader.encoder),
        classes=classes,
        items=items,
        labels=labels,
        watermark=watermark,
        dataset_digest=_digest(sorted(item.sha256.hex() for item in items)),
        labels_digest=_digest([*index_of, *answers, *map(str, sorted(cannot_tell))]),
    )


def _array_of(targets: Sequence[Any], task: LearningTask) -> np.ndarray:
    """Return ``(M, ...)`` of M targets."""
    array = task.blank(len(targets))
    for row, target in enumerate(targets):
        array[row] = target
    return array


def _digest(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
