"""Everything one round of training sees, as arrays whose rows belong together."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from dgaal_cli.ids import ItemId
from dgaal_cli.training.device import free_bytes, to_device
from dgaal_cli.training.precision import Precision, autocast

RESIDENT_SHARE = 0.4
"""Part of the free memory that a pool's pixels may take; networks need the rest."""


@dataclass(slots=True, kw_only=True)
class SyntheticImages:
    """Generated images of a workspace, M of them."""

    item_ids: list[ItemId]
    pixels: np.ndarray
    """uint8 ``(M, S, S, C)``."""
    parents: np.ndarray
    """int64 ``(M,)``: pool row of each image's parent, -1 for none."""
    labels: np.ndarray
    """int64 ``(M,)``: class inherited or answered, -1 for none."""
    is_labeled: np.ndarray
    """bool ``(M,)``: in the labeled pool, by promotion or by a person."""
    is_candidate: np.ndarray
    """bool ``(M,)``: in the candidate pool, with an inherited label that passed its check."""


@dataclass(slots=True, kw_only=True)
class RoundData:
    """The pool, its labels of now, and the synthesized images beside it.

    Rows of ``pixels``, ``labels`` and the masks are the same N images in the same order.
    """

    number: int
    """The round."""
    seed: int
    device: torch.device
    item_ids: list[ItemId]
    pixels: np.ndarray
    """uint8 ``(N, S, S, C)``, possibly memory-mapped."""
    labels: np.ndarray
    """int64 ``(N,)``: index into ``class_names``, -1 without a label."""
    is_usable: np.ndarray
    """bool ``(N,)``: False for images that nobody could name; they leave every pool."""
    is_held_out: np.ndarray
    """bool ``(N,)``: labeled, but kept for measuring."""
    class_names: list[str]
    synthetic: SyntheticImages
    is_first_labeled: bool = False
    """No earlier round had labels: the feature game is played now for the first time."""
    progress: float = 0.0
    """How far the labeling is, 0..1; the share of D1 in a query falls with it."""
    test_pixels: np.ndarray | None = None
    test_labels: np.ndarray | None = None
    precision: Precision = "fp32"
    """What convolutions and matrix products compute in; losses and optimizers stay float32."""
    _pool: Tensor | None = field(default=None, repr=False)
    _fits: bool | None = field(default=None, repr=False)

    @property
    def labeled_rows(self) -> np.ndarray:
        """Rows that training may learn the label of."""
        return np.flatnonzero((self.labels >= 0) & ~self.is_held_out & self.is_usable)

    @property
    def unlabeled_rows(self) -> np.ndarray:
        """Rows that may be queried."""
        return np.flatnonzero((self.labels < 0) & self.is_usable)

    @property
    def present_classes(self) -> np.ndarray:
        """Indices of classes with a training label, ascending; drawings that have one count."""
        drawn = self.synthetic.labels[self.synthetic.is_labeled]
        return np.unique(np.concatenate([self.labels[self.labeled_rows], drawn]))

    def images(self, rows: Tensor) -> Tensor:
        """Return uint8 pixels ``(B, S, S, C)`` of pool rows on the device.

        A pool that fits is copied to the device once, so that a batch costs one index. One that
        does not stays where it is, usually memory-mapped, and batches are streamed; the values are
        the same.
        """
        if self._pool is None and self.is_resident:
            self._pool = torch.from_numpy(np.array(self.pixels)).to(self.device)
        if self._pool is not None:
            return self._pool.index_select(0, to_device(rows, self.device))
        return to_device(torch.from_numpy(self.pixels[rows.numpy()]), self.device)

    @property
    def is_resident(self) -> bool:
        """Whether the pool's pixels take no more than their share of the device's free memory."""
        if self._fits is None:
            self._fits = self.pixels.nbytes <= RESIDENT_SHARE * free_bytes(self.device)
        return self._fits

    def autocast(self) -> AbstractContextManager[object]:
        """Return the block in which networks run in this round's precision."""
        return autocast(self.device, self.precision)


def no_synthetic_images(size: int, channels: int) -> SyntheticImages:
    """Nothing synthesized yet, for images of this side and depth."""
    return SyntheticImages(
        item_ids=[],
        pixels=np.zeros((0, size, size, channels), np.uint8),
        parents=np.zeros(0, np.int64),
        labels=np.zeros(0, np.int64),
        is_labeled=np.zeros(0, bool),
        is_candidate=np.zeros(0, bool),
    )


def labeling_progress(
    number: int, *, labeled: int, first: int, query_size: int, total: int, budget: int
) -> float:
    """Return how far the labeling is: 0 at the first query, 1 at the last one.

    With a budget the last query is the one that spends it; without one the tenth counts as last.

    Args:
        number: The round.
        labeled: Pool images with a label.
        first: Those of them that no query asked, such as imported labels.
        query_size: Images a query.
        total: Pool images.
        budget: Labels allowed in all; 0 sets no limit.
    """
    if not budget:
        return min(1.0, number / 10)
    asked, before_last = labeled - first, min(budget, total) - query_size - first
    if before_last <= 0:
        return 0.0 if asked <= 0 else 1.0
    return min(1.0, max(0.0, asked / before_last))
