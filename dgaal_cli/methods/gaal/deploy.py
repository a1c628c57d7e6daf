"""GAAL's export wrappers: a generator with a latent prior, and a linear learner's sampler."""

import torch
from torch import Tensor

from dgaal_cli.methods.gaal.dcgan import DcganGenerator
from dgaal_cli.methods.task_model_only import ClassifierSampler
from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.networks.deploy import Generator, Input
from dgaal_cli.networks.pixels import denormalize


class DeployedPrior(Generator):
    """A DCGAN's generator: standard normal latents ``(N, Z)`` to uint8 images.

    It was trained on values uniform in [-1, 1], to which the error function maps normal ones. So
    all generators have the same prior, and smaller latents give more typical images.
    """

    def __init__(self, generator: DcganGenerator) -> None:
        super().__init__()
        self.generator = generator
        self.inputs = (
            Input(
                name="latents",
                width=generator.latent,
                meaning="from the latent prior: standard normal",
            ),
        )

    def forward(self, latents: Tensor) -> Tensor:
        """Generate images."""
        return denormalize(self.generator(torch.erf(latents * 0.5**0.5)))


class HyperplaneSampler(ClassifierSampler):
    """Closeness to the boundary of a linear learner on pixels: 1 / (1 + distance).

    Args:
        classifier: T, for the probabilities and features.
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
