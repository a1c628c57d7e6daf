"""A task other than classification: a 2 x 2 mask of classes per image, -1 without a label."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from no_synthetic import no_synthetic_images
from small_rounds import small_data
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dgaal_cli.training.data import RoundData
from dgaal_cli.training.task import Prediction

PLACES = 4


class MaskHead(nn.Module):
    """A hidden layer, then logits ``(B, 4, K)``; a class head has only one layer."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.hidden = nn.Linear(features, 16)
        self.places = nn.Linear(16, PLACES * classes)

    def forward(self, features: Tensor, maps: Sequence[Tensor] = ()) -> Tensor:
        found = self.places(torch.relu(self.hidden(features)))
        return found.unflatten(-1, (PLACES, self.classes))

    def probabilities(self, outputs: Tensor) -> Tensor:
        return torch.softmax(outputs, dim=-1)


@dataclass(frozen=True, slots=True)
class MaskLearning:
    """Cross-entropy averaged over positions; the metric of T is the share of correct positions."""

    outputs: int

    def head(self, features: int, stage_widths: tuple[int, ...]) -> MaskHead:
        return MaskHead(features, self.outputs)

    def blank(self, count: int) -> np.ndarray:
        return np.full((count, 2, 2), -1, dtype=np.int64)

    def can_learn(self, data: RoundData) -> bool:
        return len(data.training_targets) >= 2

    def gaps(self, data: RoundData) -> list[str]:
        return [] if self.can_learn(data) else ["no masks yet"]

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        flat = cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="none")
        return flat.view(len(targets), PLACES).mean(1)

    def pseudo_targets(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        confidence, classes = torch.softmax(outputs, dim=-1).max(-1)
        return classes.view(-1, 2, 2), confidence.mean(1)

    def decide(self, prediction: Prediction) -> np.ndarray:
        return prediction.probabilities.argmax(-1).reshape(-1, 2, 2).astype(np.int64)

    def guess(self, data: RoundData, count: int) -> np.ndarray:
        return np.zeros((count, 2, 2), dtype=np.int64)

    def measure(self, predicted: np.ndarray, targets: np.ndarray) -> float:
        return float((predicted == targets).mean())

    def is_equal(self, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        return (ours == theirs).all((1, 2))

    def class_counts(self, targets: np.ndarray) -> np.ndarray:
        return np.bincount(targets.ravel(), minlength=self.outputs)

    def confusion(self, targets: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        pairs = targets.ravel() * self.outputs + predicted.ravel()
        cells = np.bincount(pairs, minlength=self.outputs**2)
        return cells.reshape(self.outputs, self.outputs)

    def agreement(self, prediction: Prediction, targets: np.ndarray) -> np.ndarray:
        flat = targets.reshape(len(targets), PLACES, 1)
        return np.take_along_axis(prediction.probabilities, flat, -1)[..., 0].mean(1)

    def groups(self, targets: np.ndarray) -> np.ndarray:
        return (targets.reshape(len(targets), -1).mean(1) >= 0.5).astype(np.int64)


def masked_data(count: int = 60, labeled: int = 16, *, number: int = 0) -> RoundData:
    """Return images with independently dark or bright quadrants; the mask has the brightness."""
    rng = np.random.default_rng(number)
    truth = rng.integers(2, size=(count, 2, 2))
    level = np.kron(np.where(truth == 1, 200, 55), np.ones((4, 4), int))[..., None]
    pixels = (level + rng.integers(-45, 45, (count, 8, 8, 1))).clip(0, 255).astype(np.uint8)
    task = MaskLearning(2)
    targets, is_labeled = task.blank(count), np.arange(count) < labeled
    targets[is_labeled] = truth[is_labeled]
    return replace(
        small_data(count, number=number),
        task=task,
        pixels=pixels,
        targets=targets,
        is_labeled=is_labeled,
        synthetic=no_synthetic_images(8, 1, task),
        test_pixels=pixels,
        test_targets=truth,
    )
