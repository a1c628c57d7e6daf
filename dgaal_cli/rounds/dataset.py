"""What a round learns from: which labels teach, which only measure, and what copies are for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dgaal_cli.config.schema import Config
from dgaal_cli.encoders.registry import load_encoder
from dgaal_cli.ids import ItemId
from dgaal_cli.methods.base import TaskShape
from dgaal_cli.training.data import RoundData, SyntheticImages, labeling_progress
from dgaal_cli.training.precision import pick_precision
from dgaal_cli.training.task import LearningTask

MIN_HELD_OUT = 20
"""Fewer labels than this are all learned from; a share of them would measure nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticRecords:
    """Synthesized images as a workbench keeps them, M of them; unlabelable ones are left out."""

    item_ids: list[ItemId]
    pixels: np.ndarray
    """uint8 ``(M, S, S, C)``."""
    parents: np.ndarray
    """int64 ``(M,)``: pool row of each image's parent, -1 for none."""
    targets: np.ndarray
    """``(M, ...)``: the answer where there is one, else the inherited target, else blank."""
    is_labeled: np.ndarray
    """bool ``(M,)``: answered by somebody, or promoted with its inherited target."""
    is_inherited: np.ndarray
    """bool ``(M,)``: a copy that passed its check, with its parent's target."""

    def images(self, is_held_out: np.ndarray) -> SyntheticImages:
        """Say what each image is for in a round that holds out ``is_held_out`` (N,) of the pool.

        A copy is nearly its parent. Where the parent is measured on, which it may not have been
        when the copy was made, nothing learns from the copy, whoever gave it its label.
        """
        may_teach = (self.parents < 0) | ~np.append(is_held_out, False)[self.parents]
        return SyntheticImages(
            item_ids=list(self.item_ids),
            pixels=self.pixels,
            parents=self.parents,
            targets=self.targets,
            is_labeled=self.is_labeled & may_teach,
            is_candidate=~self.is_labeled & may_teach & self.is_inherited,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSnapshot:
    """The pool and its labels at the start of a round, as a workbench reads them; N images."""

    number: int
    """The round."""
    item_ids: list[ItemId]
    pixels: np.ndarray
    """uint8 ``(N, S, S, C)``."""
    task: LearningTask
    targets: np.ndarray
    """``(N, ...)``; blank without a label."""
    is_labeled: np.ndarray
    """bool ``(N,)``."""
    is_usable: np.ndarray
    """bool ``(N,)``: False for images that nobody could name."""
    class_names: list[str]
    synthetic: SyntheticRecords
    first_labels: int
    """Labels of the pool that no query asked for."""
    had_labels: bool
    """An earlier round learned from at least one label."""
    has_test: bool
    """Other images than the pool's are measured on."""
    test_pixels: np.ndarray | None = None
    test_targets: np.ndarray | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundDataset:
    """A round's data, and the images that it must not draw from."""

    data: RoundData
    is_to_measure: np.ndarray
    """bool ``(N,)``: rows whose label is kept for measuring, or will be."""
    shape: TaskShape
    """What the networks must fit."""


def round_dataset(pool: PoolSnapshot, config: Config, device: torch.device) -> RoundDataset:
    """Apply the rules by which labels, held-out images and copies take part in a round."""
    is_to_measure = images_to_measure(config, pool.item_ids, has_test=pool.has_test)
    is_held_out = pool.is_labeled & is_to_measure
    if pool.is_labeled.sum() < MIN_HELD_OUT:
        is_held_out = np.zeros_like(is_held_out)
    labeled = int(pool.is_labeled.sum())
    data = RoundData(
        number=pool.number,
        seed=config.seed,
        device=device,
        precision=pick_precision(config.precision, device),
        item_ids=pool.item_ids,
        pixels=pool.pixels,
        task=pool.task,
        targets=pool.targets,
        is_labeled=pool.is_labeled,
        is_usable=pool.is_usable,
        is_held_out=is_held_out,
        class_names=pool.class_names,
        synthetic=pool.synthetic.images(is_held_out),
        is_first_labeled=labeled > 0 and not pool.had_labels,
        progress=labeling_progress(
            pool.number,
            labeled=labeled,
            first=pool.first_labels,
            query_size=config.query.size,
            total=len(pool.item_ids),
            budget=config.query.budget,
        ),
        test_pixels=pool.test_pixels,
        test_targets=pool.test_targets,
    )
    _, size, _, channels = pool.pixels.shape
    encoder = load_encoder(config.encoder.source, image_size=size, channels=channels)
    shape = TaskShape(encoder=encoder, task=pool.task)
    return RoundDataset(data=data, is_to_measure=is_to_measure, shape=shape)


def images_to_measure(config: Config, ids: Sequence[ItemId], *, has_test: bool) -> np.ndarray:
    """Choose whose labels are for measuring; an item's side is fixed for life by its id.

    Returns:
        bool ``(N,)``.
    """
    if has_test:
        return np.zeros(len(ids), dtype=bool)
    mixed = np.asarray(ids, dtype=np.uint64) * np.uint64(0xD6E8FEB86659FD93)
    position = (mixed >> np.uint64(32)).astype(np.float64) / 2**32
    return position < config.evaluation.held_out
