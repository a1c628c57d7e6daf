"""Images as sparse sums of learned atoms, the representation of self-taught learning."""

from typing import Any, cast

import numpy as np
import torch
from torch import Generator, Tensor, nn

from dgaal_cli.config.schema import GaalConfig
from dgaal_cli.networks.classifier import HeadFactory
from dgaal_cli.networks.linear import LinearMachine
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.optimizers import take_step
from dgaal_cli.training.phase import LastBatch, Losses, Phase, draw_rows

ITERATIONS = 50
LR = 3e-3
MEAN_SAMPLE = 4096


class SparseCoder(nn.Module):
    """Codes a that minimize ``0.5 |x - mean - a D|^2 + sparsity |a|_1``.

    Raina, Battle, Lee, Packer & Ng 2007, eq. 1 and 2, solved by FISTA (Beck & Teboulle 2009) in a
    fixed number of steps, so that the module can be exported.

    Args:
        inputs: Values P of an image.
        atoms: Rows A of the dictionary D, each of length one.
        sparsity: Weight of the codes' absolute values, in units of an image's values.
    """

    mean: Tensor
    lipschitz: Tensor

    def __init__(self, *, inputs: int, atoms: int, sparsity: float) -> None:
        super().__init__()
        self.sparsity = sparsity
        self.atoms = nn.Parameter(torch.randn(atoms, inputs))
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("lipschitz", torch.ones(()))
        self.normalize_atoms()

    @torch.no_grad()
    def normalize_atoms(self) -> None:
        """Scale atoms to length one and set the step size; call after every change."""
        lengths = (self.atoms**2).sum(1, keepdim=True).sqrt()
        self.atoms.div_(lengths.clamp_min(1e-8))
        largest = cast("Tensor", cast("Any", torch.linalg).matrix_norm(self.atoms, ord=2))
        self.lipschitz.copy_(1.001 * largest**2)

    def forward(self, images: Tensor) -> Tensor:
        """Return codes ``(B, A)`` of images ``(B, C, H, W)`` in [-1, 1]."""
        x = images.flatten(1) - self.mean
        gram, target = self.atoms @ self.atoms.T, x @ self.atoms.T
        threshold = self.sparsity / self.lipschitz
        code = torch.zeros_like(target)
        ahead, momentum = code, 1.0
        for _ in range(ITERATIONS):
            moved = ahead - (ahead @ gram - target) / self.lipschitz
            following = torch.sign(moved) * torch.relu(moved.abs() - threshold)
            faster = 0.5 * (1.0 + (1.0 + 4.0 * momentum**2) ** 0.5)
            ahead = following + (momentum - 1.0) / faster * (following - code)
            code, momentum = following, faster
        return code

    def reconstruct(self, codes: Tensor) -> Tensor:
        """Return flattened images ``(B, P)``."""
        return codes @ self.atoms + self.mean


class CodedMachine(LinearMachine):
    """Linear machine on sparse codes trained without labels (Raina et al. 2007)."""

    def __init__(
        self, coder: SparseCoder, *, channels: int, image_size: int, head: HeadFactory
    ) -> None:
        super().__init__(channels=channels, image_size=image_size, head=head)
        self.coder = coder
        self.feature_width = coder.atoms.shape[0]
        self.head = head(self.feature_width, self.stage_widths)
        self.initialize()

    def represent(self, images: Tensor) -> Tensor:
        """Return the codes of the images."""
        with torch.no_grad():
            return self.coder(images)


def coder_phase(coder: SparseCoder, config: GaalConfig, data: RoundData) -> Phase:
    """Minimize the coding objective over the pool's images, without labels.

    Raina et al. 2007 alternate exact solutions for codes and dictionary on all images; here each
    step solves the codes of one batch and takes one Adam step on the atoms, which scales to pools.
    Atoms start as random images of the pool; with noise many would remain unused.
    """
    usable = np.flatnonzero(data.is_usable)
    rows = torch.from_numpy(usable)
    optimizer = torch.optim.Adam([coder.atoms], lr=LR)
    last = LastBatch()

    def begin(generator: Generator) -> None:
        some = data.images(draw_rows(rows, MEAN_SAMPLE, generator))
        picked = data.images(draw_rows(rows, len(coder.atoms), generator))
        with torch.no_grad():
            coder.mean.copy_(normalize(some).flatten(1).mean(0))
            start = normalize(picked).flatten(1) - coder.mean
            jitter = torch.randn(start.shape, generator=generator).to(start.device)
            coder.atoms.copy_(start + 0.01 * jitter)
        coder.normalize_atoms()

    def step(number: int, generator: Generator) -> Losses:
        if number == 0:
            begin(generator)
        drawn = draw_rows(rows, config.batch, generator)
        last.note(data.item_ids, drawn)
        images = normalize(data.images(drawn))
        with torch.no_grad():
            codes = coder(images)
        error = 0.5 * ((images.flatten(1) - coder.reconstruct(codes)) ** 2).sum(1).mean()
        take_step(optimizer, error)
        coder.normalize_atoms()
        cost = error.detach() + config.sparsity * codes.abs().sum(1).mean()
        return {"sparse_coding": cost}

    return Phase(
        name="sparse-coding",
        title="learning a dictionary of the pool",
        steps=max(config.min_steps, round(config.epochs * len(rows) / config.batch), 1),
        networks={"coder": coder},
        optimizers={"atoms": optimizer},
        step=step,
        last=last,
        cost=2.0,
    )
