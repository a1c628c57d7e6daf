"""Images as sparse sums of learned atoms, the representation of self-taught learning."""

from typing import Any, cast

import torch
from torch import Tensor, nn

from dgaal_cli.networks.classifier import HeadFactory
from dgaal_cli.networks.linear import LinearMachine

ITERATIONS = 50


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
