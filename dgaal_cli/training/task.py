"""The training side of a task: how targets are learned, predicted and measured."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from torch import Tensor

from dgaal_cli.networks.classifier import Head

if TYPE_CHECKING:
    from dgaal_cli.training.data import RoundData


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """T's predictions for N images, on the CPU; query rules rank by them."""

    probabilities: np.ndarray
    """float64 ``(N, K)``, or ``(N, P, K)`` if a task predicts at P places of an image."""
    features: np.ndarray
    """float32 ``(N, F)``: penultimate features h."""

    @property
    def image_probabilities(self) -> np.ndarray:
        """float64 ``(N, K)``: one distribution per image, the mean over its places."""
        own = self.probabilities
        return own if own.ndim == 2 else own.mean(axis=tuple(range(1, own.ndim - 1)))


class LearningTask(Protocol):
    """One kind of target, such as a class or a mask, for a given list of classes.

    Targets are arrays whose first dimension counts images; only the task interprets them.
    """

    @property
    def outputs(self) -> int:
        """Number K of outputs of T at one place."""
        ...

    def head(self, features: int, stage_widths: tuple[int, ...]) -> Head:
        """Build T's head for F features and for maps of its stages."""
        ...

    def blank(self, count: int) -> np.ndarray:
        """Return ``(count, ...)`` targets of images without a label."""
        ...

    def can_learn(self, data: "RoundData") -> bool:
        """Whether the round's labels suffice to train T."""
        ...

    def gaps(self, data: "RoundData") -> list[str]:
        """Describe what the round's labels lack, one sentence each."""
        ...

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return T's loss ``(B,)`` on each image, differentiable."""
        ...

    def pseudo_targets(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return T's predicted targets ``(B, ...)`` and their confidence ``(B,)`` in 0..1."""
        ...

    def decide(self, prediction: Prediction) -> np.ndarray:
        """Return the predicted targets ``(N, ...)``."""
        ...

    def guess(self, data: "RoundData", count: int) -> np.ndarray:
        """Return ``(count, ...)`` targets to predict while T cannot learn."""
        ...

    def measure(self, predicted: np.ndarray, targets: np.ndarray) -> float:
        """Return the metric of at least one predicted target, 0..1, higher is better."""
        ...

    def is_equal(self, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """Compare two ``(N, ...)`` targets image by image, bool ``(N,)``."""
        ...

    def class_counts(self, targets: np.ndarray) -> np.ndarray:
        """Count images, or places of images, of each class, int64 ``(K,)``."""
        ...

    def confusion(self, targets: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Count pairs of true (rows) and predicted class, int64 ``(K, K)``."""
        ...

    def agreement(self, prediction: Prediction, targets: np.ndarray) -> np.ndarray:
        """Return T's probability ``(N,)`` of each image's target."""
        ...

    def groups(self, targets: np.ndarray) -> np.ndarray:
        """Return the group int64 ``(N,)`` of each target; synthesis is balanced over groups."""
        ...
