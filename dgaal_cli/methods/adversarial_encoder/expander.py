"""VICReg's expander: from latents to the wider space in which two views are compared."""

from torch import Tensor, nn

FACTOR = 8


class Expander(nn.Module):
    """Three linear layers (Bardes, Ponce & LeCun 2022, section 4.2; theirs are 8192 wide).

    Args:
        latent: Width Z of z; the layers are ``FACTOR`` times as wide.
    """

    def __init__(self, *, latent: int) -> None:
        super().__init__()
        width = FACTOR * latent
        self.body = nn.Sequential(
            nn.Linear(latent, width),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Linear(width, width),
        )

    def forward(self, z: Tensor) -> Tensor:
        """Expand z ``(B, Z)`` to ``(B, 8 Z)``."""
        return self.body(z)
