"""Measure what G and D2 learned of the pool's images."""

import numpy as np
import torch
from torch import Tensor

from dgaal_cli.methods import gauges
from dgaal_cli.methods.adversarial_encoder.games import Games
from dgaal_cli.methods.base import spread_rows
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.modes import batches, evaluating


def picture_health(games: Games, data: RoundData) -> dict[str, float]:
    """Measure encoder, decoder and critic on images spread evenly over the pool.

    Returns:
        ``active_units`` of ``latent_units``; ``reconstruction_r2``, which is zero for the
        mean image; ``redrawn_auc``, D2's AUC of pool images against their copies without noise, 0.5
        if D2 cannot separate them.
    """
    rows = spread_rows(np.flatnonzero(data.is_usable), gauges.MAX_ROWS)
    error = 0.0
    values: list[Tensor] = []
    latents: list[Tensor] = []
    real: list[Tensor] = []
    redrawn: list[Tensor] = []
    critic = games.image_discriminator
    with evaluating(games.encoder, games.decoder, critic):
        for x in batches(data.pixels[rows], data.device):
            feature_map, z = games.encoder(x)
            noise = torch.ones(len(x), games.decoder.map_channels, device=data.device)
            drawn = games.decoder(feature_map, noise)
            error += float(((drawn - x) ** 2).sum())
            real.append(critic(x).cpu())
            redrawn.append(critic(drawn).cpu())
            values.append(x.cpu())
            latents.append(z.cpu())
    x, variance = torch.cat(values), torch.cat(latents).var(0)
    total = float(((x - x.mean(0)) ** 2).sum())
    return {
        "active_units": float((variance > gauges.ACTIVE_VARIANCE).sum()),
        "latent_units": float(len(variance)),
        "reconstruction_r2": 1.0 - error / max(total, 1e-9),
        "redrawn_auc": gauges.auc(torch.cat(real).numpy(), torch.cat(redrawn).numpy()),
    }
