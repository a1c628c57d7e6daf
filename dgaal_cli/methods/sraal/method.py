"""SRAAL (Zhang et al. 2020): images and labels share latents, and D is told how unsure T is."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from dgaal_cli.config.schema import Config
from dgaal_cli.methods.base import TaskShape
from dgaal_cli.methods.vaal_family.game import GameRules
from dgaal_cli.methods.vaal_family.method import PoolSampling, latent_networks
from dgaal_cli.methods.vaal_family.phases import Extras
from dgaal_cli.training.classifier import predict
from dgaal_cli.training.data import RoundData

RECONSTRUCTION_WEIGHT = 5.0
CLASS_WEIGHT = 5.0
DISCRIMINATOR_LAYERS = 4


class Sraal(PoolSampling):
    """Half of the latents redraw the image, half name its class; unlabeled is a matter of degree.

    D's target is 1 for labeled images and ``w (1 - u)`` for unlabeled ones, u the online
    uncertainty indicator of T: the surer T is of an image, the more it counts as labeled.

    Put right: w, ``vaal.certainty_weight``, is below 1 (published: 1, and D calls labeled whatever
    T is sure of, a region without labels that it is wrong about included); the indicator's
    variances have one denominator (published: n and n - 1 mixed); the encoder wants both pools to
    look *labeled* (published: 1, which there means unlabeled); the KL divergence is weighted as in
    ``vaal`` (published: a decoder variance of values / 10); scoring is in eval mode without
    mirroring. ``network.latent`` is the width of each half.
    """

    name = "sraal"
    needs_boundary = True

    def __init__(self, config: Config, shape: TaskShape) -> None:
        net = config.network
        vae, discriminator = latent_networks(
            config,
            shape,
            latent=2 * net.latent,
            decoded=net.latent,
            layers=DISCRIMINATOR_LAYERS,
        )
        super().__init__(config, shape, vae=vae, discriminator=discriminator)
        hidden = net.latent_hidden
        self.modules["latent_classifier"] = nn.Sequential(  # 1024 and 256 at the published 512
            nn.Linear(net.latent, 2 * hidden),
            nn.ReLU(),
            nn.Linear(2 * hidden, max(1, hidden // 2)),
            nn.ReLU(),
            nn.Linear(max(1, hidden // 2), shape.task.outputs),
        )

    def rules(self, *, is_game: bool) -> GameRules:
        """Reconstruction and classes at the published weights."""
        return replace(
            super().rules(is_game=is_game),
            reconstruction_weight=RECONSTRUCTION_WEIGHT,
            class_weight=CLASS_WEIGHT,
        )

    def prepare(self, data: RoundData, extras: Extras, *, is_game: bool) -> None:
        """Take T's uncertainty on the pool, and the labels."""
        if is_game:
            extras.is_labeled = self.targets(data)
            extras.classes = torch.from_numpy(data.targets)

    def targets(self, data: RoundData) -> Tensor | None:
        """What D shall say of every pool row: 1 for labeled ones, else w (1 - u) of T."""
        unlabeled = data.unlabeled_rows
        prediction = predict(self.classifier, data.pixels[unlabeled], data.device)
        said = np.ones(len(data.pixels), np.float32)
        certainty = 1.0 - uncertainty_indicator(prediction.image_probabilities)
        said[unlabeled] = self.config.vaal.certainty_weight * certainty
        return torch.from_numpy(said)


def uncertainty_indicator(probabilities: np.ndarray) -> np.ndarray:
    """Return u = 1 - p_max MinVar / Var of ``(N, K)`` probabilities, in 0..1, ``(N,)``.

    Var is the variance of the vector, MinVar that of the vector with the same maximum and the rest
    spread evenly, the least there can be; where both are zero their ratio is one.
    """
    classes = probabilities.shape[1]
    largest = probabilities.max(1)
    rest = (1.0 - largest) / max(classes - 1, 1)
    mean = 1.0 / classes
    least = ((largest - mean) ** 2 + (classes - 1) * (rest - mean) ** 2) / classes
    variance = ((probabilities - mean) ** 2).mean(1)
    ratio = np.divide(least, variance, out=np.ones_like(least), where=variance > 1e-12)
    return np.clip(1.0 - largest * np.minimum(ratio, 1.0), 0.0, 1.0)
