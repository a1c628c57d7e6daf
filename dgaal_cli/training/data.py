"""Everything one round of training sees, as arrays whose rows belong together."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from dgaal_cli.ids import ItemId


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
    _pool: Tensor | None = field(default=None, repr=False)

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
        """Indices of classes with at least one training label, ascending."""
        return np.unique(self.labels[self.labeled_rows])

    def images(self, rows: Tensor) -> Tensor:
        """Return uint8 pixels ``(B, S, S, C)`` of pool rows on the device.

        The pool is copied to the device once; an index then costs no host transfer of pixels.
        """
        if self._pool is None:
            self._pool = torch.from_numpy(np.array(self.pixels)).to(self.device)
        return self._pool[rows.to(self.device)]


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


def labeling_progress(number: int, *, labeled: int, total: int, budget: int) -> float:
    """Return how far the labeling is, 0..1: of the budget where there is one, else of ten rounds.

    Args:
        number: The round.
        labeled: Pool images with a label.
        total: Pool images.
        budget: Labels allowed in all; 0 sets no limit.
    """
    if budget:
        return min(1.0, labeled / min(budget, total))
    return min(1.0, number / 10)
