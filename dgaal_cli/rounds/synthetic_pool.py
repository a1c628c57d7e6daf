"""Synthesized images of rounds in memory, and by what right each of them carries a label."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dgaal_cli.ids import ItemId
from dgaal_cli.methods.base import SyntheticBatch
from dgaal_cli.rounds.dataset import SyntheticRecords
from dgaal_cli.training.data import SyntheticImages
from dgaal_cli.training.task import LearningTask

Targets = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


@dataclass(slots=True, kw_only=True)
class SyntheticPool:
    """Grows by copies of labeled images and by answered queries; nothing ever leaves it."""

    records: SyntheticRecords
    _next_id: int

    @classmethod
    def empty(
        cls, size: int, channels: int, task: LearningTask, *, first_id: int
    ) -> "SyntheticPool":
        """Begin with nothing.

        Args:
            size: Side of the images.
            channels: 1 or 3.
            task: What a target is.
            first_id: Above every id of a pool image.
        """
        nothing = SyntheticRecords(
            item_ids=[],
            pixels=np.zeros((0, size, size, channels), np.uint8),
            parents=np.zeros(0, np.int64),
            targets=task.blank(0),
            is_labeled=np.zeros(0, bool),
            is_inherited=np.zeros(0, bool),
        )
        return cls(records=nothing, _next_id=first_id)

    @property
    def promoted_count(self) -> int:
        """How many images are among the labels without anybody having been asked."""
        return int((self.records.is_labeled & self.records.is_inherited).sum())

    def asked_images(self) -> SyntheticImages:
        """Return only those that the oracle named: labels that every method would have to buy."""
        own = self.records
        kept = ~own.is_inherited
        return SyntheticImages(
            item_ids=[item for item, keep in zip(own.item_ids, kept, strict=True) if keep],
            pixels=own.pixels[kept],
            parents=own.parents[kept],
            targets=own.targets[kept],
            is_labeled=own.is_labeled[kept],
            is_candidate=np.zeros(int(kept.sum()), dtype=bool),
        )

    def add(
        self, drawn: SyntheticBatch, targets: Targets, keep: Mask, *, is_inherited: bool
    ) -> None:
        """Take the images of ``keep`` (M,) with their targets (M, ...), inherited or answered."""
        count, own = int(keep.sum()), self.records
        parents = np.asarray(drawn.parents, dtype=np.int64)[keep]
        self.records = SyntheticRecords(
            item_ids=[*own.item_ids, *(ItemId(self._next_id + i) for i in range(count))],
            pixels=np.concatenate([own.pixels, drawn.pixels[keep]]),
            parents=np.concatenate([own.parents, parents]),
            targets=np.concatenate([own.targets, targets[keep]]),
            is_labeled=np.concatenate([own.is_labeled, np.full(count, not is_inherited)]),
            is_inherited=np.concatenate([own.is_inherited, np.full(count, is_inherited)]),
        )
        self._next_id += count

    def promote(self, positions: Sequence[int]) -> None:
        """Move copies to the labels, with their parent's."""
        chosen = np.zeros(len(self.records.item_ids), dtype=bool)
        chosen[np.asarray(positions, dtype=np.int64)] = True
        own = self.records
        self.records = replace(own, is_labeled=own.is_labeled | (chosen & own.is_inherited))
