"""Synthesized images of one trial, and by what right each of them carries a label."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dgaal_cli.ids import ItemId
from dgaal_cli.methods.base import Redrawing
from dgaal_cli.training.data import SyntheticImages, no_synthetic_images
from dgaal_cli.training.task import LearningTask

Targets = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


@dataclass(slots=True, kw_only=True)
class SyntheticPool:
    """Grows by copies of labeled images and by answered queries; nothing ever leaves it."""

    _images: SyntheticImages
    _is_answered: Mask
    """(M,) labeled by the oracle; the other labels are inherited."""
    _next_id: int
    _empty: SyntheticImages = field(repr=False)

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
        nothing = no_synthetic_images(size, channels, task)
        return cls(
            _images=nothing, _is_answered=np.zeros(0, bool), _next_id=first_id, _empty=nothing
        )

    @property
    def inherited_labels(self) -> int:
        """How many images are among the labels without anybody having been asked."""
        return int((self._images.is_labeled & ~self._is_answered).sum())

    def images(self) -> SyntheticImages:
        """Return all of them, as a method sees them."""
        return replace(self._images)

    def asked_images(self) -> SyntheticImages:
        """Return only those that the oracle named: labels that every method would have to buy."""
        kept = self._is_answered
        own = self._images
        return SyntheticImages(
            item_ids=[item for item, keep in zip(own.item_ids, kept, strict=True) if keep],
            pixels=own.pixels[kept],
            parents=own.parents[kept],
            targets=own.targets[kept],
            is_labeled=own.is_labeled[kept],
            is_candidate=own.is_candidate[kept],
        )

    def add_copies(self, drawn: Redrawing, targets: Targets, is_doubtful: Mask) -> None:
        """Take copies of labeled pool images as candidates; doubtful ones are dropped.

        Args:
            drawn: M images with their parents.
            targets: (N, ...) of the pool.
            is_doubtful: (M,).
        """
        keep = ~is_doubtful
        parents = np.asarray(drawn.parents, dtype=np.int64)[keep]
        self._add(drawn.pixels[keep], parents, targets[parents], is_answered=False)

    def add_answered(self, drawn: Redrawing, answers: Targets, is_told: Mask) -> None:
        """Take images that the oracle labeled: those of ``is_told`` (M,) among ``answers``."""
        keep = is_told
        parents = np.asarray(drawn.parents, dtype=np.int64)[keep]
        self._add(drawn.pixels[keep], parents, answers[keep], is_answered=True)

    def promote(self, positions: Sequence[int]) -> None:
        """Move candidates to the labels, with their parent's."""
        chosen = np.zeros(len(self._is_answered), dtype=bool)
        chosen[np.asarray(positions, dtype=np.int64)] = True
        own = self._images
        self._images = replace(
            own,
            is_labeled=own.is_labeled | (chosen & own.is_candidate),
            is_candidate=own.is_candidate & ~chosen,
        )

    def _add(
        self,
        pixels: npt.NDArray[np.uint8],
        parents: Targets,
        targets: Targets,
        *,
        is_answered: bool,
    ) -> None:
        count, own = len(pixels), self._images
        ids = [ItemId(self._next_id + i) for i in range(count)]
        self._next_id += count
        self._images = SyntheticImages(
            item_ids=[*own.item_ids, *ids],
            pixels=np.concatenate([own.pixels, pixels]),
            parents=np.concatenate([own.parents, parents]),
            targets=np.concatenate([own.targets, targets]),
            is_labeled=np.concatenate([own.is_labeled, np.full(count, is_answered)]),
            is_candidate=np.concatenate([own.is_candidate, np.full(count, not is_answered)]),
        )
        self._is_answered = np.concatenate([self._is_answered, np.full(count, is_answered)])
