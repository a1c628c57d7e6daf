"""The game of DCGAN over the whole pool, once, before the first query."""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from dgaal_cli.config.schema import GaalConfig
from dgaal_cli.methods.gaal.dcgan import DcganDiscriminator, DcganGenerator, draw_prior
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.device import to_device
from dgaal_cli.training.optimizers import take_step
from dgaal_cli.training.phase import LastBatch, Losses, Phase, draw_rows

BETAS = (0.5, 0.999)
GENERATOR_STEPS = 2
"""For each step of the discriminator, as in the code that GAAL's authors cite."""


def dcgan_phase(
    generator: DcganGenerator,
    discriminator: DcganDiscriminator,
    config: GaalConfig,
    data: RoundData,
) -> Phase:
    """One step of the discriminator, two of the generator; non-saturating cross-entropy.

    It uses all usable images of the pool, labeled or not, and no labels.
    """
    rows = torch.from_numpy(data.is_usable.nonzero()[0])
    optimizers = {
        name: torch.optim.Adam(network.parameters(), lr=config.lr, betas=BETAS)
        for name, network in (("generator", generator), ("discriminator", discriminator))
    }

    last = LastBatch()

    def draw(rng: Generator) -> Tensor:
        return generator(to_device(draw_prior(config.batch, config.latent, rng), data.device))

    def step(_step: int, rng: Generator) -> Losses:
        drawn = draw_rows(rows, config.batch, rng)
        last.note(data.item_ids, drawn)
        real = normalize(data.images(drawn))
        discriminator.requires_grad_(requires_grad=True)
        fake = draw(rng).detach()
        verdict = F.softplus(-discriminator(real)).mean() + F.softplus(discriminator(fake)).mean()
        take_step(optimizers["discriminator"], verdict)
        discriminator.requires_grad_(requires_grad=False)
        deceit = verdict
        for _ in range(GENERATOR_STEPS):
            deceit = F.softplus(-discriminator(draw(rng))).mean()
            take_step(optimizers["generator"], deceit)
        discriminator.requires_grad_(requires_grad=True)
        return {"dcgan_discriminator": verdict, "dcgan_generator": deceit}

    passes = config.epochs * len(rows) / config.batch
    return Phase(
        name="dcgan",
        title="learning to draw the pool",
        steps=max(config.min_steps, round(passes), 1),
        networks={"dcgan_generator": generator, "dcgan_discriminator": discriminator},
        optimizers=dict(optimizers),
        step=step,
        last=last,
        cost=4.0,
    )
