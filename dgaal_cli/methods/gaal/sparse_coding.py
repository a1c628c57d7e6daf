"""Train a dictionary on the pool, alternating codes (FISTA) and atoms (gradient)."""

import numpy as np
import torch
from torch import Generator

from dgaal_cli.config.schema import GaalConfig
from dgaal_cli.methods.gaal.sparse_coder import SparseCoder
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.optimizers import take_step
from dgaal_cli.training.phase import LastBatch, Losses, Phase, draw_rows

LR = 3e-3
MEAN_SAMPLE = 4096


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
