"""What training, methods and rounds ask a task: how its targets are learned, read and measured."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from torch import Tensor

from dgaal_cli.networks.classifier import Head

if TYPE_CHECKING:
    from dgaal_cli.training.data import RoundData


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What T predicts of N images, on the CPU: what query rules rank by."""

    probabilities: np.ndarray
    """float64 ``(N, K)``, or ``(N, P, K)`` where a task predicts at P places of an image."""
    features: np.ndarray
    """float32 ``(N, F)``: penultimate features h."""

    @property
    def image_probabilities(self) -> np.ndarray:
        """float64 ``(N, K)``: one distribution an image, the mean over its places."""
        own = self.probabilities
        return own if own.ndim == 2 else own.mean(axis=tuple(range(1, own.ndim - 1)))


class LearningTask(Protocol):
    """One kind of target, such as a class or a mask, for a given list of classes.

    Targets are arrays whose leading dimension counts images; only the task looks into them.
    """

    @property
    def outputs(self) -> int:
        """Width K of what T predicts at one place."""
        ...

    def head(self, features: int, stage_widths: tuple[int, ...]) -> Head:
        """Build what T puts on F features and on the maps of its stages."""
        ...

    def blank(self, count: int) -> np.ndarray:
        """Return ``(count, ...)`` targets of images without a label."""
        ...

    def can_learn(self, data: "RoundData") -> bool:
        """Whether the round's labels suffice to train T."""
        ...

    def gaps(self, data: "RoundData") -> list[str]:
        """Say in one sentence each what the round's labels lack."""
        ...

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return T's loss ``(B,)`` on each image, differentiable."""
        ...

    def pseudo_targets(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the targets ``(B, ...)`` that T predicts, and how sure it is, ``(B,)`` in 0..1."""
        ...

    def decide(self, prediction: Prediction) -> np.ndarray:
        """Return the predicted targets ``(N, ...)``."""
        ...

    def guess(self, data: "RoundData", count: int) -> np.ndarray:
        """Return ``(count, ...)`` targets to answer with while T cannot learn."""
        ...

    def measure(self, predicted: np.ndarray, targets: np.ndarray) -> float:
        """Return how well predicted targets match, 0..1, higher is better; at least one image."""
        ...

    def is_equal(self, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """Compare two ``(N, ...)`` targets image by image, bool ``(N,)``."""
        ...

    def class_counts(self, targets: np.ndarray) -> np.ndarray:
        """Count the classes that targets name, int64 ``(K,)``: images, or places of images."""
        ...

    def confusion(self, targets: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Count pairs of true (rows) and predicted class, int64 ``(K, K)``."""
        ...

    def agreement(self, prediction: Prediction, targets: np.ndarray) -> np.ndarray:
        """Return the probability ``(N,)`` that T gives each image's target."""
        ...

    def groups(self, targets: np.ndarray) -> np.ndarray:
        """Return the group int64 ``(N,)`` of each target, among which synthesis is balanced."""
        ...
