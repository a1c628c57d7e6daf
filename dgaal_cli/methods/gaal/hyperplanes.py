"""GAAL's learner: linear support vector machines, and how far an image is from them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dgaal_cli.methods.task_model_only import ClassifierSampler
from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.data import Inputs, RoundData
from dgaal_cli.training.linear import fit_hyperplanes
from dgaal_cli.training.modes import encode_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperplanes:
    """Decision values ``x W^T + b`` of flattened images in [-1, 1].

    With two classes the difference of the two values is the machine's f. With more, the boundary
    nearest to an image is the one between its two highest values.
    """

    weights: Tensor
    """``(K, P)``."""
    biases: Tensor
    """``(K,)``."""

    def values(self, images: Tensor) -> Tensor:
        """Return ``(B, K)`` for images ``(B, C, H, W)`` or features ``(B, D)``."""
        return images.flatten(1) @ self.weights.T + self.biases

    def gaps(self, images: Tensor) -> Tensor:
        """Return the difference of the two highest decision values, ``(B,)``: |f| with two."""
        top = self.values(images).topk(2, dim=1).values
        return top[:, 0] - top[:, 1]

    def distances(self, images: Tensor) -> Tensor:
        """Return the root mean square change of a pixel to the nearest boundary, ``(B,)``.

        ``|W x + b| / |W| / sqrt(P)``: GAAL's objective in units of a pixel's value, so that weights
        and rates mean the same for every machine.
        """
        top = self.values(images).topk(2, dim=1)
        normal = self.weights[top.indices[:, 0]] - self.weights[top.indices[:, 1]]
        length = (normal**2).mean(1).sqrt().clamp_min(1e-12) * normal.shape[1]
        return (top.values[:, 0] - top.values[:, 1]) / length

    def pool_gaps(self, inputs: Inputs, device: torch.device) -> np.ndarray:
        """Return the gaps of uint8 pixels ``(N, S, S, C)`` or features ``(N, D)``, float64."""
        with torch.no_grad():
            return encode_rows(lambda x: self.gaps(x.double()), inputs, device).cpu().numpy()


def learn_hyperplanes(data: RoundData, *, penalty: float) -> Hyperplanes:
    """Fit the machine on all current labels of two classes or more, also of synthetic images.

    The fit is a function of the labels alone, so a query repeats it instead of loading it.
    ``penalty`` is C of the support vector machine.
    """
    images, labels = labeled_images(data)
    weights, biases = fit_hyperplanes(
        images.flatten(1).double().numpy(), labels, data.task.outputs, penalty=penalty
    )
    return Hyperplanes(
        weights=torch.from_numpy(weights).to(data.device),
        biases=torch.from_numpy(biases).to(data.device),
    )


def labeled_images(data: RoundData) -> tuple[Tensor, np.ndarray]:
    """Return labeled images ``(L, C, H, W)`` in [-1, 1], or their features ``(L, D)``, and labels.

    Both are on the CPU; the labels are int64 ``(L,)``.
    """
    return normalize(torch.from_numpy(data.training_inputs)), data.training_targets


class HyperplaneSampler(ClassifierSampler):
    """Closeness to the boundary of a linear learner: 1 / (1 + distance).

    Args:
        weights: ``(J, P)`` weights of the learner's J decision values.
        biases: ``(J,)``.
    """

    weights: Tensor
    biases: Tensor

    def __init__(self, classifier: Classifier, weights: Tensor, biases: Tensor) -> None:
        super().__init__(classifier)
        self.register_buffer("weights", weights)
        self.register_buffer("biases", biases)

    def score(self, images: Tensor, logits: Tensor, features: Tensor) -> Tensor:
        """``1 / (1 + half the gap of the two highest decision values)``."""
        values = images.flatten(1) @ self.weights.T + self.biases
        top = torch.sort(values, dim=1, descending=True).values
        gap = 0.5 * (top[:, 0] - top[:, 1])
        return 1.0 / (1.0 + gap)
