"""DGAAL's encoder G1 on the features of a pretrained encoder, which need no game over images."""

import numpy as np
import torch
from torch import Generator, Tensor, nn

from dgaal_cli.methods import gauges
from dgaal_cli.task_heads.components import fit_components
from dgaal_cli.training.data import RoundData, spread_rows
from dgaal_cli.training.modes import encode_rows, evaluating
from dgaal_cli.training.phase import Losses, Phase


class LinearEncoder(nn.Module):
    """G1 as one linear layer on standardized features ``(B, D)``."""

    def __init__(self, *, width: int, latent: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, latent)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features ``(B, D)`` and their projection z ``(B, Z)`` for D1."""
        return features, self.project(features)


class LinearGames:
    """What replaces the pretraining games where images have features already.

    The game over images teaches G1 to reconstruct the pool. With linear G1 and G2 the best
    reconstruction is known: the principal components of the pool, fitted in one step. There is no
    game over features against D1; it would remove what D1 ranks by.
    """

    def __init__(self, *, width: int, latent: int) -> None:
        self.encoder = LinearEncoder(width=width, latent=latent)
        self.modules: dict[str, nn.Module] = {"encoder": self.encoder}

    def phase(self, data: RoundData) -> Phase:
        """Return a phase that fits the components to the pool in one step."""

        def step(_step: int, _generator: Generator) -> Losses:
            rows = np.asarray(data.inputs[data.is_usable])
            project = self.encoder.project
            components = fit_components(rows, project.out_features)
            found = components.axes.shape[1]  # fewer in a small pool
            with torch.no_grad():
                project.weight.zero_()
                project.bias.zero_()
                project.weight[:found] = torch.from_numpy(components.axes.T)
                project.bias[:found] = torch.from_numpy(-(components.center @ components.axes))
            return {}

        return Phase(
            name="pretrain",
            title="learning the pool",
            steps=1,
            networks=self.modules,
            optimizers={},
            step=step,
        )

    def health(self, data: RoundData) -> dict[str, float]:
        """Count the latents that vary over the pool."""
        rows = spread_rows(np.flatnonzero(data.is_usable), gauges.MAX_ROWS)
        with evaluating(self.encoder):
            z = encode_rows(lambda x: self.encoder(x)[1], data.inputs[rows], data.device)
        return {
            "active_units": float((z.var(0) > gauges.ACTIVE_VARIANCE).sum()),
            "latent_units": float(z.shape[1]),
        }
