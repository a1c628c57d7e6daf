"""The data of a round: which labels are trained on, which are measured on, the use of copies."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from dgaal_cli.config.schema import Config
from dgaal_cli.encoders.base import Encoder
from dgaal_cli.encoders.registry import load_encoder
from dgaal_cli.features.standardized import StandardizedRows
from dgaal_cli.ids import ItemId
from dgaal_cli.methods.base import TaskShape
from dgaal_cli.rounds.held_out import MIN_HELD_OUT, images_to_measure
from dgaal_cli.training.data import PoolData, RoundData, SyntheticImages, labeling_progress
from dgaal_cli.training.precision import pick_precision


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticRecords:
    """M synthetic images as a workbench keeps them, without unlabelable ones."""

    item_ids: list[ItemId]
    pixels: np.ndarray
    """uint8 ``(M, S, S, C)``."""
    parents: np.ndarray
    """int64 ``(M,)``: pool row of each image's parent, -1 without a parent."""
    targets: np.ndarray
    """``(M, ...)``: the answered target, else the inherited one, else blank."""
    is_labeled: np.ndarray
    """bool ``(M,)``: answered by a person, or promoted with its inherited target."""
    is_inherited: np.ndarray
    """bool ``(M,)``: a copy that passed its check, with its parent's target."""
    features: StandardizedRows | None = None
    """``(M, D)``; None in a round on pixels."""

    def images(self, is_held_out: np.ndarray) -> SyntheticImages:
        """Return the images as labels and candidates of a round.

        ``is_held_out`` is bool ``(N,)``. A copy is nearly its parent. If the parent is held out,
        perhaps only since the copy was made, the copy is not used for training, even if a person
        labeled it.
        """
        is_trainable = (self.parents < 0) | ~np.append(is_held_out, False)[self.parents]
        return SyntheticImages(
            item_ids=list(self.item_ids),
            pixels=self.pixels,
            parents=self.parents,
            targets=self.targets,
            is_labeled=self.is_labeled & is_trainable,
            is_candidate=~self.is_labeled & is_trainable & self.is_inherited,
            features=self.features,
        )


@dataclass(slots=True, kw_only=True)
class PoolSnapshot(PoolData):
    """The pool at the start of a round, as a workbench reads it."""

    synthetic: SyntheticRecords
    first_labels: int
    """Labels of the pool that no query asked."""
    had_labels: bool
    """An earlier round learned from at least one label."""
    has_test: bool
    """Whether accuracy is measured on a test source instead of the pool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundDataset:
    """A round's data, and the images that must have no copies."""

    data: RoundData
    is_to_measure: np.ndarray
    """bool ``(N,)``: rows whose labels are held out, now or later."""
    shape: TaskShape
    """Shape of images and targets for the networks."""


def round_dataset(
    pool: PoolSnapshot, config: Config, device: torch.device, encoder: Encoder | None = None
) -> RoundDataset:
    """Apply the rules for labels, held-out images and copies of a round.

    An ``encoder`` that is loaded already is not loaded again.
    """
    ids = pool.item_ids if pool.first_of_group is None else pool.first_of_group
    is_to_measure = images_to_measure(config, ids, has_test=pool.has_test)
    is_held_out = pool.is_labeled & is_to_measure
    if pool.is_labeled.sum() < MIN_HELD_OUT:
        is_held_out = np.zeros_like(is_held_out)
    if pool.is_audited is not None:
        is_to_measure = is_to_measure | pool.is_audited
        is_held_out = is_held_out | (pool.is_labeled & pool.is_audited)
    labeled = int(pool.is_labeled.sum())
    arrays: dict[str, Any] = {each.name: getattr(pool, each.name) for each in fields(PoolData)}
    data = RoundData(
        **arrays,
        seed=config.seed,
        device=device,
        precision=pick_precision(config.precision, device),
        is_held_out=is_held_out,
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
    )
    if encoder is None:
        size, channels = config.pool.image_size, config.pool.channels
        encoder = load_encoder(config.encoder, image_size=size, channels=channels)
    shape = TaskShape(encoder=encoder, task=pool.task)
    return RoundDataset(data=data, is_to_measure=is_to_measure, shape=shape)
