"""SRAAL (Zhang et al. 2020): joint latents of image and label, D's targets by T's uncertainty."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from dgaal_cli.config.schema import Config
from dgaal_cli.methods.base import TaskShape
from dgaal_cli.methods.vaal_family.draws import Extras
from dgaal_cli.methods.vaal_family.game import GameRules
from dgaal_cli.methods.vaal_family.method import PoolSampling, latent_networks
from dgaal_cli.training.classifier import predict
from dgaal_cli.training.data import RoundData

RECONSTRUCTION_WEIGHT = 5.0
CLASS_WEIGHT = 5.0
DISCRIMINATOR_LAYERS = 4


class Sraal(PoolSampling):
    """Half of the latents reconstruct the image, half predict its class; D has soft targets.

    D's target is 1 for labeled images and ``w (1 - u)`` for unlabeled ones, u the online
    uncertainty indicator of T: the more certain T is of an image, the more it counts as labeled.

    Corrected: w, ``vaal.certainty_weight``, is below 1 (published: 1, so D calls everything labeled
    that T is certain of, even a region without labels in which T is wrong); the indicator's
    variances have one denominator (published: n and n - 1 mixed); the encoder is trained so that
    both pools look *labeled* (published: 1, which means unlabeled there); the KL divergence is
    weighted as in ``vaal`` (published: a decoder variance of values / 10); scoring is in eval mode
    without mirroring. ``network.latent`` is the width of each half.
    """

    name = "sraal"
    needs_boundary = True

    def __init__(self, config: Config, shape: TaskShape) -> None:
        net = config.network
        vae, discriminator = latent_networks(
            config, shape, latent=2 * net.latent, decoded=net.latent, layers=DISCRIMINATOR_LAYERS
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
        """Set D's targets by T's uncertainty on the pool, and the labels."""
        if is_game:
            extras.is_labeled = self.targets(data)
            extras.classes = torch.from_numpy(data.targets)

    def targets(self, data: RoundData) -> Tensor | None:
        """Return D's target for every pool row: 1 if labeled, else w (1 - u) of T."""
        unlabeled = data.unlabeled_rows
        prediction = predict(self.classifier, data.inputs[unlabeled], data.device)
        targets = np.ones(len(data.pixels), np.float32)
        certainty = 1.0 - uncertainty_indicator(prediction.image_probabilities)
        targets[unlabeled] = self.config.vaal.certainty_weight * certainty
        return torch.from_numpy(targets)


def uncertainty_indicator(probabilities: np.ndarray) -> np.ndarray:
    """Return u = 1 - p_max MinVar / Var of ``(N, K)`` probabilities, in 0..1, ``(N,)``.

    Var is the variance of the vector, MinVar the minimum for that maximum, when the rest
    is spread evenly. If both are zero, their ratio is one.
    """
    classes = probabilities.shape[1]
    top = probabilities.max(1)
    rest = (1.0 - top) / max(classes - 1, 1)
    mean = 1.0 / classes
    minimum = ((top - mean) ** 2 + (classes - 1) * (rest - mean) ** 2) / classes
    variance = ((probabilities - mean) ** 2).mean(1)
    ratio = np.divide(minimum, variance, out=np.ones_like(minimum), where=variance > 1e-12)
    return np.clip(1.0 - top * np.minimum(ratio, 1.0), 0.0, 1.0)
