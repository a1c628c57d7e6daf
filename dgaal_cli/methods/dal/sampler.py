"""The sampler that discriminative active learning exports."""

import torch
from torch import Tensor

from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.networks.deploy import UnlabeledSampler
from dgaal_cli.networks.latent_discriminator import LatentDiscriminator
from dgaal_cli.networks.pixels import normalize


class DiscriminativeSampler(UnlabeledSampler):
    """Logit of "unlabeled" that a perceptron gives the task model's features."""

    def __init__(self, classifier: Classifier, discriminator: LatentDiscriminator) -> None:
        super().__init__()
        self.classifier = classifier
        self.discriminator = discriminator

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Score images; the second output is P(unlabeled)."""
        logits, features = self.classifier(normalize(images))
        score = -self.discriminator(features)
        return score, torch.sigmoid(score), torch.softmax(logits, dim=1), features
