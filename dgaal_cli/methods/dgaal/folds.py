"""D1 learning the labels of now, in folds: no image is scored by a network that trained on it.

A discriminator that sees every pool image as "unlabeled" and then scores it has learned pool
membership by heart. Folds are dealt anew each round, to networks that begin anew. Folds for life
with networks that go on would never learn what they chose: an image is asked for its fold's score,
that network alone never sees its label, and AUCs on such labels fell to 0.14 on the digits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from dgaal_cli.config.schema import CoevolveConfig
from dgaal_cli.ids import ItemId
from dgaal_cli.methods.gauges import auc, auc_error
from dgaal_cli.networks.latent_discriminator import LatentDiscriminator
from dgaal_cli.training.data import RoundData
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
    is_drawn: np.ndarray
    """bool ``(R,)``: synthesized."""
    folds: np.ndarray
    """int64 ``(R,)``; a copy's is its parent's, whose label would give it away."""
    item_ids: Sequence[ItemId] = ()
    """Of the rows."""


def has_both(data: RoundData) -> bool:
    """Tell whether there is something to tell apart: both pools have images."""
    return bool(len(data.labeled_rows) and len(data.unlabeled_rows))


def fold_of(item_ids: Sequence[int], folds: int, *, number: int) -> np.ndarray:
    """Deal items to folds, otherwise in each round ``number``, int64 ``(N,)``; a hash decides."""
    offset = np.uint64((number + 1) * 0xD1B54A32D192ED03 % 2**64)
    ids = np.asarray(item_ids, dtype=np.uint64) + offset  # arrays wrap around in silence
    mixed = (ids ^ (ids >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return ((mixed >> np.uint64(40)) % np.uint64(folds)).astype(np.int64)


def fold_phase(
    index: int | None,
    network: LatentDiscriminator,
    config: CoevolveConfig,
    pools: Callable[[], Pools],
) -> Phase:
    """D1 of one fold learns the labels of now on the other folds (Guo et al. 2021, eq. 9).

    Args:
        index: The fold; None learns from all of them, as published.
        network: Learns, and scores the fold.
        config: How.
        pools: What there is to learn from, asked for once the phase begins.
    """
    optimizer = adam(network.parameters(), lr=config.lr, weight_decay=1e-4)
    rows: dict[str, Tensor] = {}
    progress = {"step": 0}
    last = LastBatch()

    def prepare() -> None:
        now = pools()
        may_teach = ~now.is_drawn | config.copies
        is_elsewhere = now.folds != (-1 if index is None else index)
        for name, is_side in (("labeled", now.is_labeled), ("unlabeled", now.is_unlabeled)):
            own = np.flatnonzero(is_side & may_teach & is_elsewhere)
            # One or two labels may all lie in one fold, whose network has nothing else to learn.
            own = own if len(own) else np.flatnonzero(is_side & may_teach)
            rows[name] = torch.from_numpy(own)
        is_pool = (now.is_labeled | now.is_unlabeled) & may_teach
        network.standardize_on(now.z[torch.from_numpy(is_pool)])

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

    part = "all" if index is None else str(index)
    title = "telling labeled from unlabeled"
    return Phase(
        name=f"coevolve-{part}",
        title=title if index is None else f"{title}, fold {index + 1}",
        steps=config.steps,
        networks={f"discriminator_{part}": network},
        optimizers={"discriminator": optimizer},
        step=step,
        last=last,
        is_done=is_done,
        prepare=prepare,
        cost=0.15,
    )


def cross_scores(networks: Sequence[LatentDiscriminator], pools: Pools) -> np.ndarray:
    """Score each row by its own fold's network: logit of "unlabeled", float64 ``(R,)``."""
    scores = np.zeros(len(pools.z))
    with evaluating(*networks):
        for index, network in enumerate(networks):
            rows = pools.folds == index
            if rows.any():
                scores[rows] = -network(pools.z[rows]).double().cpu().numpy()
    return scores


def scores_of(network: LatentDiscriminator, pools: Pools) -> np.ndarray:
    """Score every row by one network: logit of "unlabeled", float64 ``(R,)``."""
    with evaluating(network):
        return -network(pools.z).double().cpu().numpy()


def held_out_auc(scores: np.ndarray, pools: Pools) -> float:
    """Mean over folds of the AUC of unlabeled against labeled rows; 0.5 knows nothing.

    Real images only: a copy is unlabeled, and looks like a labeled one.
    """
    values: list[float] = []
    for index in np.unique(pools.folds):
        is_ours = (pools.folds == index) & ~pools.is_drawn
        unlabeled, labeled = (scores[is_ours & s] for s in (pools.is_unlabeled, pools.is_labeled))
        if len(unlabeled) and len(labeled):
            values.append(auc(unlabeled, labeled))
    return float(np.mean(values)) if values else 0.5


def tell_apart(name: str, positive: np.ndarray, negative: np.ndarray) -> dict[str, float]:
    """Return the AUC of two lots of scores under ``name``, with its error; nothing without both."""
    if not len(positive) or not len(negative):
        return {}
    return {
        name: auc(positive, negative),
        f"{name}_error": auc_error(len(positive), len(negative)),
    }
