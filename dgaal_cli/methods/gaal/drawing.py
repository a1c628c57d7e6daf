"""Base of GAAL's methods: T, a DCGAN trained once on the pool, and synthetic queries."""

import numpy as np
import torch
from torch import Tensor, nn

from dgaal_cli.config.schema import Config
from dgaal_cli.methods.base import (
    MAX_SAMPLES,
    Ranking,
    SyntheticBatch,
    SyntheticQuery,
    TaskShape,
    synthetic_batch,
)
from dgaal_cli.methods.gaal.dcgan import DcganDiscriminator, DcganGenerator, dcgan_phase, draw_prior
from dgaal_cli.methods.task_model_only import TaskModelOnly
from dgaal_cli.networks.deploy import Deployed, Generator, Input
from dgaal_cli.networks.pixels import denormalize, normalize
from dgaal_cli.training.data import RoundData, spread_rows
from dgaal_cli.training.modes import evaluating
from dgaal_cli.training.phase import Phase
from dgaal_cli.training.seeding import torch_generator

GAUGED = 256
COLD_START = "random pool images (no labels of two classes, so no boundary to draw at)"
"""The paper's first fifty images are random, too."""


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


class SynthesisMethod(TaskModelOnly):
    """Trains the DCGAN before round 0 and keeps it; T each round, as in every method."""

    def __init__(self, config: Config, shape: TaskShape) -> None:
        super().__init__(config, shape)
        sizes = {"channels": shape.channels, "image_size": shape.image_size}
        width = config.gaal.width
        self.generator = DcganGenerator(**sizes, latent=config.gaal.latent, width=width)
        self.discriminator = DcganDiscriminator(**sizes, width=width)
        drawing: dict[str, nn.Module] = {
            "dcgan_generator": self.generator,
            "dcgan_discriminator": self.discriminator,
        }
        self.modules |= drawing
        self.carried: frozenset[str] = frozenset(drawing)

    def learn(self, data: RoundData) -> list[Phase]:
        """The DCGAN before round 0, then T on the current labels."""
        first = (
            [dcgan_phase(self.generator, self.discriminator, self.config.gaal, data)]
            if data.is_first
            else []
        )
        return [*first, *super().learn(data)]

    def deploy(self, data: RoundData) -> list[Deployed]:
        """The classifier, and the generator of the DCGAN."""
        return [*super().deploy(data), DeployedPrior(self.generator)]

    def health(self, data: RoundData) -> dict[str, float]:
        """Measure whether synthetic images vary and look real to D.

        ``drawn_spread`` is the mean standard deviation of a pixel over synthetic images, relative
        to that over the pool; near 0 all images are the same. ``drawn_passes`` is the share of
        synthetic images that D calls real, ``real_passes`` that of pool images.
        """
        draws = torch_generator(data.seed, data.number, "health")
        rows = spread_rows(np.flatnonzero(data.is_usable), GAUGED)
        real = normalize(torch.from_numpy(np.array(data.pixels[rows])).to(data.device))
        with evaluating(self.generator, self.discriminator):
            drawn = self.generator(draw_prior(GAUGED, self.generator.latent, draws).to(data.device))
            passes = [float((self.discriminator(x) > 0).float().mean()) for x in (drawn, real)]
        spread = float(drawn.std(0).mean()) / max(float(real.std(0).mean()), 1e-9)
        return {"drawn_spread": spread, "drawn_passes": passes[0], "real_passes": passes[1]}

    def sample_images(self, data: RoundData) -> SyntheticBatch | None:
        """Images of the same latents in every round."""
        z = draw_prior(MAX_SAMPLES, self.generator.latent, torch_generator(data.seed, "samples"))
        with evaluating(self.generator):
            return synthetic_batch(self.generator(z.to(data.device)), [-1] * MAX_SAMPLES)

    def synthesis_ranking(
        self,
        data: RoundData,
        images: Tensor,
        image_scores: np.ndarray,
        *,
        pool_scores: np.ndarray,
        strategy: str,
        reason: str,
    ) -> Ranking:
        """Ask synthetic images ``(M, C, H, W)`` in [-1, 1], in this order, and no pool image.

        ``image_scores`` ``(M,)`` and ``pool_scores`` ``(U,)`` of the unlabeled rows are by one
        measure.
        """
        return Ranking(
            rows=data.unlabeled_rows,
            scores=pool_scores.astype(np.float32),
            picks=[],
            synthesized=SyntheticQuery(
                images=synthetic_batch(images, [-1] * len(images)),
                scores=image_scores.astype(np.float32),
                reason=reason,
            ),
            strategy=strategy,
        )
