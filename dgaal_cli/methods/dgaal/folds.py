"""D1 co-evolving with the labels, in folds: no image is scored by a network that trained on it.

A discriminator that sees every pool image as "unlabeled" and then scores it has learned pool
membership by heart. Folds follow an image for life, so each fold's network may go on learning from
round to round and still be a stranger to the images that it scores.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from dgaal_cli.config.schema import CoevolveConfig
from dgaal_cli.ids import ItemId
from dgaal_cli.methods.gauges import auc
from dgaal_cli.networks.latent_discriminator import LatentDiscriminator
from dgaal_cli.training.device import to_device
from dgaal_cli.training.losses import discriminator_loss
from dgaal_cli.training.modes import evaluating
from dgaal_cli.training.optimizers import adam
from dgaal_cli.training.phase import LastBatch, Losses, Phase, draw_rows

STOP_ACCURACY = 0.98
"""Balanced accuracy at which learning stops (Gissin & Shalev-Shwartz 2019): more is memorizing."""
CHECK_STEPS = 20


@dataclass(slots=True, kw_only=True)
class Pools:
    """Latents of both pools on the device, filled in when the phase begins."""

    z: Tensor
    """``(R, Z)`` latents of real and candidate images."""
    is_labeled: np.ndarray
    """bool ``(R,)``."""
    is_unlabeled: np.ndarray
    """bool ``(R,)``: unlabeled or candidate; neither for images outside both pools."""
    folds: np.ndarray
    """int64 ``(R,)``."""
    item_ids: Sequence[ItemId] = ()
    """Of the rows."""


def fold_of(item_ids: list[int], folds: int) -> np.ndarray:
    """Assign each item to a fold for life, int64 ``(N,)``; a multiplicative hash spreads runs."""
    mixed = np.asarray(item_ids, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return ((mixed >> np.uint64(33)) % np.uint64(folds)).astype(np.int64)


def fold_phase(
    index: int,
    network: LatentDiscriminator,
    config: CoevolveConfig,
    pools: Callable[[], Pools],
) -> Phase:
    """D1 of one fold learns the labels of now on the other folds (Guo et al. 2021, eq. 9)."""
    optimizer = adam(network.parameters(), lr=config.lr, weight_decay=1e-4)
    rows: dict[str, Tensor] = {}
    progress = {"step": 0}
    last = LastBatch()

    def prepare() -> None:
        now = pools()
        is_ours = now.folds != index
        rows["labeled"] = torch.from_numpy(np.flatnonzero(now.is_labeled & is_ours))
        rows["unlabeled"] = torch.from_numpy(np.flatnonzero(now.is_unlabeled & is_ours))
        network.standardize_on(now.z[torch.from_numpy(now.is_labeled | now.is_unlabeled)])

    def step(number: int, generator: Generator) -> Losses:
        now = pools()
        progress["step"] = number + 1
        picked = [draw_rows(rows[s], config.batch, generator) for s in ("labeled", "unlabeled")]
        last.note(now.item_ids, *picked)
        labeled, unlabeled = (
            network(now.z.index_select(0, to_device(side, now.z.device))) for side in picked
        )
        loss = discriminator_loss(labeled, unlabeled)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return {"latent_discriminator": loss}

    def is_done() -> bool:
        if progress["step"] % CHECK_STEPS:
            return False
        z = pools().z
        with evaluating(network):
            is_right_l = float((network(z[rows["labeled"]]) > 0).float().mean())
            is_right_u = float((network(z[rows["unlabeled"]]) < 0).float().mean())
        return (is_right_l + is_right_u) / 2 >= STOP_ACCURACY

    return Phase(
        name=f"coevolve-{index}",
        title=f"telling labeled from unlabeled, fold {index + 1}",
        steps=config.steps,
        networks={f"discriminator_{index}": network},
        optimizers={"discriminator": optimizer},
        step=step,
        last=last,
        is_done=is_done,
        prepare=prepare,
        cost=0.15,
    )


def cross_scores(networks: list[LatentDiscriminator], pools: Pools) -> np.ndarray:
    """Score each row by its own fold's network: logit of "unlabeled", float64 ``(R,)``."""
    scores = np.zeros(len(pools.z))
    with evaluating(*networks):
        for index, network in enumerate(networks):
            rows = pools.folds == index
            if rows.any():
                scores[rows] = -network(pools.z[rows]).double().cpu().numpy()
    return scores


def held_out_auc(scores: np.ndarray, pools: Pools) -> float:
    """Mean over folds of the AUC of unlabeled against labeled held-out rows; 0.5 knows nothing."""
    values: list[float] = []
    for index in np.unique(pools.folds):
        unlabeled = scores[(pools.folds == index) & pools.is_unlabeled]
        labeled = scores[(pools.folds == index) & pools.is_labeled]
        if len(unlabeled) and len(labeled):
            values.append(auc(unlabeled, labeled))
    return float(np.mean(values)) if values else 0.5
