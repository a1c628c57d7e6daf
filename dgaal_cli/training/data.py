"""The data of one training round, as arrays with common rows."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from dgaal_cli.features.standardized import StandardizedRows
from dgaal_cli.ids import ItemId
from dgaal_cli.task_heads.refit import PoolHeads
from dgaal_cli.training.device import free_bytes, to_device
from dgaal_cli.training.precision import Precision, autocast
from dgaal_cli.training.task import LearningTask

Inputs = np.ndarray | StandardizedRows
"""What networks take of N images: uint8 pixels ``(N, S, S, C)``, or features ``(N, D)``."""

RESIDENT_SHARE = 0.4
"""Share of the free memory that a pool's pixels may use; networks need the rest."""


@dataclass(slots=True, kw_only=True)
class SyntheticImages:
    """M synthetic images of a workspace."""

    item_ids: list[ItemId]
    pixels: np.ndarray
    """uint8 ``(M, S, S, C)``."""
    parents: np.ndarray
    """int64 ``(M,)``: pool row of each image's parent, -1 without a parent."""
    targets: np.ndarray
    """``(M, ...)``: inherited or answered, as the round's task encodes it."""
    is_labeled: np.ndarray
    """bool ``(M,)``: in the labeled pool, by promotion or by a person."""
    is_candidate: np.ndarray
    """bool ``(M,)``: in the candidate pool, with an inherited label that passed its check."""
    features: StandardizedRows | None = None
    """``(M, D)``, standardized as the pool's; None in a round on pixels."""

    @property
    def inputs(self) -> Inputs:
        """What networks take of these images."""
        return self.pixels if self.features is None else self.features


@dataclass(slots=True, kw_only=True)
class PoolData:
    """The pool and its current labels: the same N images in the same order in every array."""

    number: int
    """Round number."""
    has_no_earlier: bool = False
    """No round before this one was trained, although some may have asked images."""
    item_ids: list[ItemId]
    pixels: np.ndarray
    """uint8 ``(N, S, S, C)``, possibly memory-mapped; S is 0 in a round on features."""
    task: LearningTask
    """Defines what a target is and how it is learned."""
    targets: np.ndarray
    """``(N, ...)``: target of each image, as ``task`` encodes it; blank without a label."""
    is_labeled: np.ndarray
    """bool ``(N,)``."""
    is_usable: np.ndarray
    """bool ``(N,)``: False for images answered "can't tell"; they leave every pool."""
    class_names: list[str]
    first_of_group: Sequence[ItemId] | None = None
    """N items: the oldest image of each image's group. None: each image is a group of its own."""
    is_audited: np.ndarray | None = None
    """bool ``(N,)``: drawn for an audit; labels of these images are never learned. None: none."""
    test_pixels: np.ndarray | None = None
    test_targets: np.ndarray | None = None
    features: StandardizedRows | None = None
    """``(N, D)`` features of a pretrained encoder; None in a round on pixels."""
    test_features: StandardizedRows | None = None
    heads: PoolHeads | None = None
    """The task model of ``classifier.head``, as a query by features fits it; None if T is a linear
    head only."""

    @property
    def inputs(self) -> Inputs:
        """What networks take of the pool's images."""
        return self.pixels if self.features is None else self.features

    @property
    def test_inputs(self) -> Inputs | None:
        """What networks take of the test images; None without any."""
        return self.test_pixels if self.features is None else self.test_features


@dataclass(slots=True, kw_only=True)
class RoundData(PoolData):
    """The pool as a round uses it, and the synthetic images."""

    seed: int
    device: torch.device
    is_held_out: np.ndarray
    """bool ``(N,)``: labeled, but kept for measuring."""
    synthetic: SyntheticImages
    is_first_labeled: bool = False
    """No earlier round had labels: the feature game runs for the first time."""
    progress: float = 0.0
    """Progress of the labeling, 0..1; the share of D1 in a query falls with it."""
    precision: Precision = "fp32"
    """Number format of convolutions and matrix products; losses and optimizers stay float32."""
    _pool: Tensor | None = field(default=None, repr=False)
    _fits: bool | None = field(default=None, repr=False)

    @property
    def is_first(self) -> bool:
        """Whether this is the first round that is trained."""
        return self.number == 0 or self.has_no_earlier

    @property
    def labeled_rows(self) -> np.ndarray:
        """Rows whose labels are used for training."""
        return np.flatnonzero(self.is_labeled & ~self.is_held_out & self.is_usable)

    @property
    def training_classes(self) -> np.ndarray:
        """int64 ``(N,)``: class of each training label, -1 for other images; one class an image."""
        classes = np.full(len(self.targets), -1, np.int64)
        classes[self.labeled_rows] = self.targets[self.labeled_rows]
        return classes

    @property
    def unlabeled_rows(self) -> np.ndarray:
        """Rows that may be queried."""
        return np.flatnonzero(~self.is_labeled & self.is_usable)

    @property
    def can_learn(self) -> bool:
        """Whether the labels suffice to train T."""
        return self.task.can_learn(self)

    @property
    def training_inputs(self) -> np.ndarray:
        """``(L, ...)``: inputs of the images with a training label, real images first."""
        synthetic = self.synthetic.inputs[self.synthetic.is_labeled]
        return np.concatenate([self.inputs[self.labeled_rows], synthetic])

    @property
    def training_targets(self) -> np.ndarray:
        """``(L, ...)``: the targets of ``training_inputs``, in their order."""
        synthetic = self.synthetic.targets[self.synthetic.is_labeled]
        return np.concatenate([self.targets[self.labeled_rows], synthetic])

    @property
    def training_ids(self) -> list[ItemId]:
        """The items of ``training_inputs``, in their order."""
        synthetic = np.flatnonzero(self.synthetic.is_labeled)
        own = [self.item_ids[int(row)] for row in self.labeled_rows]
        return own + [self.synthetic.item_ids[int(i)] for i in synthetic]

    def without_labels(self) -> "RoundData":
        """Return the same round with an unlabeled pool."""
        blank, is_labeled = self.task.blank(len(self.targets)), np.zeros_like(self.is_labeled)
        return replace(self, targets=blank, is_labeled=is_labeled)

    def images(self, rows: Tensor) -> Tensor:
        """Return uint8 pixels ``(B, S, S, C)`` or features ``(B, D)`` of pool rows on the device.

        A pool that fits is copied to the device once. Otherwise batches are streamed from the
        array, usually memory-mapped; the values are the same.
        """
        if self._pool is None and self.is_resident:
            self._pool = torch.from_numpy(np.array(self.inputs)).to(self.device)
        if self._pool is not None:
            return self._pool.index_select(0, to_device(rows, self.device))
        return to_device(torch.from_numpy(np.asarray(self.inputs[rows.numpy()])), self.device)

    @property
    def is_resident(self) -> bool:
        """Whether the pool's inputs fit into their share of the device's free memory."""
        if self._fits is None:
            self._fits = self.inputs.nbytes <= RESIDENT_SHARE * free_bytes(self.device)
        return self._fits

    def autocast(self) -> AbstractContextManager[object]:
        """Return a context in which networks run in this round's precision."""
        return autocast(self.device, self.precision)


def spread_rows(rows: np.ndarray, count: int) -> np.ndarray:
    """Return at most ``count`` of ``rows``, evenly spread."""
    return rows[:: max(1, -(-len(rows) // count))]


def labeling_progress(
    number: int, *, labeled: int, first: int, query_size: int, total: int, budget: int
) -> float:
    """Return the progress of the labeling: 0 at the first query, 1 at the last one.

    With a budget the last query is the one that spends it; without a budget it is the tenth.

    Args:
        number: Round number.
        labeled: Pool images with a label.
        first: Of these, images that no query asked, such as imported labels.
        query_size: Images per query.
        total: Pool images.
        budget: Labels allowed in all; 0 sets no limit.
    """
    if not budget:
        return min(1.0, number / 10)
    asked, before_last = labeled - first, min(budget, total) - query_size - first
    if before_last <= 0:
        return 0.0 if asked <= 0 else 1.0
    return min(1.0, max(0.0, asked / before_last))
