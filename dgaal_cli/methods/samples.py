"""What a round's generator draws, to be looked at: the same images redrawn in every round."""

import numpy as np
import torch
from torch import Tensor

from dgaal_cli.ids import Row
from dgaal_cli.methods.adversarial_encoder.decoder import Decoder
from dgaal_cli.methods.base import Method, Redrawing
from dgaal_cli.methods.gaal.dcgan import DcganGenerator, draw_prior
from dgaal_cli.methods.vaal_family.method import PoolSampling
from dgaal_cli.networks.encoder import Encoder
from dgaal_cli.networks.pixels import denormalize, normalize
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.modes import evaluating
from dgaal_cli.training.seeding import torch_generator

SHOWN = 24


def sample_drawings(method: Method, data: RoundData) -> Redrawing | None:
    """Redraw pool images, evenly spread, or draw from noise where that is how a method draws.

    Args:
        method: Trained; its encoder and decoder, VAE or generator draws.
        data: The round.

    Returns:
        At most ``SHOWN`` images; None where the method has nothing that draws.
    """
    rows = np.arange(0, len(data.pixels), max(1, -(-len(data.pixels) // SHOWN)))
    modules = method.modules
    with evaluating(*modules.values()):
        encoder, decoder = modules.get("encoder"), modules.get("decoder")
        if isinstance(encoder, Encoder) and isinstance(decoder, Decoder):
            images = _images(data, rows)
            noise = torch.ones(len(images), decoder.map_channels, device=data.device)
            return _redrawing(decoder(encoder(images)[0], noise), rows)
        if isinstance(method, PoolSampling) and method.vae is not None:
            images = _images(data, rows)
            return _redrawing(method.vae.decode(method.vae(images), method.condition(images)), rows)
        generator = modules.get("dcgan_generator")
        if isinstance(generator, DcganGenerator):
            z = draw_prior(SHOWN, generator.latent, torch_generator(data.seed, "samples"))
            return _redrawing(generator(z.to(data.device)), np.full(SHOWN, -1))
    return None


def _images(data: RoundData, rows: np.ndarray) -> Tensor:
    return normalize(data.images(torch.from_numpy(rows)))


def _redrawing(images: Tensor, rows: np.ndarray) -> Redrawing:
    return Redrawing(
        pixels=denormalize(images).cpu().numpy(), parents=[Row(int(row)) for row in rows]
    )
