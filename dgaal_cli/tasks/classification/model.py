"""Training side of classification: a target is one class index, -1 without a label."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dgaal_cli.tasks.class_gaps import class_gaps
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.task import Prediction

NO_CLASS = -1


class ClassHead(nn.Linear):
    """One logit per class."""

    def forward(self, input: Tensor, maps: Sequence[Tensor] = ()) -> Tensor:  # noqa: A002, ARG002
        """Return logits ``(B, K)`` of features ``(B, F)``."""
        return super().forward(input)

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Return the softmax of logits."""
        return torch.softmax(outputs, dim=-1)


@dataclass(frozen=True, slots=True)
class ClassLearning:
    """Cross-entropy over K classes, measured by accuracy. See ``training.task``."""

    outputs: int
    """Number of classes K, at least 1."""

    def head(self, features: int, stage_widths: tuple[int, ...]) -> ClassHead:  # noqa: ARG002
        """Return one linear layer."""
        return ClassHead(features, self.outputs)

    def blank(self, count: int) -> np.ndarray:
        """Return int64 ``(count,)`` of ``NO_CLASS``."""
        return np.full(count, NO_CLASS, dtype=np.int64)

    def can_learn(self, data: RoundData) -> bool:
        """Whether at least two classes have labels."""
        return len(present_classes(data)) >= 2

    def gaps(self, data: RoundData) -> list[str]:
        """See ``class_gaps``."""
        return class_gaps(set(present_classes(data).tolist()), data.class_names)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cross-entropy in nats."""
        return F.cross_entropy(outputs, targets, reduction="none")

    def pseudo_targets(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the most probable class and its probability."""
        confidence, classes = torch.softmax(outputs, dim=1).max(1)
        return classes, confidence

    def decide(self, prediction: Prediction) -> np.ndarray:
        """Return the most probable class."""
        return prediction.probabilities.argmax(1).astype(np.int64)

    def guess(self, data: RoundData, count: int) -> np.ndarray:
        """Return the first class with labels, else class 0."""
        present = present_classes(data)
        return np.full(count, int(present[0]) if len(present) else 0, dtype=np.int64)

    def measure(self, predicted: np.ndarray, targets: np.ndarray) -> float:
        """Return the accuracy."""
        return float((predicted == targets).mean())

    def is_equal(self, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """Return whether the classes are equal."""
        return ours == theirs

    def class_counts(self, targets: np.ndarray) -> np.ndarray:
        """Count images of each class."""
        return np.bincount(targets, minlength=self.outputs)

    def confusion(self, targets: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Count images by class and predicted class."""
        cells = np.bincount(targets * self.outputs + predicted, minlength=self.outputs**2)
        return cells.reshape(self.outputs, self.outputs)

    def agreement(self, prediction: Prediction, targets: np.ndarray) -> np.ndarray:
        """Return T's probability of the target's class."""
        return prediction.probabilities[np.arange(len(targets)), targets]

    def groups(self, targets: np.ndarray) -> np.ndarray:
        """Return the classes themselves."""
        return targets


def present_classes(data: RoundData) -> np.ndarray:
    """Return the classes with a training label, ascending; labeled synthetic images count."""
    return np.unique(data.training_targets)
