"""Synthetic images of rounds in memory, with inherited or answered labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dgaal_cli.features.standardized import StandardizedRows
from dgaal_cli.ids import ItemId
from dgaal_cli.methods.base import SyntheticBatch
from dgaal_cli.rounds.dataset import SyntheticRecords
from dgaal_cli.training.data import SyntheticImages
from dgaal_cli.training.task import LearningTask

Targets = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


@dataclass(slots=True, kw_only=True)
class SyntheticPool:
    """Copies of labeled images and answered synthetic images; none is ever removed."""

    records: SyntheticRecords
    _next_id: int

    @classmethod
    def empty(
        cls,
        size: int,
        channels: int,
        task: LearningTask,
        *,
        first_id: int,
        features: StandardizedRows | None = None,
    ) -> "SyntheticPool":
        """Return an empty pool.

        ``first_id`` is above every id of a pool image; ``features`` are those of the pool.
        """
        records = SyntheticRecords(
            item_ids=[],
            pixels=np.zeros((0, size, size, channels), np.uint8),
            parents=np.zeros(0, np.int64),
            targets=task.blank(0),
            is_labeled=np.zeros(0, bool),
            is_inherited=np.zeros(0, bool),
            features=None if features is None else features[:0],
        )
        return cls(records=records, _next_id=first_id)

    @property
    def promoted_count(self) -> int:
        """Number of promoted images: labels that no query asked."""
        return int((self.records.is_labeled & self.records.is_inherited).sum())

    def asked_images(self) -> SyntheticImages:
        """Return only the images that the oracle labeled."""
        own = self.records
        kept = ~own.is_inherited
        return SyntheticImages(
            item_ids=[item for item, keep in zip(own.item_ids, kept, strict=True) if keep],
            pixels=own.pixels[kept],
            parents=own.parents[kept],
            targets=own.targets[kept],
            is_labeled=own.is_labeled[kept],
            is_candidate=np.zeros(int(kept.sum()), dtype=bool),
            features=None if own.features is None else own.features[kept],
        )

    def add(
        self, images: SyntheticBatch, targets: Targets, keep: Mask, *, is_inherited: bool
    ) -> None:
        """Add the images selected by ``keep`` (M,) with targets (M, ...), inherited or answered."""
        count, own = int(keep.sum()), self.records
        parents = np.asarray(images.parents, dtype=np.int64)[keep]
        self.records = SyntheticRecords(
            item_ids=[*own.item_ids, *(ItemId(self._next_id + i) for i in range(count))],
            pixels=np.concatenate([own.pixels, images.pixels[keep]]),
            parents=np.concatenate([own.parents, parents]),
            targets=np.concatenate([own.targets, targets[keep]]),
            is_labeled=np.concatenate([own.is_labeled, np.full(count, not is_inherited)]),
            is_inherited=np.concatenate([own.is_inherited, np.full(count, is_inherited)]),
        )
        self._next_id += count

    def promote(self, positions: Sequence[int]) -> None:
        """Promote copies to labels, with their parents' targets."""
        chosen = np.zeros(len(self.records.item_ids), dtype=bool)
        chosen[np.asarray(positions, dtype=np.int64)] = True
        own = self.records
        self.records = replace(own, is_labeled=own.is_labeled | (chosen & own.is_inherited))
