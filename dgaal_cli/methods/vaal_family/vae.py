"""VAAL's networks (Sinha, Ebrahimi & Darrell 2019): variational autoencoder and discriminators."""

import itertools
import math
from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Chain(nn.Sequential):
    """``Sequential`` with its own ``forward``.

    torch.compile identifies earlier compilations by the code of ``forward``. A plain ``Sequential``
    would be compiled again for every instance, and so in every round.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that Sequential gives it
        """Apply the modules in order."""
        for module in self:
            input = module(input)  # noqa: A001
        return input


class SplitBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d that treats its batch as ``groups`` equal batches, in order.

    Two pools that go through a network one after the other are normalized separately. Stacking them
    saves calls, but plain BatchNorm would then mix their statistics, which are a signal for a
    discriminator of pools. With split statistics the stacked call equals the separate ones, running
    statistics included. The state is that of ``BatchNorm2d``, and so is the result with one group
    or in eval mode.
    """

    groups = 1

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that BatchNorm2d gives it
        """Normalize ``(groups * B, C, H, W)``; running statistics are updated group by group."""
        if self.groups == 1 or not self.training:
            return super().forward(input)
        normalize = super().forward
        return torch.cat([normalize(part) for part in input.chunk(self.groups)])


@contextmanager
def stacked(module: nn.Module, groups: int) -> Generator[None]:
    """Within the block, ``module`` treats its batches as ``groups`` stacked ones."""
    norms = [m for m in module.modules() if isinstance(m, SplitBatchNorm2d)]
    before = [norm.groups for norm in norms]
    for norm in norms:
        norm.groups = groups
    try:
        yield
    finally:
        for norm, old in zip(norms, before, strict=True):
            norm.groups = old


MAP_SIDE = 2
"""Side in pixels of the encoder's last map; the decoder starts at twice that."""


class Vae(nn.Module):
    """Convolutional VAE: halved to 2 x 2 by 4 x 4 kernels, and back by transposed ones.

    With ``width`` 128 at 32 x 32 it is the published one: 128-256-512-1024 channels, linear heads
    for mean and log variance, a decoder whose last layer is 1 x 1 and linear, 22.8 M parameters at
    Z = 32. Other sizes have as many halvings as they need; channels double up to eight times
    ``width``.

    Args:
        image_size: Side in pixels, a power of two of at least 8.
        width: Channels of the first block.
        latent: Width Z of the latent space.
        decoded: Number of latent values that the decoder sees, None for all; SRAAL uses the others
            for its classifier.
        conditions: Number of values that the decoder sees in addition to z; TA-VAAL's rank.
    """

    called_parts = ("body", "decoder")

    def __init__(
        self,
        *,
        channels: int,
        image_size: int,
        width: int,
        latent: int,
        decoded: int | None = None,
        conditions: int = 0,
    ) -> None:
        super().__init__()
        widths = _widths(image_size, width)
        self.body = _halving(channels, widths)
        self.mean = nn.Linear(widths[-1] * MAP_SIDE**2, latent)
        self.log_variance = nn.Linear(widths[-1] * MAP_SIDE**2, latent)
        self.latent = latent
        self.decoded = latent if decoded is None else decoded
        self.decoder: nn.Module = VaeDecoder(channels, widths, self.decoded + conditions)
        self._initialize()

    def _initialize(self) -> None:
        """He initialization inside the bodies; heads and transposed convolutions keep the default.

        The published code intends to initialize all of them but does not reach these.
        """
        for module in (*self.body, *self.decoder.modules()):
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance, each ``(B, Z)``, for images ``(B, C, H, W)`` in [-1, 1]."""
        flat = self.body(images).flatten(1)
        return self.mean(flat), self.log_variance(flat)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return images ``(B, C, H, W)`` for z ``(B, Z)`` and conditions ``(B, conditions)``."""
        seen = z[:, : self.decoded]
        return self.decoder(seen if condition is None else torch.cat([seen, condition], 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return the mean ``(B, Z)``, the input of discriminators; the decoder does not run."""
        return self.mean(self.body(images).flatten(1))


class VaeDecoder(nn.Module):
    """The encoder's mirror: a linear layer to 4 x 4, transposed convolutions, a linear 1 x 1."""

    def __init__(self, channels: int, widths: list[int], inputs: int) -> None:
        super().__init__()
        self.side = 2 * MAP_SIDE
        self.width = widths[-1]
        self.expand = nn.Linear(inputs, self.width * self.side**2)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(reversed(widths)):
            layers += [
                nn.ConvTranspose2d(before, after, 4, 2, padding=1, bias=False),
                SplitBatchNorm2d(after),
                nn.ReLU(),
            ]
        self.body = nn.Sequential(*layers, nn.ConvTranspose2d(widths[0], channels, 1))

    def forward(self, z: Tensor) -> Tensor:
        """Return images ``(B, C, H, W)`` for z ``(B, inputs)``; not squashed, as published."""
        flat = self.expand(z)
        return self.body(flat.view(len(flat), self.width, self.side, self.side))


class FeatureVae(Vae):
    """The VAE with perceptrons of one hidden layer instead of convolutions, for features.

    Args:
        width: Numbers D in a row of features.
        hidden: Units of the hidden layers.
        latent: As in ``Vae``, and so are the others.
    """

    def __init__(
        self,
        *,
        width: int,
        hidden: int,
        latent: int,
        decoded: int | None = None,
        conditions: int = 0,
    ) -> None:
        nn.Module.__init__(self)  # other layers than Vae's, under the same names
        self.body = Chain(nn.Linear(width, hidden), nn.ReLU())
        self.mean = nn.Linear(hidden, latent)
        self.log_variance = nn.Linear(hidden, latent)
        self.latent = latent
        self.decoded = latent if decoded is None else decoded
        inputs = self.decoded + conditions
        self.decoder = Chain(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, width))


class PoolDiscriminator(nn.Module):
    """Perceptron of two hidden layers on latents: the logit of "this image is labeled".

    Args:
        hidden: Width of the hidden layers; 512 as published.
        layers: Hidden layers: 2 in the released VAAL, 4 in its paper and in SRAAL.
    """

    def __init__(self, *, inputs: int, hidden: int, layers: int = 2) -> None:
        super().__init__()
        body: list[nn.Module] = []
        for before, after in itertools.pairwise((inputs, *[hidden] * layers)):
            body += [nn.Linear(before, after), nn.ReLU()]
        self.body = nn.Sequential(*body, nn.Linear(hidden, 1))
        for module in self.body:
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, z: Tensor) -> Tensor:
        """Return logits ``(B,)`` for latents ``(B, inputs)``."""
        return self.body(z).squeeze(1)


class ImagePoolDiscriminator(nn.Module):
    """The VAE's encoder body with D's head: VAAL without a VAE. Arguments as ``Vae``."""

    def __init__(self, *, channels: int, image_size: int, width: int) -> None:
        super().__init__()
        widths = _widths(image_size, width)
        self.body = _halving(channels, widths)
        self.head = nn.Linear(widths[-1] * MAP_SIDE**2, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B,)`` for images ``(B, C, H, W)`` in [-1, 1]."""
        return self.head(self.body(images).flatten(1)).squeeze(1)


def _widths(image_size: int, width: int) -> list[int]:
    """Channels of each halving block."""
    halvings = round(math.log2(image_size / MAP_SIDE))
    return [width * min(2**depth, 8) for depth in range(halvings)]


def _halving(channels: int, widths: list[int]) -> Chain:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise((channels, *widths)):
        layers += [
            nn.Conv2d(before, after, 4, 2, padding=1, bias=False),
            SplitBatchNorm2d(after),
            nn.ReLU(),
        ]
    return Chain(*layers)
