"""The sampler that TA-VAAL ranks by and exports."""

import torch
from torch import Tensor, nn

from dgaal_cli.methods.ta_vaal.ranker import Ranker
from dgaal_cli.methods.vaal_family.samplers import LatentSampler
from dgaal_cli.methods.vaal_family.vae import Vae
from dgaal_cli.networks.classifier import Classifier


class RankedLatentSampler(LatentSampler):
    """D on the encoder's mean and the rank of T's loss."""

    def __init__(
        self, vae: Vae, discriminator: nn.Module, classifier: Classifier, ranker: Ranker
    ) -> None:
        super().__init__(vae, discriminator, classifier)
        self.ranker = ranker

    def seen(self, images: Tensor, mean: Tensor) -> Tensor:
        """Add the rank in 0..1 to the mean."""
        rank = self.ranker(self.classifier.stages(images).maps)
        return torch.cat([mean, torch.sigmoid(rank)[:, None]], 1)
