"""DCGAN, the unconditional branch: z to images, images to the logit of "real", and their game.

Radford, Metz & Chintala 2016 in the form of its widely used TensorFlow code: 5 x 5 kernels of
stride 2, BatchNorm except at both image ends, weights from N(0, 0.02). GAAL (Zhu & Bento 2017)
trains it before there are labels, so the code's label-conditional branch for digits is not
included.
"""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from dgaal_cli.config.schema import GaalConfig
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.device import to_device
from dgaal_cli.training.optimizers import take_step
from dgaal_cli.training.phase import LastBatch, Losses, Phase, draw_rows

BETAS = (0.5, 0.999)
GENERATOR_STEPS = 2
"""For each step of the discriminator, as in the code that GAAL's authors cite."""
MAX_FACTOR = 8
"""The deepest layers have at most this many times ``width`` channels."""


class DcganGenerator(nn.Module):
    """z ``(B, Z)`` in [-1, 1] to images ``(B, C, H, W)`` in [-1, 1].

    A linear layer to the smallest map, of H / 16 pixels a side and at least two, then doublings.

    Args:
        image_size: Side in pixels, a power of two from 8.
        width: Channels at half the full resolution; 64 in the paper.
    """

    def __init__(self, *, channels: int, image_size: int, latent: int, width: int) -> None:
        super().__init__()
        self.latent = latent
        self.side, widths = _plan(image_size, width)
        before = widths[-1]
        self.project = nn.Linear(latent, before * self.side**2)
        layers: list[nn.Module] = [nn.BatchNorm2d(before), nn.ReLU()]
        for after in widths[-2::-1]:
            layers += [_doubling(before, after), nn.BatchNorm2d(after), nn.ReLU()]
            before = after
        self.body = nn.Sequential(*layers, _doubling(before, channels), nn.Tanh())
        self.apply(_initialize)

    def forward(self, z: Tensor) -> Tensor:
        """Generate images."""
        return self.body(self.project(z).unflatten(1, (-1, self.side, self.side)))


class DcganDiscriminator(nn.Module):
    """Images ``(B, C, H, W)`` in [-1, 1] to logits of "real" ``(B,)``; arguments as above."""

    def __init__(self, *, channels: int, image_size: int, width: int) -> None:
        super().__init__()
        side, widths = _plan(image_size, width)
        layers: list[nn.Module] = []
        before = channels
        for depth, after in enumerate(widths):
            layers.append(nn.Conv2d(before, after, 5, stride=2, padding=2))
            if depth:
                layers.append(nn.BatchNorm2d(after))
            layers.append(nn.LeakyReLU(0.2))
            before = after
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(before * side**2, 1)
        self.apply(_initialize)

    def features(self, images: Tensor) -> Tensor:
        """Return the last map averaged over its places, ``(B, F)``."""
        return self.body(images).mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        return self.head(self.body(images).flatten(1)).squeeze(1)


def draw_prior(count: int, latent: int, generator: Generator) -> Tensor:
    """Draw z ``(count, latent)``, uniform in [-1, 1], on the CPU: one seed, one z everywhere."""
    return 2.0 * torch.rand(count, latent, generator=generator) - 1.0


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


def _plan(image_size: int, width: int) -> tuple[int, list[int]]:
    """Side of the smallest map, and the channels after each halving, large maps first."""
    side = max(2, image_size // 16)
    halvings = round(math.log2(image_size / side))
    return side, [width * min(2**depth, MAX_FACTOR) for depth in range(halvings)]


def _doubling(before: int, after: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(before, after, 5, stride=2, padding=2, output_padding=1)


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
